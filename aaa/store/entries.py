"""Entries of the journal, and the one transaction that writes any number of them.

Safe under any repetition: an intent is one row per key, an attempt ends once, a turn is one row per (session,
index); whoever comes second changes nothing and reads what the first wrote. Attempts are locked in order, the
rows of seats and rounds come last, and nothing is waited for while those are held, so none can deadlock.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Float, func, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import Amount, Attempt, LeaseLost, Wish, tokens_of
from aaa.errors import MAYBE_BILLED, ModelError
from aaa.failpoints import hit
from aaa.store.budget import NOTHING, Tab, dollars, minus, settle
from aaa.store.gates import hold
from aaa.store.leases import epochs_of, lost
from aaa.store.rows import many, rows_of
from aaa.store.tables import attempts
from aaa.store.turns import NO_ATTEMPT, find_turns, insert_turns
from aaa.types import Turn

EXCERPT = 600
"""Characters of a turn's text that travel in its event."""
At = tuple[int, int]
"""(session, index) of a call."""
Outcome = Attempt | Turn | LeaseLost | None


class Waits(NamedTuple):
    """A call that has waited for a while: told, unless its turn is on record or its claim is over."""

    wish: Wish
    why: str
    opens_in_s: float | None


class Begin(NamedTuple):
    """An intent: becomes an attempt, or the turn where one is on record, or `LeaseLost`."""

    wish: Wish
    key: str
    """Of this one intent: it tells a repeated commit from a second attempt."""
    worst: Amount
    within_s: float
    """An attempt not ended for so long is nobody's."""


class Given(NamedTuple):
    """Words that a play puts on record itself: becomes a turn without an attempt, or `LeaseLost`."""

    wish: Wish
    turn: Turn


class Answered(NamedTuple):
    """An answer: becomes the turn on record, whoever was first."""

    wish: Wish
    attempt: Attempt
    turn: Turn


class Failed(NamedTuple):
    """An attempt that brought nothing. It cost nothing, or the worst where the provider may have worked."""

    wish: Wish
    attempt: Attempt
    error: ModelError
    retry_in_s: float | None


class Abandoned(NamedTuple):
    """An attempt that was broken off. Once asked, the provider may have worked: then it cost the worst."""

    wish: Wish
    attempt: Attempt
    asked: bool


Ending = Answered | Failed | Abandoned
Entry = Waits | Begin | Given | Ending
Owned = TypeVar("Owned", Waits, Begin, Given)


class Try(NamedTuple):
    """An attempt on record."""

    key: str
    status: str
    counted: Amount
    """What already counts as spent for it."""
    reserved: Amount


Tries = Mapping[At, Mapping[int, Try]]
"""Call -> number -> attempt."""


def at(entry: Entry) -> At:
    """Which call an entry is about."""
    return entry.wish.session, entry.wish.index


async def write(
    connection: AsyncConnection, seat: str, entries: Sequence[Entry]
) -> Sequence[Outcome]:
    """Write entries of different calls, all or nothing; what each becomes.

    `seat`: whose gate a Retry-After holds; empty where it has none. Raises `RoundStopped` where calls begin
    and do not fit.
    """
    return await Together(connection, seat, entries).write()


