"""Made-up records, with whatever a test is about put in its place."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from aaa.corpus.selection import parse
from aaa.corpus.sieve import Around, Sieve, Source, limits, sifted
from aaa.records import Decided, Record, Said, Vote, Whence, record

CHOSEN = "The sky is blue since air scatters short waves of light more than long ones."
REJECTED = "It is blue because of the sea, which is blue too, and the sky is a mirror of it."


def said(text: str, agent: str = "pupil", **changes: Any) -> Said:
    plain = Said(1, "student", agent, "draft", text, "m-1", "stop", 10, 20, 0.5, None)
    return plain._replace(**changes)


def vote(prefers: str | None = "a", judge: str = "j", **changes: Any) -> Vote:
    return Vote(judge, "ab", 3, prefers, None, "", None, None)._replace(**changes)


def alone(judge: str, a: float, b: float) -> list[Vote]:
    """What a judge who sees each answer alone casts."""
    return [
        vote(None, judge, order=side, scores={side: points})
        for side, points in (("a", a), ("b", b))
    ]


def made(
    n: int = 0,
    *,
    chosen: str | Said = CHOSEN,
    rejected: str | Said = REJECTED,
    seed: Mapping[str, Any] | None = None,
    votes: Iterable[Vote] = (),
    asked: str = "Why is the sky blue, and not green or red, at noon?",
    whence: Mapping[str, Any] | None = None,
    **decided: Any,
) -> Record:
    """The record of pair `p{n}`, of seed `s{n}` where no other is given; `a` won."""
    own: dict[str, Any] = {
        "id": f"s{n}",
        "tags": [],
        "reference": None,
        "parent": None,
        "family": f"s{n}",
    }
    own |= seed or {}
    context = [{"role": "user", "content": asked}]
    where = Whence("r1", n, "small", "co_teaching", None, own, {}, decided.get("context", context))
    what = Decided(
        id=f"p{n}",
        edge="revision",
        context=context,
        chosen=said(chosen) if isinstance(chosen, str) else chosen,
        rejected=said(rejected) if isinstance(rejected, str) else rejected,
        winner="a",
        judging="pairwise",
        margin=None,
        related_judges=False,
        reason="",
        votes=list(votes) or [vote()],
    )
    return record(where._replace(**dict(whence or {})), what._replace(**decided))


def source(records: list[Record], size: int = 3) -> Source:
    """These records, in chunks, as often as they are asked for."""

    async def passes() -> AsyncGenerator[list[Record], None]:
        for first in range(0, len(records), size):
            yield records[first : first + size]

    return passes


async def fate(
    records: list[Record], *selectors: tuple[str, str], around: Around | None = None
) -> dict[str, str | None]:
    """Pair -> why it was dropped, `None` where it was kept."""
    around, selection, passes = around or Around(), parse(selectors), source(records)
    sieve = Sieve(selection, around, await limits(passes, selection, around))
    return {one.record["id"]: one.dropped async for some in sifted(passes, sieve) for one in some}


async def kept(records: list[Record], *selectors: tuple[str, str]) -> list[str]:
    """Ids of the pairs that are kept, in their order."""
    return [id for id, dropped in (await fate(records, *selectors)).items() if dropped is None]
