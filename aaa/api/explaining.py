"""Why a pair is what it is, rebuilt from the journal: nothing here was stored for the purpose."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from aaa.api.cards import CardShape, shown
from aaa.api.shapes import AttemptShape, Said, Spent, TurnShape, VerdictShape
from aaa.records import pair_of
from aaa.store.database import Database
from aaa.store.reading import find_pair, get_session
from aaa.store.rounds import get_script
from aaa.store.whence import line_of
from aaa.types import CHECKER, Message, Seed

MOST_PLACES = 20
"""Other places listed: the same answers, judged the same way, elsewhere."""


class Place(BaseModel):
    """Where a pair was decided."""

    round: str
    session: int
    verdict: int
    """Index of the verdict in its session."""


class Considered(BaseModel):
    """Another comparison of the session, and what came of it."""

    verdict: int
    edge: str
    a: int
    b: int
    outcome: str
    margin: float | None
    reason: str
    pair: str | None
    """Of a win; `None`: it was dropped, for its outcome."""


class Explanation(BaseModel):
    """Everything about a pair; of several places where it was decided, the newest."""

    id: str
    round: str
    session: int
    scenario: str
    protocol: str
    options: dict[str, Any]
    """Options of the protocol."""
    seed: Seed
    evolved_from: tuple[str, ...]
    """Seeds that this one was evolved from, nearest first."""
    edge: str
    context: list[Message]
    """The chat that both answers answer."""
    chosen: TurnShape
    rejected: TurnShape
    margin: float | None
    verdict: VerdictShape
    ballots: list[Said]
    """The verdict's ballots, with what each judge said word for word."""
    turns: list[TurnShape]
    """The whole session."""
    considered: list[Considered]
    """Every other comparison of the session, whether it made a pair or was dropped."""
    attempts: list[AttemptShape]
    """Every request that the session made, with its times."""
    spent: dict[Literal["pair", "session"], Spent]
    """`pair`: both answers and their ballots."""
    models: dict[str, list[str]]
    """Agent -> models as its providers say they served them."""
    cards: dict[str, CardShape]
    """Cards as they were when the round began."""
    lineage: dict[str, tuple[str, ...]]
    """Agent -> names of the agents it was trained from, nearest first."""
    started_at: datetime | None
    finished_at: datetime | None
    elsewhere: list[Place]
    """Other places with the same pair, newest first."""
    places: int
    """In how many places it was decided in all."""


async def explain(database: Database, pair_id: str) -> Explanation:
    """Why that pair is what it is; by its id, or that of an exported row. Raises `NotFound`."""
    pair_id = pair_of(pair_id)
    (session_id, verdict_index), *others = await find_pair(database, pair_id)
    session = await get_session(database, session_id)
    script = await get_script(database, session["round"])
    turns = {turn["index"]: turn for turn in session["turns"]}
    verdict = next(v for v in session["verdicts"] if v["index"] == verdict_index)
    a, b = turns[verdict["a"]], turns[verdict["b"]]
    chosen, rejected = (a, b) if verdict["winner"] == "a" else (b, a)
    own = {a["index"], b["index"], *(ballot["turn"] for ballot in verdict["ballots"])}
    return Explanation(
        id=pair_id,
        round=session["round"],
        session=session_id,
        scenario=script.scenario.name,
        protocol=script.scenario.protocol.id,
        options=script.scenario.protocol.options,
        seed=session["seed"],
        evolved_from=await line_of(database, session["seed"]["id"], session["seed"].get("parent")),
        edge=verdict["edge"],
        context=verdict["context"],
        chosen=chosen,
        rejected=rejected,
        margin=verdict["margin"],
        verdict=verdict,
        ballots=[_said(ballot, turns[ballot["turn"]]) for ballot in verdict["ballots"]],
        turns=session["turns"],
        considered=[considered(v) for v in session["verdicts"] if v["index"] != verdict_index],
        attempts=session["attempts"],
        spent={"pair": spent(turns[index] for index in own), "session": spent(turns.values())},
        models=served(turns.values()),
        cards={name: shown(card) for name, card in script.cards.items()},
        lineage={a.name: a.lineage for held in script.cast.seats.values() for a in held},
        started_at=session["started_at"],
        finished_at=session["finished_at"],
        elsewhere=[await _place(database, *other) for other in others[:MOST_PLACES]],
        places=1 + len(others),
    )


def considered(verdict: Mapping[str, Any]) -> Considered:
    """A verdict, as far as its place among the others goes."""
    fields = set(Considered.model_fields) - {"verdict"}
    return Considered(verdict=verdict["index"], **{name: verdict[name] for name in fields})


async def _place(database: Database, session: int, verdict: int) -> Place:
    found = await get_session(database, session)
    return Place(round=found["round"], session=session, verdict=verdict)


def _said(ballot: Mapping[str, Any], turn: Mapping[str, Any]) -> Said:
    words = {name: turn[name] for name in ("model", "text", "choice_logprobs")}
    if str(ballot["judge"]).startswith(CHECKER):  # its turn is the answer that it looked at
        words = {"model": "", "text": "", "choice_logprobs": None}
    return Said.model_validate({**ballot, **words})


def spent(turns: Iterable[Mapping[str, Any]]) -> Spent:
    """What these turns took together."""
    counted = list(turns)
    cost = _sum([turn["cost_usd"] for turn in counted])
    prompt = _sum([turn["prompt_tokens"] for turn in counted])
    completion = _sum([turn["completion_tokens"] for turn in counted])
    return Spent(
        calls=len(counted),
        prompt_tokens=None if prompt is None else int(prompt),
        completion_tokens=None if completion is None else int(completion),
        cost_usd=cost,
        latency_s=round(sum(turn["latency_s"] for turn in counted), 6),
    )


def _sum(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def served(turns: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Agent -> models as their providers say they served them."""
    found: dict[str, set[str]] = {}
    for turn in turns:
        found.setdefault(turn["agent"], set()).add(turn["model"])
    return {agent: sorted(models) for agent, models in sorted(found.items())}
