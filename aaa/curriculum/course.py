"""A course: the stages of a scenario as steps in order, and each step's play as a scenario of its own.

A stage draws its seeds, plays its protocols on them, writes the training data, has the next generation
trained, and lets it in if it beats its parent. Every step is done once and leaves what it found, so a course
goes on after whatever happened between two of them. Left out: doing the steps (`cluster/conductor.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from aaa import plugins
from aaa.catalogue import Catalogue, Script
from aaa.curriculum.hand_off import check_blanks
from aaa.curriculum.sampling import check_weights, draw
from aaa.errors import InputError
from aaa.prompts import shown
from aaa.scenario import (
    STUDENT,
    AgentCard,
    InlineSeed,
    ProtocolChoice,
    Scenario,
    Seeds,
    Slice,
    Stage,
    StagePlay,
)
from aaa.seeds import load_seeds
from aaa.types import Seed, Value

StepKind = Literal["draw", "play", "data", "wait", "train", "gate", "adopt"]
NOW, BEFORE, LINE = "$student", "$parent", "$generations"
OPPONENT = "opponent"


class Step(Value):
    """One thing that a course does. `stage` and `play` count from 0."""

    position: int
    stage: int
    kind: StepKind
    play: int | None = None
    """Which of the stage's plays; `None` for all other kinds."""


class Learner(NamedTuple):
    """Who is taught, and what it was before; `parent` is `None` for a student that was not trained here."""

    student: str
    parent: str | None = None
    ancestors: tuple[str, ...] = ()
    """The generations before it, oldest first."""


class CourseScript(Value):
    """A course's unchanging part, stored with it."""

    scenario: Scenario
    cards: dict[str, AgentCard]
    """Every card that its plays name, and the ancestors of these."""
    folder: str = ""
    """Where the scenario's file lies."""


class Prepared(NamedTuple):
    """A course, checked whole."""

    script: CourseScript
    pool: tuple[Seed, ...]
    apart: Mapping[str, tuple[Seed, ...]]
    """What they are for (`use_of` a step) -> held-out seeds."""
    plays: tuple[tuple[Step, Script, tuple[Seed, ...]], ...]
    """Every play as it would be by the given weights, with the student as it is now."""


def steps(scenario: Scenario) -> tuple[Step, ...]:
    """All steps of the course, in order."""
    kinds: list[tuple[int, StepKind, int | None]] = []
    for number, stage in enumerate(scenario.stages):
        kinds += [(number, "draw", None)] if stage.slice else []
        kinds += [(number, "play", play) for play in range(len(stage.plays))]
        kinds += [(number, "data", None)] if stage.data else []
        kinds += [(number, "wait", None)] if stage.wait else []
        if stage.train is not None:
            kinds.append((number, "train", None))
            kinds += [(number, "gate", None)] if stage.gate else []
            kinds.append((number, "adopt", None))
    return tuple(
        Step(position=n, stage=stage, kind=kind, play=play)
        for n, (stage, kind, play) in enumerate(kinds)
    )


def size_of(slice: Slice, pool: int) -> int:
    """How many seeds a stage with that slice takes of so many."""
    if slice.range is not None:
        first, last = slice.range
        return last - first
    return slice.size or int((slice.share or 0) * pool + 1e-9)  # 0.29 of 100 is 29


