"""What commands print: JSON that means the same and steers no terminal; budgets that may not do."""

import contextlib
import io
import json

import pytest
from hypothesis import given

from aaa.commands.opening import show
from aaa.commands.run import short_of
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
