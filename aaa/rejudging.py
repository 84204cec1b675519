"""Judging recorded answers again: a round's verdicts as seeds of a new round, and what became of them.

Nothing is generated anew. Each verdict on record becomes a comparison of its two answers (protocol
`given`), which says where it comes from and how it was decided then; the new round adds its own ballots.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from aaa.records import asks_the_same, chat
from aaa.transcripts import Transcript
from aaa.types import Agent, Answer, Cast, Comparison, Seed, Source, Turn, Value, Verdict

AGAIN = "-rejudged"

TOLD = ("critique", "critique_control", "principle")
"""Edges that are not judged again: their judge was told what to look for, which no verdict's context has."""

Change = Literal["kept", "reversed", "lost", "won", "none", "unjudged"]


def rejudged(scenario: str) -> str:
    """Name of the scenario that judges rounds of that one again."""
    return f"{scenario.removesuffix(AGAIN)}{AGAIN}"


class Changes(Value):
    """What became of an older round's verdicts. The six counts add up to `verdicts`."""

    verdicts: int
    kept: int = 0
    """The same answer won again: the pair stays."""
    reversed: int = 0
    """The other answer won: the pair turns around."""
    lost: int = 0
    """A pair then, none now."""
    won: int = 0
    """No pair then, one now."""
    none: int = 0
    """No pair then or now."""
    unjudged: int = 0
    """Not judged again yet, or its session failed."""
    outcomes: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Outcome then -> outcome now -> how often."""


def comparisons(transcript: Transcript, cast: Cast) -> Iterator[Seed]:
    """Each verdict of a session that can be repeated as a seed of its own, in their order."""
    for index, verdict in enumerate(transcript.recorded.notes):
        if not isinstance(verdict, Verdict) or verdict.edge in TOLD:
            continue
        seed = transcript.seed
        earlier = None if seed.comparison is None else seed.comparison.source
        source = Source(
            round=transcript.round,
            session=transcript.session,
            verdict=index,
            outcome=verdict.outcome,
            winner=verdict.winner,
            seed=(earlier and earlier.seed) or seed.id,
        )
        known = Comparison(
            a=_answer(transcript, cast, transcript.turn(verdict.a)),
            b=_answer(transcript, cast, transcript.turn(verdict.b)),
            label=None if seed.comparison is None else seed.comparison.label,
            labeller="" if seed.comparison is None else seed.comparison.labeller,
            edge=verdict.edge,
            source=source,
        )
        new: dict[str, object]
        new = {
            "id": f"{seed.id}/{index}",
            "prompt": verdict.context,
            "parent": seed.id,  # of one family, so that a split keeps both rounds' pairs together
            "comparison": known,
        }
        context, prompt = chat(verdict.context), chat(seed.prompt)
        if not asks_the_same(context, prompt, verdict.edge):  # a later turn, an evolved prompt
            new |= {"reference": None, "checker": None}
        yield seed.model_copy(update=new)


def changes(transcripts: Iterable[Transcript]) -> Changes:
    """What the sessions of a round made from `comparisons` say of the round that it came from."""
    counts: Counter[Change] = Counter()
    outcomes: dict[str, Counter[str]] = {}
    for transcript in transcripts:
        known = transcript.seed.comparison
        if known is None or known.source is None:
            continue
        now = transcript.recorded.verdicts[-1] if transcript.recorded.verdicts else None
        counts[change(known.source, now)] += 1
        if now is not None:
            outcomes.setdefault(known.source.outcome, Counter())[now.outcome] += 1
    return Changes(
        verdicts=counts.total(),
        outcomes={then: dict(sorted(now.items())) for then, now in sorted(outcomes.items())},
        **{str(name): count for name, count in counts.items()},
    )


def change(then: Source, now: Verdict | None) -> Change:
    """What became of one verdict; `None`: nothing yet."""
    if now is None:
        return "unjudged"
    if then.winner is None:
        return "none" if now.winner is None else "won"
    if now.winner is None:
        return "lost"
    return "kept" if now.winner == then.winner else "reversed"


def _answer(transcript: Transcript, cast: Cast, turn: Turn) -> Answer:
    return Answer(
        text=turn.text,
        author=_author(transcript, cast, turn.call.agent),
        finish_reason=turn.reply.finish_reason,
    )


def _author(transcript: Transcript, cast: Cast, name: str) -> Agent | None:
    """Whoever wrote a turn: of the cast, or known from an earlier comparison; else nobody we know."""
    known = transcript.seed.comparison
    earlier = () if known is None else (known.a.author, known.b.author)
    agents = [*(agent for held in cast.seats.values() for agent in held), *earlier]
    return next((agent for agent in agents if agent is not None and agent.name == name), None)