def take(
    scenario: Scenario,
    number: int,
    pool: Sequence[Seed],
    used: set[str],
    behind: Mapping[str, float] | None = None,
) -> tuple[Seed, ...]:
    """The seeds of stage `number`, which has a slice: none that is in `used`, none of another stage's range.

    `behind`: tag -> weight by the skill gap. Raises `InputError`.
    """
    stage = scenario.stages[number]
    assert stage.slice is not None
    where = f"scenario {scenario.name!r}: stage {stage.name!r}"
    if stage.slice.range is not None:
        first, last = stage.slice.range
        if last > len(pool):
            raise InputError(f"{where}: `range` ends at {last}, but there are {len(pool)} seeds")
        return tuple(pool[first:last])
    size = size_of(stage.slice, len(pool))
    if size < 1:
        raise InputError(f"{where}: its slice is empty: {stage.slice.share:g} of {len(pool)} seeds")
    slices = [s.slice for s in scenario.stages if s.slice is not None]
    ranges = [one.range for one in slices if one.range is not None]
    kept = {seed.id for first, last in ranges for seed in pool[first:last]}
    left = [seed for seed in pool if seed.id not in used and seed.id not in kept]
    known = {tag for seed in left for tag in seed.tags}
    try:
        check_weights(stage.weights, pool)
        weights = {tag: factor for tag, factor in stage.weights.items() if tag in known}
        return draw(left, size, scenario.random_seed, weights, behind)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def scenario_of(scenario: Scenario, step: Step, who: Learner, seeds: Sequence[Seed]) -> Scenario:
    """The scenario of one play of a course, or of its gate."""
    stage = scenario.stages[step.stage]
    play = _duel(stage) if step.play is None else stage.plays[step.play]
    seats = _seats(scenario, stage, step, play, who)
    protocol = play.protocol.id.rpartition(".")[2]
    part = "gate" if step.play is None else f"{step.play + 1}-{protocol}"
    return Scenario(
        name=f"{scenario.name}.{stage.name}.{part}"[:100],
        description=f"Stage {stage.name} of {scenario.name}: {protocol}",
        protocol=play.protocol,
        seats=seats,
        seeds=Seeds(inline=tuple(InlineSeed.model_validate(s.model_dump()) for s in seeds)),
        judging=play.judging or scenario.judging,
        budget_usd=scenario.budget_usd,
        budget_tokens=scenario.budget_tokens,
        budget_calls=scenario.budget_calls,
        concurrency=scenario.concurrency,
        random_seed=scenario.random_seed + step.position,
    )


def _duel(stage: Stage) -> StagePlay:
    """How a trained student meets its parent at the gate."""
    told = stage.gate.options if stage.gate else {}
    return StagePlay(protocol=ProtocolChoice(id="arena", options={"mode": "target", **told}))


def nobody_yet(scenario: Scenario, step: Step, who: Learner) -> str | None:
    """Why a play cannot be played by a student of whom no generation was let in; `None`: it can.

    It seats nobody but the parent, or but the student's line, somewhere.
    """
    stage = scenario.stages[step.stage]
    if step.play is None or who.parent is not None or who.ancestors:
        return None
    lone = [
        seat for seat, held in stage.plays[step.play].seats.items() if held in ((BEFORE,), (LINE,))
    ]
    return f"{who.student!r} has no parent yet, for seat {lone[0]!r}" if lone else None


def _seats(
    scenario: Scenario, stage: Stage, step: Step, play: StagePlay, who: Learner
) -> dict[str, tuple[str, ...]]:
    """Who sits where, the learner under its present name; seats that the protocol does not know are left."""
    if step.play is None:
        duel = {STUDENT: (who.student,), OPPONENT: (str(who.parent),)}
        return duel | {"judge": scenario.seats.get("judge", ())}
    protocol = plugins.protocol(play.protocol.id)
    known = protocol.seats | protocol.optional
    given = {seat: held for seat, held in scenario.seats.items() if seat in known}
    given |= {STUDENT: (NOW,)} if STUDENT in given else {}
    given |= play.seats
    before = () if who.parent is None else (who.parent,)
    names = {NOW: (who.student,), BEFORE: before, LINE: (*who.ancestors, who.student)}
    found: dict[str, tuple[str, ...]] = {}
    for seat, held in given.items():
        kept = tuple(dict.fromkeys(name for one in held for name in names.get(one, (one,))))
        if kept:
            found[seat] = kept
        elif seat in protocol.seats or seat in play.seats:
            raise InputError(
                f"scenario {scenario.name!r}: stage {stage.name!r}: seat {seat!r} would be empty, since "
                f"{who.student!r} has no parent yet; seat somebody beside {BEFORE}"
            )
    return found


