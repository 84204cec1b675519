"""`aaa scenarios ls|validate|schema`: what can be run, and whether it can."""

import os
from pathlib import Path
from typing import Any

from aaa.catalogue import Catalogue, Script, open_catalogue
from aaa.commands.opening import say, show
from aaa.commands.rounds import is_file
from aaa.commands.staged import is_staged
from aaa.commands.staged import prepared as prepared_course
from aaa.commands.table import print_rows
from aaa.curriculum.hand_off import check_commands
from aaa.errors import AAAError
from aaa.scenario import AgentCard, Scenario
from aaa.settings import Settings
from aaa.types import Seed


def prepared(
    settings: Settings, scenario: str, overrides: dict[str, Any]
) -> tuple[Catalogue, Script, tuple[Seed, ...]]:
    """A SCENARIO argument (name or YAML file), checked whole; the catalogue that knows it."""
    folder = (Path(scenario).resolve().parent,) if is_file(scenario) else ()
    catalogue = open_catalogue(settings, *folder)
    found, place = catalogue.scenario(
        Path(scenario).stem if is_file(scenario) else scenario, overrides
    )
    script, seeds = catalogue.prepare(found, place)
    return catalogue, script, seeds


def ls(settings: Settings, as_json: bool) -> int:
    """Every scenario that can be named, with what is wrong with those that cannot be played."""
    catalogue = open_catalogue(settings)
    rows: list[dict[str, Any]] = []
    for name in catalogue.scenarios():
        try:
            scenario, _ = catalogue.scenario(name)
            agents = sorted({a for held in scenario.seats.values() for a in held})
            rows.append(
                {
                    "name": name,
                    "protocol": scenario.protocol.id,
                    "agents": ", ".join(agents),
                    "description": " ".join(scenario.description.split()),
                }
            )
        except AAAError as error:
            rows.append({"name": name, "description": f"unusable: {error}"})
    if as_json:
        show({"items": rows})
    else:
        print_rows(
            (
                "name",
                "protocol",
                "agents",
                "description",
            ),
            rows,
        )
    return 0


def validate(settings: Settings, scenarios: tuple[str, ...]) -> int:
    """Check scenarios whole (cards, seats, seeds, judges); exit code 2 if any cannot be played."""
    worst = 0
    for name in scenarios or tuple(open_catalogue(settings).scenarios()):
        try:
            say(f"{name}: {_fine(settings, name)}")
        except AAAError as error:
            say(f"{name}: {error}")
            worst = max(worst, error.exit_code)
    return worst


def _fine(settings: Settings, name: str) -> str:
    """What can be played, in words. Raises what keeps it from that."""
    if is_staged(settings, name):
        _, course = prepared_course(settings, name, {})
        check_commands(course.script.scenario, course.script.folder)
        stages = len(course.script.scenario.stages)
        return f"fine, {len(course.pool)} seeds, {stages} stages, {len(course.plays)} rounds"
    _, script, seeds = prepared(settings, name, {})
    return f"fine, {len(seeds)} seeds, protocol {script.scenario.protocol.id}{_lacking(script)}"


def _lacking(script: Script) -> str:
    """Keys that its agents need and this environment lacks: no fault of the scenario, but of a run here."""
    wanted = {card.missing_key(os.environ) for card in script.cards.values()}
    missing = sorted(name for name in wanted if name is not None)
    return f"; to run it here, set {', '.join(missing)}" if missing else ""


def schema() -> int:
    """The JSON Schemas of scenarios and agent cards."""
    show({"scenario": Scenario.model_json_schema(), "agent": AgentCard.model_json_schema()})
    return 0
