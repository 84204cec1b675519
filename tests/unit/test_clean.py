"""Strings of others through `clean` and a real Rich console: only our own control sequences come out."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aaa.clean import LONGEST_STACK, clean, one_line
from aaa.dashboard.ink import body, fitted, line, wrapped
from tests.helpers.hostile import HOSTILE, OUR_OWN, forbidden


@given(HOSTILE)
def test_what_is_clean_holds_nothing_for_a_terminal(text: str) -> None:
    assert forbidden(clean(text), allowed="\n\t") == []
    clean(text).encode()


@given(HOSTILE)
def test_clean_is_stable(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(HOSTILE, st.integers(2, 40))
def test_only_our_own_sequences_leave_a_console(text: str, width: int) -> None:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, color_system="truecolor", width=60, no_color=False
    )
    console.print(
        line((text, "bold red"), fitted(text, width)), *wrapped(body(text, "cyan"), width)
    )
    assert forbidden(OUR_OWN.sub("", out.getvalue())) == []


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
        ("\x1b]8;;http://x\x1b\\here", "␛]8;;http://x␛\\here"),
        ("\x9b2J", "\ufffd2J"),
        ("safe\u202etxt.exe", "safe\ufffdtxt.exe"),
        ("a\u200bb\ufeffc\u00add", "abcd"),
        ("hidden\U000e0041\U000e0042", "hidden\ufffd\ufffd"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("lone \ud800", "lone \ufffd"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩🚀"),
        ("\x00\x7f", "␀␡"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_examples(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_stacks_of_marks_are_cut() -> None:
    assert clean("Z" + "\u0301" * 40 + "a") == "Z" + "\u0301" * LONGEST_STACK + "a"


def test_markup_is_inert() -> None:
    out = io.StringIO()
    Console(file=out, width=60).print(line("[red]x[/red] [link=http://y]z[/link]"))
    assert out.getvalue() == "[red]x[/red] [link=http://y]z[/link]\n"


def test_one_line() -> None:
    assert one_line("  a\n\n b\t\x1b c ") == "a b ␛ c"
