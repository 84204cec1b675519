"""`aaa`: the command line. Its modules declare commands; what they do is in `aaa/commands/`.

Data goes to stdout, prose to stderr.

Exit codes: 0 done (a round: completed), 1 a round failed or was cancelled, 2 wrong input,
3 something around us is missing or broken, 4 stopped before the end or not possible now, 130 interrupted.
"""

import io
import logging
import os
import sys

import click

from aaa import __version__
from aaa.clean import clean
from aaa.cli import catalogue, courses, data, machine, playing, rounds
from aaa.errors import AAAError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
EXIT_CODES = """\b
Exit codes:
  0    done; for `run` and `watch`: the round completed
  1    the round failed or was cancelled
  2    wrong input (arguments, YAML, seeds, names)
  3    something around AAA is missing or broken (database, weights, keys, ports)
  4    stopped before the end, or not possible in this state
  130  interrupted"""


@click.group(context_settings=CONTEXT, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="aaa")
def cli() -> None:
    """AAA ("AI Align AI"): language models teach each other; preference data comes out."""


for _command in (
    playing.run,
    playing.serve,
    playing.watch,
    playing.provider,
    rounds.rounds,
    courses.courses,
    courses.generations,
    courses.train,
    data.export,
    data.explain,
    data.ratings,
    data.report,
    catalogue.agents,
    catalogue.judges,
    catalogue.scenarios,
    catalogue.seeds,
    catalogue.models,
    machine.db,
    machine.tokens,
    machine.doctor,
):
    cli.add_command(_command)


def main() -> None:
    """The console script: errors we know are one message and their exit code."""
    try:
        cli(standalone_mode=False)
    except click.BadParameter as error:
        _complain(_option(error))
        raise SystemExit(error.exit_code) from None
    except click.ClickException as error:
        error.show(told := io.StringIO())
        print(clean(told.getvalue()), end="", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except AAAError as error:
        _complain(str(error))
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001 (a raw traceback may hold a secret)
        _complain(_unforeseen(error))
        raise SystemExit(1) from None


def _unforeseen(error: Exception) -> str:
    """One sentence on an error that nobody raised on purpose; its traceback goes to the log file."""
    from aaa.logs import set_up, to_file
    from aaa.models.redact import brief, secrets_in
    from aaa.settings import read_settings

    told = brief(f"{type(error).__name__}: {error}", secrets_in(os.environ))
    try:
        settings = to_file(read_settings(), "aaa")
    except AAAError:
        return f"unforeseen, {told}"
    set_up(settings, "aaa")
    logging.getLogger(__name__).error("a command failed", exc_info=error)
    return f"unforeseen, {told}; its traceback is in {settings.log_file}"


def _complain(text: str) -> None:
    """What went wrong, on stderr; what others wrote in it (a server, a file) is cleaned."""
    for line in clean(text).splitlines():
        print(f"error: {line}", file=sys.stderr)


def _option(error: click.BadParameter) -> str:
    """One sentence: which option, what was written, what would be right, where to look."""
    name = error.param.opts[0] if error.param is not None else "arguments"
    said = error.message.replace("is not a valid integer range", "is not a whole number")
    said = said.replace("is not a valid float range", "is not a number").rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "aaa"
    what = f"{name} is missing" if isinstance(error, click.MissingParameter) else f"{name}: {said}"
    return f"{what}; `{command} --help` lists the options"
