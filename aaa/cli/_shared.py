"""What the declarations of commands share."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print data as JSON on stdout.")


def settings() -> Any:
    """The settings of this process; imported when a command runs, as everything that costs time."""
    from aaa.logs import set_up
    from aaa.settings import read_settings

    found = read_settings()
    set_up(found, "aaa")
    return found


def overrides_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """`key=value …` as overrides. Raises `InputError`."""
    from aaa.yaml_files import parse_setting

    return dict(parse_setting(text) for text in texts)


def run_to_end(work: Coroutine[Any, Any, int]) -> None:
    """Run a command; its result is the exit code."""
    end(asyncio.run(work))


def end(code: int) -> None:
    raise SystemExit(code)
