"""Everything a report says, as one value computed from records: what `report.json` holds.

The same records and the same number give the same value. What cannot be said is a note that tells why, never
an error: a round of one agent, without a checker, without training is a report with fewer sections. Left out:
what it looks like (`document.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aaa.board import Report as Ratings
from aaa.report import changes, lengths, scores
from aaa.report.answers import KIND, Answer, Taught
from aaa.report.changes import Change
from aaa.report.costs import Cost, of_round, of_training
from aaa.report.lengths import Drift, Length
from aaa.report.players import Known, Player, compared, players
from aaa.report.scores import Difference, Rate
from aaa.report.training import Training
from aaa.types import Value

Json = Mapping[str, Any]


class Gate(Value):
    """What the gate of a course found about one generation."""

    stage: str
    student: str
    parent: str
    seeds: int
    wins: int
    ties: int
    losses: int
    win_rate: float | None
    low: float | None
    """One-sided lower end."""
    admitted: bool
    why: str


class RoundRow(Value):
    """A round that the report rests on."""

    id: str
    scenario: str
    status: str
    use: str
    """`answers` are counted, or it `taught`."""
    completed: int
    sessions: int


class Material(Value):
    """What the report is computed from."""

    asked: tuple[str, ...]
    """Rounds and courses that it was asked of."""
    random_seed: int
    compare: tuple[str, str] | None = None
    """(before, after), where somebody said so."""
    rounds: tuple[Json, ...]
    """As the API tells them: those whose answers count."""
    teaching: tuple[Json, ...] = ()
    """Those that students were taught in."""
    answers: tuple[Answer, ...]
    known: Mapping[str, Known]
    """Agent -> what cards and generations tell."""
    taught: Taught = Taught()
    ratings: Ratings | None = None
    gates: tuple[Gate, ...] = ()
    trainings: tuple[Training, ...] = ()
    joules: Mapping[str, float] = {}
    """Round or agent -> what it took, where somebody measured."""
    energy: str = ""
    """What is to be known of energy."""
    notes: tuple[str, ...] = ()


class Findings(Value):
    """The report."""

    asked: tuple[str, ...]
    random_seed: int
    rounds: tuple[RoundRow, ...]
    players: tuple[Player, ...]
    before: str | None
    """The generation that others are held against; `None`: there is only one."""
    after: str | None
    rates: tuple[Rate, ...]
    differences: tuple[Difference, ...]
    """Of every later generation against `before`."""
    gates: tuple[Gate, ...]
    ratings: Ratings | None
    trainings: tuple[Training, ...]
    lengths: tuple[Length, ...]
    drifts: tuple[Drift, ...]
    lost: tuple[Change, ...]
    examples: tuple[Change, ...]
    costs: tuple[Cost, ...]
    energy: str
    notes: tuple[str, ...]


def findings(of: Material) -> Findings:
    """Compute them. Raises `NotFound` for a compared agent that did not answer."""
    found = players(Counter(one.agent for one in of.answers), of.known)
    refused = {gate.student for gate in of.gates if not gate.admitted}
    pair = compared(found, of.compare, refused)
    passes = scores.scores_of(of.answers)
    parts = scores.parts_of(of.answers, of.taught)
    later = _later(found, pair)
    gaps = [
        scores.difference(part, pair[0], agent, passes)
        for part in parts
        for agent in later
        if pair is not None
    ]
    costs = _costs(of)
    return Findings(
        asked=of.asked,
        random_seed=of.random_seed,
        rounds=tuple(_rows(of)),
        players=found,
        before=None if pair is None else pair[0],
        after=None if pair is None else pair[1],
        rates=tuple(
            made
            for part in parts
            for one in found
            if (made := scores.rate(part, one.agent, passes.get(one.agent, {}))).share.of
        ),
        differences=tuple(gap for gap in gaps if gap.points.of),
        gates=of.gates,
        ratings=of.ratings,
        trainings=of.trainings,
        lengths=tuple(
            lengths.length(p.agent, [a for a in of.answers if a.agent == p.agent]) for p in found
        ),
        drifts=tuple(_drifts(of, pair, later, passes)),
        lost=() if pair is None else changes.lost(*pair, of.answers, passes, of.taught),
        examples=()
        if pair is None
        else changes.examples(*pair, of.answers, of.taught, of.random_seed),
        costs=costs,
        energy=of.energy,
        notes=(*of.notes, *_absent(of, found, pair, passes)),
    )


def _later(found: Sequence[Player], pair: tuple[str, str] | None) -> list[str]:
    """The generations that are held against the first; where two were named, the second of them."""
    if pair is None:
        return []
    first = next(one for one in found if one.agent == pair[0])
    own = [one.agent for one in found if one.line == first.line]
    own = own[own.index(pair[0]) + 1 :]
    return own if pair[1] in own else [pair[1]]


def _rows(of: Material) -> list[RoundRow]:
    return [
        RoundRow(
            id=one["id"],
            scenario=one["scenario"],
            status=one["status"],
            use=use,
            completed=one["sessions"]["completed"],
            sessions=one["sessions"]["total"],
        )
        for use, rounds in (("answers", of.rounds), ("taught", of.teaching))
        for one in rounds
    ]


def _drifts(
    of: Material, pair: tuple[str, str] | None, later: Sequence[str], passes: scores.Scores
) -> list[Drift]:
    if pair is None:
        return []
    old = passes.get(pair[0], {})
    return [
        lengths.drift(
            pair[0],
            agent,
            of.answers,
            [seed for seed, share in passes.get(agent, {}).items() if share > old.get(seed, 1)],
        )
        for agent in later
    ]


def _costs(of: Material) -> tuple[Cost, ...]:
    every = [of_round(one) for one in (*of.teaching, *of.rounds)]
    every += [of_training(one.agent, one.seconds) for one in of.trainings]
    return tuple(
        one.model_copy(update={"joules": of.joules[one.what]}) if one.what in of.joules else one
        for one in every
    )


def _absent(
    of: Material,
    found: Sequence[Player],
    pair: tuple[str, str] | None,
    passes: scores.Scores,
) -> list[str]:
    """What the report cannot say, and why."""
    said = []
    if not of.answers:
        return [
            "No answer to a seed's own prompt is on record here, so there is nothing to count. An answer "
            "counts where an agent was asked the prompt and nothing else, as in an arena round."
        ]
    if not passes:
        said.append(
            "No program could tell whether an answer passes: the seeds have no checker, so there are no pass "
            "rates."
        )
    if pair is None:
        said.append(
            f"Nobody is held against an earlier generation: {found[0].agent} is the only generation "
            "of its line here."
        )
    elif of.compare is None and found[0].line != found[-1].line:
        said.append(f"Compared is the line of {found[0].line}; others are shown beside it.")
    if not of.taught.known:
        said.append(
            "What the students were taught with is not known, so no seed is called seen or unseen; "
            "--taught FILE tells."
        )
    if not any(tag.startswith(KIND) for one in of.answers for tag in one.tags):
        said.append(f"No seed has a tag {KIND}…, so there are no figures by kind of task.")
    if of.ratings is None or not of.ratings.boards:
        said.append("No two agents met in a decided comparison, so there are no ratings.")
    if not of.trainings:
        said.append("Nobody here is known to have been trained, so there are no training curves.")
    return said