class Together:
    """The entries of one transaction, and what they come to."""

    def __init__(self, connection: AsyncConnection, seat: str, entries: Sequence[Entry]) -> None:
        self.connection = connection
        self.seat = seat
        self.entries = entries
        self.waits = [e for e in entries if isinstance(e, Waits)]
        self.begins = [e for e in entries if isinstance(e, Begin)]
        self.endings = [e for e in entries if isinstance(e, Ending)]
        self.outcomes: dict[At, Outcome] = {}
        self.ended: list[dict[str, Any]] = []
        """Rows of attempts that end now."""
        self.tabs: dict[str, Tab] = defaultdict(Tab)

    async def write(self) -> Sequence[Outcome]:
        """Turns first, then attempts, then money."""
        await self._turns()
        for waits in await self._owned([w for w in self.waits if at(w) not in self.outcomes]):
            self.tabs[waits.wish.round].happened.append(("call.waiting", _waiting_event(waits)))
        begins = await self._owned([b for b in self.begins if at(b) not in self.outcomes])
        tries = await self._tries([*begins, *self.endings])
        await self._begin(begins, tries)
        for ending in self.endings:
            self._end(ending, tries.get(at(ending), {}))
        if self.ended:
            await self.connection.execute(END, many(self.ended))
        await self._holds()
        for round_id in sorted(self.tabs):
            await settle(self.connection, round_id, self.tabs[round_id])
        return [self.outcomes.get(at(entry)) for entry in self.entries]

    async def _turns(self) -> None:
        """Store new turns, and read those that were there before."""
        given = await self._owned([e for e in self.entries if isinstance(e, Given)])
        new = [(e.wish, NO_ATTEMPT, e.turn) for e in given]
        answers = [e for e in self.endings if isinstance(e, Answered)]
        new += [(e.wish, e.attempt.number, e.turn) for e in answers]
        if new:
            first = await insert_turns(self.connection, new)
            hit("answer.inside")
            for wish, number, turn in new:
                if (wish.session, wish.index) in first:
                    self._new_turn(wish, number, turn)
        known: list[Entry] = [*self.waits, *self.begins, *answers, *given]
        seconds = [entry for entry in known if at(entry) not in self.outcomes]
        if seconds:
            asked = {at(entry): entry.wish for entry in seconds}
            self.outcomes |= await find_turns(self.connection, asked)

    def _new_turn(self, wish: Wish, number: int, turn: Turn) -> None:
        self.outcomes[wish.session, wish.index] = turn
        tab = self.tabs[wish.round]
        tab.happened.append(("turn", _turn_event(wish, turn)))
        tab.turns += 1
        if number != NO_ATTEMPT:
            tab.prompt_tokens += turn.reply.prompt_tokens or 0
            tab.completion_tokens += turn.reply.completion_tokens or 0

    async def _owned(self, entries: Sequence[Owned]) -> list[Owned]:
        """Those whose claim owns its session; the others have lost it."""
        epochs = await epochs_of(self.connection, {e.wish.session for e in entries})
        mine = []
        for entry in entries:
            if epochs.get(entry.wish.session) == entry.wish.epoch:
                mine.append(entry)
            else:
                self.outcomes[at(entry)] = lost(entry.wish.session, entry.wish.epoch)
        return mine

    async def _tries(self, entries: Iterable[Entry]) -> dict[At, dict[int, Try]]:
        """The attempts of their calls, locked."""
        calls = sorted({at(entry) for entry in entries})
        tries: dict[At, dict[int, Try]] = {call: {} for call in calls}
        if calls:
            keys = many({"session_id": session, "index": index} for session, index in calls)
            for row in (await self.connection.execute(TRIES, keys)).mappings():
                tries[row["session_id"], row["index"]][row["attempt"]] = Try(
                    row["key"],
                    row["status"],
                    Amount(usd=float(row["cost_usd"] or 0), tokens=row["tokens"] or 0),
                    Amount(usd=float(row["reserved_usd"]), tokens=row["reserved_tokens"]),
                )
        return tries

    async def _begin(self, begins: Sequence[Begin], tries: Tries) -> None:
        """Number the intents and write them; who took a number first, a lost owner say, is counted past."""
        while begins:
            new = [b for b in begins if not self._repeated(b, tries[at(b)])]
            numbers = {at(b): max(tries[at(b)], default=0) + 1 for b in new}
            if not new:
                return
            rows = many(_intent(b, numbers[at(b)]) for b in new)
            made = {(s, i) for s, i in await self.connection.execute(NEW, rows)}
            for begin in new:
                if at(begin) in made:
                    self._begun(begin, numbers[at(begin)], tries[at(begin)])
            hit("begin.inside")
            begins = [b for b in new if at(b) not in made]
            tries = await self._tries(begins)

    def _repeated(self, begin: Begin, mine: Mapping[int, Try]) -> bool:
        """Whether it was committed before, and only nobody heard of it."""
        for number, attempt in mine.items():
            if attempt.key == begin.key:
                self.outcomes[at(begin)] = Attempt(number=number, reserved=begin.worst)
                return True
        return False

    def _begun(self, begin: Begin, number: int, older: Mapping[int, Try]) -> None:
        """Reserve its worst. What a dead process left in flight for this call counts as spent."""
        wish = begin.wish
        self.outcomes[at(begin)] = Attempt(number=number, reserved=begin.worst)
        tab = self.tabs[wish.round]
        tab.begin(wish.call.seat, begin.worst)
        tab.happened.append(("call.started", about(wish) | {"attempt": number}))
        for left, attempt in older.items():
            if attempt.status == "asking":
                tab.spend(wish.call.seat, attempt.reserved, freed=attempt.reserved)
                self.ended.append(_ended(wish, left, "abandoned", attempt.reserved))

    def _end(self, ending: Ending, mine: Mapping[int, Try]) -> None:
        """End an attempt, unless it has ended like this already.

        One that counts as abandoned ends again when its answer comes after all, or when it turns out that it
        was never asked.
        """
        wish, number, reserved = ending.wish, ending.attempt.number, ending.attempt.reserved
        was = mine.get(number)
        asked = isinstance(ending, Abandoned) and ending.asked
        ends = ("asking",) if asked else ("asking", "abandoned")
        if was is None or was.status not in ends:
            return
        row, cost = self._outcome(ending)
        self.ended.append(_ended(wish, number, row.pop("status"), cost) | row)
        tab = self.tabs[wish.round]
        if was.status == "abandoned":
            tab.spend(wish.call.seat, minus(cost, was.counted))
        else:
            tab.spend(wish.call.seat, cost, freed=reserved)
        if isinstance(ending, Failed):
            tab.happened.append(("call.failed", _failed_event(ending)))

    def _outcome(self, ending: Ending) -> tuple[dict[str, Any], Amount]:
        """(columns, what it cost)."""
        worst = ending.attempt.reserved
        match ending:
            case Answered(turn=turn):
                late = self.outcomes[at(ending)] is not turn
                reply = turn.reply.model_dump(mode="json", exclude_none=True) if late else None
                return {"status": "answered", "reply": reply}, cost_of(turn, worst)
            case Failed(error=error):
                why = {"status": "failed", "kind": error.kind, "message": str(error)}
                return why, worst if error.kind in MAYBE_BILLED else NOTHING
            case Abandoned(asked=asked):
                return {"status": "abandoned"}, worst if asked else NOTHING

    async def _holds(self) -> None:
        """What a provider asked for must outlive the seat that heard it."""
        waits: dict[str, float] = {}
        for e in self.endings:
            if isinstance(e, Failed) and (asked_s := e.error.retry_after_s) is not None:
                waits[e.wish.call.agent] = max(asked_s, waits.get(e.wish.call.agent, 0.0))
        for agent, wait_s in waits.items():
            if self.seat:
                await hold(self.connection, self.seat, agent, wait_s)
        if any(isinstance(e, Failed) for e in self.endings):
            hit("fail.inside")


