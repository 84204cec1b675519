"""Selectors: which pairs are wanted. One value, one parser, for the command line and for REST alike.

A selector takes a record away with its own name as the reason. Left out: what is wrong with a pair
(`gates.py`), and how many of the taken ones are wanted (`quota.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from aaa.corpus.families import part_of
from aaa.curriculum.attributes import split
from aaa.errors import InputError
from aaa.quality import Gate
from aaa.records import Record, by_checker, marked_alone, score
from aaa.transcripts import Transcript
from aaa.types import Value
from aaa.wording import sentences

Reason = str
"""Why a record is not taken: a selector's, a gate's or a quota's name."""


class Selection(Value):
    """What is asked of an export beside rounds and format; what is not given takes everything."""

    stage: tuple[str, ...] = ()
    """Stages of a course whose rounds count."""
    protocol: tuple[str, ...] = ()
    edge: tuple[str, ...] = ()
    """What was compared: `revision`, `peer` …"""
    seat: tuple[str, ...] = ()
    """Seats that both answers were given from."""
    agent: tuple[str, ...] = ()
    """Agents of whom one at least gave an answer."""
    student: str | None = None
    """On-policy pairs: both answers are this agent's own."""
    tag: tuple[str, ...] = ()
    """Tags of which the seed has one at least."""
    outcome: tuple[Literal["win", "tie", "flip", "error", "abstain"], ...] = ()
    """Of verdicts, for the format `verdicts`; only a win makes a pair."""
    judging: tuple[str, ...] = ()
    """Judging plays, or rules, that decided."""
    judge: tuple[str, ...] = ()
    """Judges whose ballots count, by `judges`."""
    judges: Literal["any", "all", "only", "unanimous"] = "any"
    """`any` of `judge` cast a ballot, `all` of them did, no other judge did (`only`; checkers are none);
    `unanimous`: of the ballots that prefer a side (those of `judge`, where it is given), all prefer the
    chosen answer; of answers that were marked alone, by the judge's scores of both."""
    min_margin: float | None = Field(None, allow_inf_nan=False)
    """Least margin, in the judging play's unit; a verdict without one is not taken."""
    max_margin: float | None = Field(None, allow_inf_nan=False)
    min_score: float | None = Field(None, allow_inf_nan=False)
    """Least score of the chosen answer itself, in the judging play's unit; without one it is not taken."""
    split: Literal["train", "test"] | None = None
    """One part of a split by seed family; `None`: both."""
    test_share: float = Field(0.1, ge=0, le=0.9)
    """Share of families in `test`."""
    max_per_seed: int | None = Field(None, ge=1)
    """Most pairs of a seed, those first decided first."""
    balance: str | None = None
    """As many pairs of each value of this attribute (`topic` of `topic:algebra`; `tag` for plain tags)."""
    n: int | None = Field(None, ge=1)
    """Exactly so many pairs, drawn by a hash of their ids; fewer is an error."""
    gate: tuple[Gate, ...] = ()
    """Quality gates, each perhaps with its threshold: `length_ratio=3`."""

    @field_validator("gate", mode="before")
    @classmethod
    def _gates(cls, given: Any) -> Any:
        named = {one.name: one for text in given for one in Gate.parse(text)}  # the last one holds
        return tuple(named.values())

    @model_validator(mode="after")
    def _window(self) -> "Selection":
        low, high = self.min_margin, self.max_margin
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_margin {low} is above max_margin {high}: no pair has both")
        if self.judges in ("all", "only") and not self.judge:
            raise ValueError(f"judges {self.judges!r} needs `judge`: of whom?")
        return self

    @property
    def needs_two_passes(self) -> bool:
        """Whether what is taken depends on all that could be."""
        return self.n is not None or self.balance is not None


MANY = frozenset(
    name for name, field in Selection.model_fields.items() if str(field.annotation)[:5] == "tuple"
)
"""Selectors that may be given several times."""
OF_SESSIONS = frozenset({"stage", "protocol", "tag", "split", "test_share"})
"""Selectors that make sense for whole sessions too."""


def parse(given: Iterable[tuple[str, str]]) -> Selection:
    """The selection that (name, value) pairs mean, as a query string or a command has them.

    Raises `InputError` naming what is unknown, with the valid choices.
    """
    found: dict[str, Any] = {}
    for name, value in given:
        if name in MANY:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise InputError(f"selector {name!r} is given twice; it takes one value")
        else:
            found[name] = value
    try:
        return Selection.model_validate(found)
    except ValidationError as error:
        raise InputError("; ".join(sentences(Selection, error, "selector"))) from error


