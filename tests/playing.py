"""A round played in this process: real database, real journal, answers from a function, no Ray."""

import asyncio
import json
import re
from collections.abc import Callable

from aaa import plugins
from aaa.asking import Amount, Attempt, Wish
from aaa.catalogue import Script
from aaa.drive import drive
from aaa.errors import ModelError
from aaa.play import CallRefused
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.store.leases import Claim, End, claim_sessions, end_sessions
from aaa.store.notes import Place
from aaa.store.reading import recorded
from aaa.store.rounds import get_script
from aaa.types import Call, Note, Reply, Turn

Answer = Callable[[Call], str | Reply]
"""Call -> what the model says. A `ModelError` fails the session."""


async def play_round(
    database: Database, round_id: str, answer: Answer | None = None, *, room: int = 1000
) -> int:
    """Drive up to `room` free sessions of that round to their end, all at once; how many there were.

    It claims from every live round: play one round at a time.
    """
    script = await get_script(database, round_id)
    claims = await claim_sessions(database, "tests", room)
    assert {claim.round for claim in claims} <= {round_id}
    await asyncio.gather(*(_session(database, script, c, answer or say) for c in claims))
    return len(claims)


async def _session(database: Database, script: Script, claim: Claim, answer: Answer) -> None:
    scenario = script.scenario
    protocol = plugins.protocol(scenario.protocol.id)
    options = protocol.options.model_validate(scenario.protocol.options)
    journal = Journal(database)
    past = await recorded(database, claim.session)
    turns = {turn.index: turn for turn in past.turns}

    async def grant(index: int, call: Call) -> Turn:
        turns[index] = await _ask(journal, _wish(claim, index, call), answer)
        return turns[index]

    async def record(index: int, after: int, note: Note) -> None:
        place = Place(claim.round, claim.session, claim.epoch, index, after)
        await journal.note(place, note, claim.seed, turns)

    try:
        await drive(protocol.play(claim.seed, script.cast, options), grant, record, past)
    except (ModelError, CallRefused) as error:
        await end_sessions(database, [End(claim, "failed", error.kind, str(error))])
    else:
        await end_sessions(database, [End(claim, "completed")])


def _wish(claim: Claim, index: int, call: Call) -> Wish:
    return Wish(
        round=claim.round,
        session=claim.session,
        epoch=claim.epoch,
        index=index,
        call=call,
        sampling_seed=index,
    )


async def _ask(journal: Journal, wish: Wish, answer: Answer) -> Turn:
    if wish.call.given is not None:
        return await journal.given(wish)
    begun = await journal.begin(wish, Amount(usd=0, tokens=0), 60)
    if not isinstance(begun, Attempt):
        return begun
    try:
        reply = _reply(answer(wish.call))
    except ModelError as error:
        await journal.fail(wish, begun, error, None)
        raise
    turn = Turn(index=wish.index, call=wish.call, reply=reply, latency_s=0.25)
    return await journal.answer(wish, begun, turn)


def _reply(said: str | Reply) -> Reply:
    if isinstance(said, Reply):
        return said
    return Reply(text=said, prompt_tokens=10, completion_tokens=5, cost_usd=0.001, model="stub-1")


def say(call: Call) -> str:
    """Answers that make pairs: the judge prefers whichever answer holds the word `better`."""
    if call.purpose == "ballot":
        return verdict_for(call, "better")
    words = {
        "draft": "a first try",
        "critique": "say more",
        "revision": "a better try",
        "message": "and why",
    }
    return f"{words[call.purpose]} by {call.agent} é 漢"


def verdict_for(call: Call, word: str) -> str:
    """The ballot of a judge who prefers the answer that holds that word; a tie where both or none do."""
    shown = re.findall(r"Answer (\w):\n<[^>]+>\n(.*?)\n</", call.messages[-1].content, re.DOTALL)
    having = [label for label, text in shown if word in text]
    better = having[0] if len(having) == 1 else "tie"
    return json.dumps({"explanation": f"one says {word!r}", "better": better})
