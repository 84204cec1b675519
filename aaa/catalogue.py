"""Where cards and scenarios are found by name, and how a scenario becomes something that can be run.

Folders are searched in order, the user's first, the shipped ones last. A name cannot leave its folder.
`prepare` is the one gate before a round: whatever can be known to be wrong is refused here.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import aaa
from aaa import plugins
from aaa.errors import InputError, NotFound
from aaa.judges import eligible
from aaa.protocols import given
from aaa.scenario import NAME, AgentCard, Scenario, Seeds, with_lines
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.types import Agent, Cast, Seed, Value, fingerprint
from aaa.yaml_files import override, parse, read_yaml


class Script(Value):
    """A round's unchanging part, stored with it: what is played, by whom, from which source."""

    scenario: Scenario
    cards: dict[str, AgentCard]
    """Every card the scenario names, by name."""
    cast: Cast
    source: str
    """Hash of the source of protocol and judging play; a changed play refuses an old journal."""

    def without_seeds(self) -> "Script":
        """As it is stored: read at every look at the round, whose sessions hold its seeds."""
        if self.scenario.seeds.inline is None:
            return self
        scenario = self.scenario.model_copy(update={"seeds": Seeds(inline=())})
        return self.model_copy(update={"scenario": scenario})


class Catalogue:
    """The operator's agents and scenarios."""

    def __init__(
        self,
        agents: tuple[Path, ...],
        scenarios: tuple[Path, ...],
        cards: Mapping[str, AgentCard] | None = None,
    ) -> None:
        """`cards`: known beforehand, whatever the folders hold."""
        self.agent_folders = agents
        self.scenario_folders = scenarios
        self._cards = cards or {}

    def agents(self) -> list[str]:
        """Names of all cards, sorted."""
        return sorted({*_names(self.agent_folders), *self._cards})

    def scenarios(self) -> list[str]:
        """Names of all scenarios, sorted."""
        return _names(self.scenario_folders)

    def card(self, name: str) -> AgentCard:
        """The card of that name. Raises `NotFound` listing the names, or `InputError`."""
        if name in self._cards:
            return self._cards[name]
        path = _find("agent", name, self.agent_folders)
        card = parse(AgentCard, read_yaml(path), str(path))
        if card.name != name:
            raise InputError(f"{path}: key 'name' is {card.name!r} but the file is called {name!r}")
        return card

    def scenario(self, name: str, overrides: dict[str, Any] | None = None) -> tuple[Scenario, Path]:
        """The scenario of that name with overrides applied, and the folder its files lie in."""
        path = _find("scenario", name, self.scenario_folders)
        scenario = parse(Scenario, override(read_yaml(path), overrides or {}), str(path))
        if scenario.name != name:
            raise InputError(
                f"{path}: key 'name' is {scenario.name!r} but the file is called {name!r}"
            )
        return scenario, path.parent

    def prepare(self, scenario: Scenario, folder: Path) -> tuple[Script, tuple[Seed, ...]]:
        """Everything a round needs, checked. Raises `InputError` for whatever cannot be played."""
        where = f"scenario {scenario.name!r}"
        if scenario.stages:
            raise InputError(
                f"{where} has stages: start it as a course (`aaa run`, POST /v1/courses)"
            )
        scenario = with_lines(scenario, folder)
        with _at(f"{where}: protocol"):
            protocol = plugins.protocol(scenario.protocol.id)
            options = plugins.options_of(
                "protocol", protocol.id, protocol.options, scenario.protocol.options
            )
        with _at(f"{where}: judging"):
            judging = plugins.judging_play(scenario.judging.play)
            judging_options = plugins.options_of(
                "judging play", judging.id, judging.options, scenario.judging.options
            )
        _check_seats(where, protocol, scenario)
        wrong = protocol.lacks and protocol.lacks(options, scenario.seats)
        if wrong:
            raise InputError(f"{where}: protocol {protocol.id!r}: {wrong}")
        cards = {name: self.card(name) for names in scenario.seats.values() for name in names}
        seats = {
            seat: tuple(self._agent(cards[name]) for name in names)
            for seat, names in scenario.seats.items()
        }
        cast = Cast(seats=seats, judging=scenario.judging)
        _check_judges(where, protocol.contestants(options), cast)
        juries = protocol.juries(options, scenario.seats) if protocol.juries else {}
        for jury, judged in juries.items():
            _check_judges(where, judged, cast, jury)
        lacking = judging.lacks and judging.lacks(judging_options, scenario.seats.get("judge", ()))
        if lacking:
            raise InputError(f"{where}: judging.options of {judging.id!r}: {lacking}")
        seeds = load_seeds(scenario.seeds, folder)
        _check_judges_of_authors(where, cast, seeds)
        script = Script(scenario=scenario, cards=cards, cast=cast, source=source_of(scenario))
        return script, seeds

    def _agent(self, card: AgentCard) -> Agent:
        lineage: list[str] = []
        parent = card.parent
        while parent is not None and parent not in lineage:
            lineage.append(parent)
            parent = self.card(parent).parent if parent in self.agents() else None
        return card.agent(tuple(lineage))


