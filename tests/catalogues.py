"""A small catalogue to test with: two students, a teacher and a judge on a stub provider."""

import json
from pathlib import Path
from typing import Any

import yaml

from aaa.catalogue import Catalogue

AGENTS = {"pupil": "a", "peer": "b", "teacher": "c", "judge": "d"}
"""Agent -> family."""
STUB = "http://127.0.0.1:9/v1"
"""Where nobody listens; give `api_base` where a stub provider does."""


def small_catalogue(
    folder: Path, *, questions: int = 3, api_base: str = STUB, **scenario: Any
) -> Catalogue:
    """Agents of `AGENTS` and the scenario `small`, written below `folder`; `scenario` replaces keys."""
    agents, scenarios = folder / "agents", folder / "scenarios"
    agents.mkdir(parents=True)
    (scenarios / "seeds").mkdir(parents=True)
    for name, family in AGENTS.items():
        (agents / f"{name}.yaml").write_text(yaml.safe_dump(card(name, family, api_base)))
    (scenarios / "small.yaml").write_text(yaml.safe_dump(small_scenario() | scenario))
    rows = [{"id": f"s{n}", "prompt": f"Question {n}?", "tags": ["test"]} for n in range(questions)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (scenarios / "seeds" / "small.jsonl").write_text(text)
    return Catalogue((agents,), (scenarios,))


def card(name: str, family: str, api_base: str = STUB) -> dict[str, Any]:
    """An agent card; its key variable is `AAA_TEST_KEY`."""
    return {
        "name": name,
        "model": f"openai/{name}",
        "api_base": api_base,
        "api_key_env": "AAA_TEST_KEY",
        "family": family,
        "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
    }


def small_scenario() -> dict[str, Any]:
    """Two students, one teacher, one judge who writes its verdict."""
    return {
        "name": "small",
        "description": "A small round.",
        "seats": {"student": ["pupil", "peer"], "teacher": ["teacher"], "judge": ["judge"]},
        "seeds": {"file": "seeds/small.jsonl"},
        "judging": {"play": "pairwise"},
    }