def prepare(catalogue: Catalogue, scenario: Scenario, folder: Path) -> Prepared:
    """Everything a course needs, checked: seeds, slices, gates, every play. Raises `InputError`."""
    check_blanks(scenario)
    pool = load_seeds(scenario.seeds, folder)
    apart = {
        use: held_out(scenario, step, told, pool, folder)
        for step in steps(scenario)
        if (use := use_of(scenario, step)) and (told := _seeds_apart(scenario, step))
    }
    now = scenario.seats[STUDENT][0]
    line, known = [now], _with_children(catalogue, now, 2 * len(scenario.stages))
    used: set[str] = set()
    plays: list[tuple[Step, Script, tuple[Seed, ...]]] = []
    taken: tuple[Seed, ...] = ()
    cards: dict[str, AgentCard] = {}
    for step in steps(scenario):
        if step.kind == "draw":
            taken = take(scenario, step.stage, pool, used)
            used |= {seed.id for seed in taken}
        if step.kind in ("wait", "train"):
            line.append(f"{CHILD}-{len(line)}")
        if step.kind in ("play", "gate"):
            who = Learner(line[-1], next(iter(line[-2:-1]), None), tuple(line[:-1]))
            on = apart.get(use_of(scenario, step) or "", taken)
            script, seeds = known.prepare(scenario_of(scenario, step, who, on), folder)
            plays.append((step, script, seeds))
    for _, script, _ in plays:
        cards |= {name: card for name, card in script.cards.items() if name not in line[1:]}
    return Prepared(
        CourseScript(scenario=scenario, cards=cards, folder=str(folder.resolve())),
        pool,
        apart,
        tuple(plays),
    )


CHILD = "next-generation"
"""With a number after it: a student that is not trained yet, where what it will play is checked."""


def _with_children(catalogue: Catalogue, parent: str, most: int) -> Catalogue:
    """The catalogue, as if the parent's next generations were in it already."""
    card = catalogue.card(parent)
    made, before = {}, parent
    for number in range(1, most + 1):
        name = f"{CHILD}-{number}"
        told = {"name": name, "parent": before, "generation": card.generation + number}
        made[name], before = card.model_copy(update=told), name
    return Catalogue(catalogue.agent_folders, catalogue.scenario_folders, made)


def use_of(scenario: Scenario, step: Step) -> str | None:
    """What the held-out seeds of a step are kept under; `None`: it has none."""
    stage = scenario.stages[step.stage]
    if step.kind == "gate":
        return f"gate:{stage.name}"
    if step.kind == "play" and stage.slice is None:
        return f"play:{stage.name}:{step.play}"
    return None


def _seeds_apart(scenario: Scenario, step: Step) -> Seeds | None:
    stage = scenario.stages[step.stage]
    if step.play is None:
        return stage.gate.seeds if stage.gate else None
    seeds = stage.plays[step.play].seeds
    return seeds if isinstance(seeds, Seeds) else None


def held_out(
    scenario: Scenario, step: Step, told: Seeds, pool: Sequence[Seed], folder: Path
) -> tuple[Seed, ...]:
    """Held-out seeds of a gate or a play. Raises `InputError` where one of them is taught with."""
    seeds = load_seeds(told, folder)
    taught = {seed.id for seed in pool} | {shown(seed.prompt).strip() for seed in pool}
    for seed in seeds:
        if seed.id in taught or shown(seed.prompt).strip() in taught:
            part = "gate" if step.play is None else f"play {step.play + 1}"
            raise InputError(
                f"scenario {scenario.name!r}: stage {scenario.stages[step.stage].name!r}: seed {seed.id!r} "
                f"of its {part} is among the scenario's seeds; held-out seeds must not be taught with"
            )
    return seeds
