"""`python -m tests.chaos all` puts every promise to the test and prints one table; `L1 E1` only those.

Full sizes, which take hours; `--small` takes the suite's. A size that is given, `--sessions 200` say, goes to
every promise that has it.
"""

import argparse
import json
import sys

from tests.chaos.every import PROMISES
from tests.chaos.promise import HEAD, Size, add_sizes, prove, tell


def main() -> int:
    """Exit code 0 when every promise held."""
    known = {promise.id: promise for promise in PROMISES}
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("promises", nargs="+", choices=["all", *known], metavar="all | ID")
    parser.add_argument("--small", action="store_true", help="the sizes of the suite")
    add_sizes(parser, _every_size())
    given = vars(parser.parse_args())
    wanted = known if "all" in given["promises"] else given["promises"]
    rows: list[str] = []
    held = True
    for promise in (known[id] for id in wanted):
        sizes = dict(promise.small) if given["small"] else {}
        sizes |= {n: given[n] for n in promise.sizes if given[n] is not None}
        tell(f"{promise.id}: {promise.says} …")
        proof = prove(promise, sizes)
        tell(json.dumps(proof.told()))
        rows.append(proof.row())
        held = held and proof.outcome.holds
    print("\n".join([HEAD, *rows]))
    return 0 if held else 1


def _every_size() -> dict[str, Size]:
    return {name: size for promise in PROMISES for name, size in promise.sizes.items()}


if __name__ == "__main__":
    sys.exit(main())
