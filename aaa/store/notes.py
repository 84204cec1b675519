"""What plays conclude: verdicts with their ballots, and every other note; written by a session's owner only.

Verdicts have tables of their own, since pairs, ratings and counts are made from them; other notes are kept as
they are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import LeaseLost
from aaa.failpoints import hit
from aaa.store.events import append
from aaa.store.leases import epochs_of, lost
from aaa.store.rows import hexed, insert_many, many
from aaa.store.tables import ballots, notes, verdicts
from aaa.store.turns import insert_messages, message_hash
from aaa.transcripts import pair_id
from aaa.types import Ballot, Note, Seed, Turn, Verdict

LONG = {"prompt", "context", "steps", "ballots"}
"""Fields of a note that its event leaves out: they are in the session."""


class Place(NamedTuple):
    """Where a note stands: under whose claim, as which note of the session, after how many turns."""

    round: str
    session: int
    epoch: int
    number: int
    after: int


class Noted(NamedTuple):
    """A note to be recorded."""

    place: Place
    note: Note
    seed: Seed
    turns: Mapping[int, Turn]
    """Of the session, by index."""

    @property
    def at(self) -> tuple[int, int]:
        """(session, index): which note it is."""
        return self.place.session, self.place.number


async def write_notes(
    connection: AsyncConnection, noted: Sequence[Noted]
) -> Sequence[LeaseLost | None]:
    """Record different notes, each once, in this transaction; `LeaseLost` for those of lost sessions."""
    epochs = await epochs_of(connection, {n.place.session for n in noted})
    mine = [n for n in noted if epochs.get(n.place.session) == n.place.epoch]
    made = await _verdicts(connection, [n for n in mine if isinstance(n.note, Verdict)])
    made |= await _others(connection, [n for n in mine if not isinstance(n.note, Verdict)])
    if made:
        hit("verdict.inside")
    for round_id in sorted({n.place.round for n in mine}):
        happened = [made[n.at] for n in mine if n.place.round == round_id and n.at in made]
        counters = Counter[str]()
        for _, data in happened:
            if "outcome" in data:
                counters[f"verdicts_{data['outcome']}"] += 1
                counters["pairs"] += data["pair"] is not None
        if happened:
            await append(connection, round_id, happened, counters, late=True)
    return [None if n in mine else lost(n.place.session, n.place.epoch) for n in noted]


Made = dict[tuple[int, int], tuple[str, dict[str, Any]]]
"""(session, index) -> what happened: kind and data of an event."""


async def _others(connection: AsyncConnection, noted: Sequence[Noted]) -> Made:
    if not noted:
        return {}
    plain = {n.at: n.note.model_dump(mode="json") for n in noted}
    rows = (
        {
            "session_id": n.place.session,
            "index": n.place.number,
            "after": n.place.after,
            "kind": n.note.kind,
            "data": plain[n.at],
        }
        for n in noted
    )
    new = await connection.execute(NOTES, many(rows))
    made: Made = {}
    for session, index in new:
        short = {key: value for key, value in plain[session, index].items() if key not in LONG}
        made[session, index] = ("note", {"session": session, "index": index, **short})
    return made


async def _verdicts(connection: AsyncConnection, noted: Sequence[Noted]) -> Made:
    if not noted:
        return {}
    by_place = {n.at: n for n in noted}
    verdicts_of = {n.at: n.note for n in noted if isinstance(n.note, Verdict)}
    pairs = {
        at: pair_id(by_place[at].seed, v, by_place[at].turns[v.a], by_place[at].turns[v.b])
        for at, v in verdicts_of.items()
    }
    await insert_messages(connection, (m for v in verdicts_of.values() for m in v.context))
    rows = (_row(by_place[at].place, v, pairs[at]) for at, v in verdicts_of.items())
    new = {(s, i) for s, i in await connection.execute(VERDICTS, many(rows))}
    cast = [_ballot(at, number, ballot) for at in sorted(new)
            for number, ballot in enumerate(verdicts_of[at].ballots)]  # fmt: skip
    if cast:
        await connection.execute(BALLOTS, many(cast))
    return {
        at: ("verdict", _event(at, verdicts_of[at], pairs[at], by_place[at].turns)) for at in new
    }


def _row(place: Place, verdict: Verdict, pair: str | None) -> dict[str, Any]:
    return {
        "session_id": place.session,
        "index": place.number,
        "after": place.after,
        "context": [hexed(message_hash(m)) for m in verdict.context],
        "pair_id": pair,
        **verdict.model_dump(exclude={"kind", "context", "ballots"}),
    }


def _ballot(at: tuple[int, int], number: int, ballot: Ballot) -> dict[str, Any]:
    return {"session_id": at[0], "verdict": at[1], "number": number, **ballot.model_dump()}


VERDICTS = (
    insert_many(verdicts, *(c.name for c in verdicts.c if c.name != "at"))
    .on_conflict_do_nothing()
    .returning(verdicts.c.session_id, verdicts.c.index)
)
NOTES = (
    insert_many(notes, *(c.name for c in notes.c if c.name != "at"))
    .on_conflict_do_nothing()
    .returning(notes.c.session_id, notes.c.index)
)
BALLOTS = insert_many(ballots, *(c.name for c in ballots.c))


def _event(
    at: tuple[int, int], verdict: Verdict, pair: str | None, turns: Mapping[int, Turn]
) -> dict[str, Any]:
    plain = verdict.model_dump(
        include={"edge", "outcome", "winner", "margin", "a", "b", "judging", "reason"}, mode="json"
    )
    shown = {"judge", "order", "prefers", "error"}
    return plain | {
        "session": at[0],
        "index": at[1],
        "agents": {"a": turns[verdict.a].call.agent, "b": turns[verdict.b].call.agent},
        "ballots": [ballot.model_dump(include=shown) for ballot in verdict.ballots],
        "pair": pair,
    }
