"""What commands print: JSON that means the same, words, neither of which steers a terminal; budgets."""

import contextlib
import io
import json

import click
import pytest
from hypothesis import given

from aaa import cli
from aaa.commands.opening import say, show, tell
from aaa.commands.run import short_of
from aaa.commands.table import print_rows
from aaa.errors import InputError
from aaa.estimate import Estimate
from aaa.scenario import Scenario
from tests.catalogues import small_scenario
from tests.helpers.hostile import HOSTILE, forbidden


@given(HOSTILE)
def test_data_is_whole_and_harmless(text: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show({"said": text})
    assert json.loads(printed.getvalue()) == {"said": text}
    assert forbidden(printed.getvalue()) == []
    printed.getvalue().encode()


@given(HOSTILE)
def test_words_for_a_person_are_harmless(text: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tell(f"it said {text}")
        print_rows(("said",), [{"said": text}])
    with contextlib.redirect_stderr(io.StringIO()) as said:
        say(f"it said {text}")
    for shown in (printed.getvalue(), said.getvalue()):
        assert forbidden(shown, allowed="\n\t") == []
        shown.encode()


@pytest.mark.parametrize("error", [InputError, click.UsageError, click.BadParameter])
def test_an_error_is_harmless(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(**_: object) -> None:
        raise error("it said \x1b]52;c;SEFDSw==\x07\x9b7m\u202e")

    monkeypatch.setattr(cli, "cli", failing)
    with contextlib.redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit):
        cli.main()
    assert "it said ␛]52;c;SEFDSw==␇" in said.getvalue()
    assert forbidden(said.getvalue()) == []


@pytest.mark.parametrize(
    ("budgets", "cost_usd", "told"),
    [
        ({}, 9.0, []),
        ({"budget_usd": 2}, 2.0, []),
        ({"budget_usd": 2}, None, []),
        ({"budget_usd": 2}, 2.5, ["budget_usd 2 may not do: it could cost up to $2.5000"]),
        ({"budget_calls": 40}, 0.0, []),
        ({"budget_calls": 39}, 0.0, ["budget_calls 39 may not do: it could ask up to 40 times"]),
    ],
)
def test_a_dry_run_tells_of_budgets_that_may_not_do(
    budgets: dict[str, float], cost_usd: float | None, told: list[str]
) -> None:
    scenario = Scenario.model_validate(small_scenario() | budgets)
    found = Estimate(
        scenario="small",
        sessions=8,
        rehearsed=8,
        lines=(),
        calls=40,
        cost_usd=cost_usd,
        unpriced=(),
    )
    assert [line.split(";")[0] for line in short_of(scenario, found)] == told