GENERATIONS = "agents"
"""Folder of `AAA_HOME` with the cards of trained students."""


def open_catalogue(settings: Settings, *more_scenarios: Path) -> Catalogue:
    """What was trained here, the user's folders, then the shipped ones."""
    return Catalogue(
        (settings.home / GENERATIONS, *settings.agents, shipped("agents")),
        (*more_scenarios, *settings.scenarios, shipped("scenarios")),
    )


def shipped(folder: str) -> Path:
    """A folder that travels with the package: beside it in a checkout, inside it in a wheel."""
    package = Path(aaa.__file__).parent
    inside = package / "_shipped" / folder
    return inside if inside.is_dir() else package.parent / folder


def source_of(scenario: Scenario) -> str:
    """Hash of the source that decides what a session of this scenario asks."""
    return fingerprint(
        [
            plugins.source_hash("protocols", scenario.protocol.id),
            plugins.source_hash("judges", scenario.judging.play),
        ]
    )


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Say where in the scenario a plug-in or an option of it is wrong."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{where}: {error}") from error


def _check_seats(where: str, protocol: plugins.Protocol, scenario: Scenario) -> None:
    for seat, does in protocol.seats.items():
        if seat not in scenario.seats:
            raise InputError(
                f"{where}: nobody holds seat {seat!r} ({does}); "
                f"protocol {protocol.id!r} needs {', '.join(protocol.seats)}"
            )
    known = protocol.seats | protocol.optional
    for seat in scenario.seats:
        if seat not in known:
            raise InputError(
                f"{where}: protocol {protocol.id!r} has no seat {seat!r}; its seats: {', '.join(known)}"
            )


def _check_judges(where: str, seats: tuple[str, ...], cast: Cast, jury: str = "judge") -> None:
    """Somebody in seat `jury` may judge every two agents in `seats`. Raises `InputError`."""
    contestants = [agent for seat in seats for agent in cast[seat]]
    seated = {**cast.seats, "contestant": tuple(contestants), "judge": cast[jury]}
    cast = cast.model_copy(update={"seats": seated})
    for a, b in product([agent.name for agent in contestants], repeat=2):
        if not eligible(cast, (a, b)):
            judges = ", ".join(f"{j.name!r} (family {j.family!r})" for j in cast["judge"])
            raise InputError(
                f"{where}: nobody may judge {a!r} against {b!r}: every judge is one of them or of "
                f"their model, family or lineage ({judges}). Seat a judge of another family, or set "
                "judging.exclude_family: false, which is then written on every pair"
            )


def _check_judges_of_authors(where: str, cast: Cast, seeds: tuple[Seed, ...]) -> None:
    """As `_check_judges`, for answers that are given with their authors."""
    known = {given.authors(s.comparison) for s in seeds if s.comparison is not None}
    for a, b in sorted(known, key=lambda pair: (pair[0].name, pair[1].name)):
        seats = {**cast.seats, given.AUTHORS: (a, b)}
        if not eligible(cast.model_copy(update={"seats": seats}), (a.name, b.name)):
            raise InputError(
                f"{where}: none of {', '.join(j.name for j in cast['judge'])} may judge {a.name!r} "
                f"(family {a.family!r}) against {b.name!r} (family {b.family!r}): take a judge of "
                "another family, or set judging.exclude_family: false"
            )


def _names(folders: tuple[Path, ...]) -> list[str]:
    return sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})


def _find(kind: str, name: str, folders: tuple[Path, ...]) -> Path:
    if re.match(NAME, name):
        for folder in folders:
            path = folder / f"{name}.yaml"
            if path.is_file():
                return path
    known = ", ".join(_names(folders)) or "none"
    raise NotFound(f"no {kind} {name!r}; there are: {known}")