_CALLS = rows_of(attempts.c.session_id, attempts.c.index)
TRIES = (
    select(
        *(
            attempts.c[name]
            for name in (
                *("session_id", "index", "attempt", "key", "status"),
                *("cost_usd", "tokens", "reserved_usd", "reserved_tokens"),
            )
        )
    )
    .join(
        _CALLS,
        (attempts.c.session_id == _CALLS.c.session_id) & (attempts.c.index == _CALLS.c.index),
    )
    .order_by(attempts.c.session_id, attempts.c.index, attempts.c.attempt)
    .with_for_update(of=attempts)
)
_PLAIN = (
    *("session_id", "index", "attempt", "epoch", "seat", "agent", "key", "status"),
    *("reserved_usd", "reserved_tokens"),
)
_NEW = rows_of(*(attempts.c[name] for name in _PLAIN), within_s=Float())
NEW = (
    pg_insert(attempts)
    .from_select(
        (*_PLAIN, "expires_at"),
        select(
            *(_NEW.c[name] for name in _PLAIN),
            func.now() + func.make_interval(0, 0, 0, 0, 0, 0, _NEW.c.within_s),
        ),
    )
    .on_conflict_do_nothing()
    .returning(attempts.c.session_id, attempts.c.index)
)
_KEYS = ("session_id", "index", "attempt")
_SET = ("status", "cost_usd", "tokens", "kind", "message", "reply")
_ENDED = rows_of(*(attempts.c[name] for name in (*_KEYS, *_SET)))
END = (
    update(attempts)
    .where(*(attempts.c[name] == _ENDED.c[name] for name in _KEYS))
    .values({name: _ENDED.c[name] for name in _SET} | {"finished_at": func.now()})
)


def _intent(begin: Begin, number: int) -> dict[str, Any]:
    wish = begin.wish
    return {
        "session_id": wish.session,
        "index": wish.index,
        "attempt": number,
        "epoch": wish.epoch,
        "seat": wish.call.seat,
        "agent": wish.call.agent,
        "key": begin.key,
        "status": "asking",
        "reserved_usd": str(dollars(begin.worst.usd)),
        "reserved_tokens": begin.worst.tokens,
        "within_s": begin.within_s,
    }


def _ended(wish: Wish, number: int, status: str, cost: Amount) -> dict[str, Any]:
    return {
        "session_id": wish.session,
        "index": wish.index,
        "attempt": number,
        "status": status,
        "cost_usd": str(dollars(cost.usd)),
        "tokens": cost.tokens,
    }


def cost_of(turn: Turn, worst: Amount) -> Amount:
    """What an answer counts as: the worst, as far as the provider does not tell.

    A request that it refused for good, as too long say, cost nothing.
    """
    if turn.failure is not None:
        return NOTHING
    tokens = tokens_of(turn.reply)
    usd = turn.reply.cost_usd
    return Amount(
        usd=worst.usd if usd is None else usd, tokens=worst.tokens if tokens is None else tokens
    )


def about(wish: Wish) -> dict[str, Any]:
    """What every event of a call tells."""
    call = wish.call
    return {
        "session": wish.session,
        "index": wish.index,
        "seat": call.seat,
        "agent": call.agent,
        "purpose": call.purpose,
    }


def _waiting_event(waits: Waits) -> dict[str, Any]:
    opens_in_s = waits.opens_in_s
    return about(waits.wish) | {
        "why": waits.why,
        "opens_in_s": None if opens_in_s is None else round(opens_in_s, 3),
    }


def _turn_event(wish: Wish, turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    return about(wish) | {
        "text": reply.text[:EXCERPT],
        "characters": len(reply.text),
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost_usd": reply.cost_usd,
        "latency_s": turn.latency_s,
        "failure": None if turn.failure is None else turn.failure.kind,
    }


def _failed_event(failed: Failed) -> dict[str, Any]:
    wait_s = failed.retry_in_s
    return about(failed.wish) | {
        "attempt": failed.attempt.number,
        "kind": failed.error.kind,
        "message": str(failed.error),
        "retry_in_s": None if wait_s is None else round(wait_s, 3),
    }
