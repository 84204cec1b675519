"""LiteLLM's price table, read from its file without importing LiteLLM (seconds, and 190 MiB).

Left out: discounts for cached tokens and batches, surcharges for long prompts. This is what a call is
reserved at; what it cost is computed from its usage, by the card's price or by LiteLLM itself.
"""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from aaa.scenario import Price

TABLE = "model_prices_and_context_window_backup.json"


def listed_price(model: str, api_base: str | None) -> Price | None:
    """The table's price of a LiteLLM model id. `None`: not listed, or served by a server of yours."""
    if api_base is not None:
        return None
    return price_in(_table(), model)


def price_in(table: dict[str, Any], model: str) -> Price | None:
    """The price `table` holds for `provider/name`, or for `name` of that provider."""
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