def for_sessions(selection: Selection, format: str) -> None:
    """Raises `InputError` where a selector was given that a format of whole sessions cannot obey."""
    allowed = OF_SESSIONS | ({"outcome", "edge"} if format == "verdicts" else set())
    wrong = sorted(selection.model_fields_set - allowed)
    if wrong:
        raise InputError(
            f"format {format!r} is made of whole sessions and cannot obey {', '.join(wrong)}; "
            f"selectors that go with it: {', '.join(sorted(allowed))}"
        )


def takes_session(transcript: Transcript, selection: Selection) -> bool:
    """Whether a session is wanted by a format of whole sessions."""
    seed = transcript.seed
    part = part_of(transcript.family or seed.id, selection.test_share)
    return (
        (not selection.stage or transcript.stage in selection.stage)
        and (not selection.protocol or transcript.protocol in selection.protocol)
        and (not selection.tag or not set(seed.tags).isdisjoint(selection.tag))
        and (selection.split is None or part == selection.split)
    )


def takes_row(row: Mapping[str, Any], selection: Selection) -> bool:
    """Whether a row of such a format is wanted: of `verdicts`, by outcome and edge."""
    return (not selection.outcome or row["outcome"] in selection.outcome) and (
        not selection.edge or row["edge"] in selection.edge
    )


def for_pairs(selection: Selection) -> None:
    """Raises `InputError` where outcomes are wanted that make no pair."""
    if set(selection.outcome) - {"win"}:
        raise InputError(
            f"outcome {', '.join(selection.outcome)}: only `win` makes a pair; "
            "format 'verdicts' has the others"
        )


Test = Callable[[Record, Selection], bool]


def _judged(record: Record, wanted: Selection) -> bool:
    """Whether who judged is who was wanted."""
    ballots = record["judging"]["ballots"]
    names = set(wanted.judge)
    there = {b["judge"] for b in ballots if not by_checker(b["judge"]) or b["judge"] in names}
    if wanted.judges == "unanimous":
        alone = marked_alone(ballots)
        sides = {
            b["prefers"] or alone.get(b["judge"])
            for b in ballots
            if not names or b["judge"] in names
        }
        return sides & {"chosen", "rejected"} == {"chosen"}
    if wanted.judges == "all":
        return names <= there
    return bool(names & there) and (wanted.judges == "any" or there <= names)


def _both(record: Record, key: str) -> set[str]:
    return {record["chosen"][key], record["rejected"][key]}


def _at_least(value: float | None, least: float) -> bool:
    return value is not None and value >= least


TESTS: Mapping[str, Test] = {
    "stage": lambda r, s: r["stage"] in s.stage,
    "protocol": lambda r, s: r["protocol"] in s.protocol,
    "edge": lambda r, s: r["edge"] in s.edge,
    "seat": lambda r, s: _both(r, "seat") <= set(s.seat),
    "agent": lambda r, s: not _both(r, "agent").isdisjoint(s.agent),
    "student": lambda r, s: _both(r, "agent") == {s.student},
    "tag": lambda r, s: not set(r["seed"]["tags"]).isdisjoint(s.tag),
    "judging": lambda r, s: r["judging"]["play"] in s.judging,
    "judge": _judged,
    "min_margin": lambda r, s: _at_least(r["judging"]["margin"], s.min_margin or 0.0),
    "max_margin": lambda r, s: (
        r["judging"]["margin"] is not None and r["judging"]["margin"] <= (s.max_margin or 0.0)
    ),
    "min_score": lambda r, s: _at_least(score(r, "chosen"), s.min_score or 0.0),
    "split": lambda r, s: part_of(r["seed"]["family"], s.test_share) == s.split,
}
"""Selector -> whether a record is wanted, asked only where the selector is given."""


def tests(selection: Selection) -> dict[str, Test]:
    """Those of `TESTS` that this selection asks."""
    given = set(selection.model_fields_set)
    if selection.judges == "unanimous":
        given.add("judge")
    return {name: test for name, test in TESTS.items() if name in given}


def groups(record: Record, attribute: str) -> tuple[str, ...]:
    """Values of that attribute on the record's seed, each once."""
    tags = map(split, record["seed"]["tags"])
    return tuple(Counter(value for name, value in tags if name == attribute))
