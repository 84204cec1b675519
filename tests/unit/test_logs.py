"""Log lines: what they are about, without secrets, harmless for a terminal, bounded; so are their files."""

import asyncio
import json
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from aaa import logs
from aaa.here import work_for
from aaa.logs import set_up, to_file
from aaa.settings import Settings, read_settings
from tests.helpers.hostile import HOSTILE, forbidden

KEY = "canary/of+the~key=42"
log = logging.getLogger("aaa.test")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), logging.getLogger("aaa").level
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    logging.getLogger("aaa").setLevel(level)


def settings(place: Path, form: str = "json") -> Settings:
    return Settings.model_validate({"log": form, "log_file": place / "logs" / "x.log"})


def lines(place: Path) -> list[dict[str, Any]]:
    text = (place / "logs" / "x.log").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


async def test_a_line_tells_the_session_of_its_task_and_of_no_other(tmp_path: Path) -> None:
    set_up(settings(tmp_path), "seat anna", {})

    async def task(session: int) -> None:
        work_for("r-1", session, 1, 4, "student", "draft")
        await asyncio.sleep(0)
        log.warning("one of %s", session)
        await asyncio.gather(below(session))

    async def below(session: int) -> None:
        log.warning("one below %s", session)

    await asyncio.gather(*(asyncio.create_task(task(n)) for n in range(3)))
    log.warning("none")
    found = lines(tmp_path)
    assert [line["session"] for line in found[:-1]] == [0, 1, 2, 0, 1, 2]
    assert all(line["message"].endswith(str(line["session"])) for line in found[:-1])
    assert found[0] == {
        "at": found[0]["at"], "level": "warning", "logger": "aaa.test", "process": "seat anna",
        "pid": os.getpid(), "message": "one of 0", "round": "r-1", "session": 0, "turn": 4,
        "seat": "student",
    }  # fmt: skip
    assert "round" not in found[-1]


def test_plain_lines_tell_it_too_and_only_warnings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    set_up(Settings(), "aaa", {})
    log.info("too little")
    log.warning("two\nlines")
    assert capsys.readouterr().err == "WARNING aaa.test: two ⏎ lines\n"
    set_up(Settings(log="json"), "aaa", {})
    log.info("enough")
    logging.getLogger("httpx").info("of others")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == [
        "enough"
    ]


@pytest.mark.parametrize("form", ["plain", "json"])
def test_secrets_are_masked_in_messages_and_tracebacks(tmp_path: Path, form: str) -> None:
    from base64 import b64encode
    from urllib.parse import quote

    set_up(settings(tmp_path, form), "aaa", {"MY_API_KEY": KEY, "HOME": "/home/somebody"})
    try:
        raise ValueError(f"no {KEY} here, nor {quote(KEY, safe='')}")
    except ValueError:
        log.exception("failed with %s of %s", b64encode(KEY.encode()).decode(), "/home/somebody")
    log.warning("at postgresql://me:secretword@host/db")
    text = (tmp_path / "logs" / "x.log").read_text("utf-8")
    assert "/home/somebody" in text
    assert "Traceback" in text
    assert all(part not in text for part in (KEY, quote(KEY, safe=""), "secretword", "Y2FuYXJ5"))


def test_a_line_that_its_file_does_not_take_is_told_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    set_up(settings(tmp_path, "plain"), "aaa", {"DATABASE_URL": f"postgresql://me:{KEY}@h/d"})
    log.warning("failed with %s", KEY)
    assert capsys.readouterr().err == "WARNING aaa.test: failed with [redacted]\n"


@given(HOSTILE)
def test_nothing_hostile_passes(text: str) -> None:
    record = logging.LogRecord("aaa.test", 30, "x.py", 1, "it said %s", (text,), None)
    for form in (logs._Plain(()), logs._Json("aaa", ())):
        line = form.format(record)
        assert forbidden(line, allowed="\t") == []
        line.encode()


def test_lines_are_bounded_and_faulty_calls_cost_none(tmp_path: Path) -> None:
    set_up(settings(tmp_path), "aaa", {})
    log.warning("x" * 10**6)
    try:
        raise ValueError("y" * 10**6)
    except ValueError:
        log.exception("long")
    first, second = lines(tmp_path)
    assert len(first["message"]) == logs.LONGEST_MESSAGE
    assert len(second["error"]) <= logs.LONGEST_ERROR
    faulty = logging.LogRecord("aaa.test", 30, "x.py", 1, "%d and %d", ("one",), None)
    assert "%d and %d ('one',)" in logs._Plain(()).format(faulty)


def _write(place: Path, who: int) -> None:
    logs.LARGEST_FILE = 20_000
    set_up(settings(place), f"p{who}", {})
    for n in range(200):
        log.warning("%s", n)


@pytest.mark.parametrize("form", ["json", "plain"])
def test_what_goes_wrong_over_and_over_is_told_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A pass that fails twice a second would fill the file with its traceback."""
    set_up(settings(tmp_path, form), "supervisor", {})

    def fails(at: float) -> None:
        monkeypatch.setattr(time, "time", lambda: at)
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("a pass failed")
        log.warning("another thing")

    for at in (1000.0, 1000.5, 1059.0, 1061.0, 1062.0):
        fails(at)
    text = (tmp_path / "logs" / "x.log").read_text("utf-8")
    assert text.count("ValueError: no") == text.count("another thing") == 2
    assert text.count('"again": 2' if form == "json" else "(and 2 times since") == 2


def test_what_differs_is_told(tmp_path: Path) -> None:
    """By logger, message, error or session; and what is no warning always is."""
    set_up(settings(tmp_path), "supervisor", {})
    for number in range(logs.MOST_KNOWN + 10):
        log.warning("number %s", number)
    log.warning("number 0")  # forgotten by now
    log.getChild("other").warning("number 0")
    for _ in range(2):
        log.info("a session ended")
    assert len(lines(tmp_path)) == logs.MOST_KNOWN + 10 + 4


def test_several_processes_share_a_file_that_does_not_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write, args=(tmp_path, who)) for who in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
    assert [one.exitcode for one in writers] == [0] * 4
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == ["x.log", "x.log.1"]
    for path in (tmp_path / "logs").iterdir():
        assert path.stat().st_size < 20_000 + 4 * 200  # a line of each, at most
        assert path.stat().st_mode & 0o077 == 0
        for line in path.read_text("utf-8").splitlines():
            json.loads(line)  # whole, whoever wrote beside it
    assert lines(tmp_path)[-1]["message"] == "199"


def test_who_comes_second_puts_nothing_aside(tmp_path: Path) -> None:
    """Two found the file full; one made a new one meanwhile, which is not full."""
    path = tmp_path / "x.log"
    first, second = logs._Appending(path), logs._Appending(path)
    full, also_full = first._opened(), second._opened()
    first._turn_over(full)
    first.close()  # which gives the lock back
    path.write_text("of a third")
    second._turn_over(also_full)
    assert path.read_text() == "of a third"
    second.close()


def test_settings_name_the_file_and_the_form() -> None:
    found = read_settings({"AAA_LOG": "json", "AAA_LOG_FILE": "here.log", "AAA_HOME": "/h"})
    assert (found.log, found.log_file) == ("json", Path("here.log").absolute())
    assert to_file(found, "x") == found
    assert to_file(read_settings({"AAA_HOME": "/h"}), "x").log_file == Path("/h/logs/x.log")


def test_standard_error_is_where_lines_go_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(Settings(), "aaa", {})
    set_up(Settings(), "aaa", {})
    log.error("once")
    print("data", file=sys.stdout)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("data\n", "ERROR aaa.test: once\n")
