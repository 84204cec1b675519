"""Sessions as they were recorded, and the pairs that follow from them: the input of every exporter.

A pair is derived from a verdict and the turns it is about, never typed in. Every verdict ends as one
pair or is dropped with its outcome as the reason, so counts add up.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from aaa.types import Messages, Recorded, Seed, Turn, Value, Verdict, fingerprint


class Transcript(Value):
    """One session's journal, with what it takes to read it alone."""

    round: str
    session: int
    scenario: str
    protocol: str
    status: str
    seed: Seed
    recorded: Recorded
    lineage: Mapping[str, tuple[str, ...]] = {}
    """Agent -> names of the agents it was trained from, nearest first."""
    stage: str | None = None
    """Of the course that the round was a step of; `None`: of none."""
    family: str = ""
    """Id of the seed at the head of this one's line of evolved seeds; empty: the seed itself."""

    def turn(self, index: int) -> Turn:
        """The turn of that index. Raises `KeyError`."""
        for turn in self.recorded.turns:
            if turn.index == index:
                return turn
        raise KeyError(index)


class Pair(Value):
    """Chosen and rejected answers to the same context, with where they come from."""

    id: str
    """Same content, same id: it does not depend on the round, the time or the machine."""
    context: Messages
    chosen: Turn
    rejected: Turn
    verdict: Verdict


def pair_id(seed: Seed, verdict: Verdict, a: Turn, b: Turn) -> str | None:
    """Id of the pair this verdict makes, or `None` where it makes none."""
    if verdict.outcome != "win":
        return None
    chosen, rejected = (a, b) if verdict.winner == "a" else (b, a)
    content = [
        seed.id,
        verdict.edge,
        [m.model_dump() for m in verdict.context],
        [chosen.index, chosen.call.agent, chosen.text],
        [rejected.index, rejected.call.agent, rejected.text],
    ]
    return "p" + fingerprint(content)[:23]


def pairs(transcript: Transcript) -> Iterator[Pair]:
    """The session's pairs, in the order in which they were decided."""
    turns = {turn.index: turn for turn in transcript.recorded.turns}
    for verdict in transcript.recorded.verdicts:
        a, b = turns[verdict.a], turns[verdict.b]
        id = pair_id(transcript.seed, verdict, a, b)
        if id is not None:
            chosen, rejected = (a, b) if verdict.winner == "a" else (b, a)
            yield Pair(
                id=id, context=verdict.context, chosen=chosen, rejected=rejected, verdict=verdict
            )


def dropped(transcript: Transcript) -> Counter[str]:
    """Reason -> how many verdicts made no pair for it."""
    return Counter(v.outcome for v in transcript.recorded.verdicts if v.outcome != "win")
