"""`python -m aaa.provider`: the stub alone, without the rest of AAA."""

import argparse
import sys
from pathlib import Path

from aaa.errors import AAAError
from aaa.provider import grammar
from aaa.provider.process import run_provider


def main() -> int:
    """Exit code 0 after a stop that was asked for, else the error's own."""
    parser = argparse.ArgumentParser(
        prog="python -m aaa.provider",
        description="A deterministic, fault-injecting, OpenAI-compatible provider stub.",
        epilog=f"Faults are {grammar.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port (%(default)s)")
    parser.add_argument("--faults", default="", help="a line of faults, or a YAML file")
    parser.add_argument("--seed", type=int, default=0, help="of all chance (%(default)s)")
    parser.add_argument("--judge", default="", help="position=0.3,length=0.5,noise=0.1,gullible")
    parser.add_argument(
        "--skills", default="", help="models that say the best of N: *-g1=4,*-g2=16"
    )
    parser.add_argument("--log", type=Path, help="append one JSON line for each request")
    parser.add_argument("--port-file", type=Path, help="write the port here once it listens")
    try:
        return run_provider(**vars(parser.parse_args()))
    except AAAError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
