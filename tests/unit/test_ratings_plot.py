"""The picture of ratings: a real PNG or SVG, the same for the same boards, nothing read as markup."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from aaa.battles import Battle, Ledger
from aaa.board import Board, Method
from aaa.commands.plot import MOST_ROWS, check_path, draw, write_plot
from aaa.errors import InputError, SetupError
from aaa.ratings import rate
from tests.tournaments import tournament

TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.fixture(scope="module")
def board() -> Board:
    ledger = tournament(1, players=4, seeds=30).ledger
    for n in range(25):
        ledger.add(Battle("p00", "never-won", 1, f"s{n}"))
    return rate(ledger, Method(replicates=40))


def texts(svg: bytes) -> list[str]:
    return ["".join(found.itertext()) for found in ElementTree.fromstring(svg).iter(TEXT)]


def test_every_player_and_rating_is_in_it(board: Board) -> None:
    told = texts(draw([board], "svg"))
    for rating in board.ratings:
        assert rating.player in told
        assert f"{rating.rating:.0f}" in told


def test_boards_stand_below_each_other(board: Board) -> None:
    two = draw([board, board.model_copy(update={"tag": "maths"})], "svg")
    titles = [text for text in texts(two) if "battles on" in text]
    assert [title.split(":")[0] for title in titles] == ["Overall", "Tag 'maths'"]


@pytest.mark.parametrize("format", ["png", "svg"])
def test_the_same_boards_give_the_same_bytes(board: Board, format: str) -> None:
    assert draw([board], format) == draw([board], format)


def test_names_are_no_markup() -> None:
    hostile = "$\\frac{1}{0}$ <b>&"
    found = rate(Ledger([Battle(hostile, "b", 1, "s")]), Method())
    assert hostile in texts(draw([found], "svg"))


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("b/c.SVG", b"<?xml")])
def test_the_suffix_says_the_format(board: Board, tmp_path: Path, name: str, magic: bytes) -> None:
    write_plot([board], tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_what_cannot_be_drawn_is_one_clear_line(board: Board, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plot.pdf.*\.png or \.svg"):
        check_path(tmp_path / "plot.pdf")
    with pytest.raises(InputError, match="too many to draw"):
        draw([board] * (MOST_ROWS // 5 + 1), "svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be written"):
        write_plot([board], tmp_path / "file" / "plot.svg")
