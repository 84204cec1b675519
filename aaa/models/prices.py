"""LiteLLM's price table, read from its file without importing LiteLLM (seconds, and 190 MiB).

Left out: discounts for cached tokens and batches, surcharges for long prompts. This is what a call is
reserved at, so it is the most that a token may cost; what it did cost is computed from its usage, by the
card's price or by LiteLLM itself.
"""

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from aaa.scenario import Price

TABLE = "model_prices_and_context_window_backup.json"
SEARCHES = re.compile(r"(^|[-/])(sonar|search|deep-research)\b")
"""Names of models that search the web unasked and are billed for each search. Most of the others list a fee,
too, for a tool that no call here names."""


def listed_price(model: str, api_base: str | None) -> Price | None:
    """The table's price of a LiteLLM model id. `None`: not listed, or served by a server of yours."""
    if api_base is not None:
        return None
    return price_in(_table(), model)


def price_in(table: dict[str, Any], model: str) -> Price | None:
    """The price `table` holds for `provider/name`, or for `name` of that provider.

    `None` too where tokens are not all that is billed. Where a model's thinking costs more than its words, a
    reply may be all thinking.
    """
    provider, _, name = model.partition("/")
    entry = table.get(model)
    if entry is None and name:
        entry = table.get(name)
        if entry is not None and entry.get("litellm_provider") != provider:
            entry = None
    if entry is None:
        return None
    per_input, per_output = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if per_input is None or per_output is None:
        return None  # priced in tiers or per second: not a price a budget can be reserved with
    if entry.get("input_cost_per_request") or SEARCHES.search(model):
        return None
    per_output = max(per_output, entry.get("output_cost_per_reasoning_token") or 0)
    return Price(
        input_usd_per_mtok=round(per_input * 1e6, 9), output_usd_per_mtok=round(per_output * 1e6, 9)
    )


@cache
def _table() -> dict[str, Any]:
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    table: dict[str, Any] = json.loads((Path(spec.origin).parent / TABLE).read_text("utf-8"))
    return table
