"""The canonical record: everything known about one pair, as plain data; every format of pairs is made from
it.

`record` builds it from what was said and decided, wherever that was read from: a transcript here, rows of
the database in `aaa.store.records`. A test holds the two equal. Plain tuples, no checked values, since a
million of them must pass in a minute; what they hold was checked when it was recorded. Left out: which
rounds, and what is selected of them (`aaa.corpus`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aaa.transcripts import Transcript, pairs
from aaa.types import CHECKER, Ballot, Messages, Turn

Record = dict[str, Any]
Chat = list[dict[str, str]]
"""Messages as every trainer takes them: `{"role", "content"}`."""
_PAIR = re.compile("p[0-9a-f]{23}")


class Said(NamedTuple):
    """An answer, as far as a record tells of it."""

    turn: int
    """Its index in the session."""
    seat: str
    agent: str
    purpose: str
    text: str
    model: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    choice_logprobs: dict[str, float] | None


class Vote(NamedTuple):
    """A ballot, and the words it was read from; `words` is `None` where a program cast it, or nobody asks."""

    judge: str
    order: str
    turn: int
    prefers: str | None
    scores: Mapping[Any, float] | None
    explanation: str
    error: str | None
    words: Said | None


class Decided(NamedTuple):
    """A won verdict with its answers."""

    id: str
    edge: str
    context: Chat
    chosen: Said
    rejected: Said
    winner: str
    judging: str
    margin: float | None
    related_judges: bool
    reason: str
    votes: Sequence[Vote]


class Whence(NamedTuple):
    """The session in which it was decided."""

    round: str
    session: int
    scenario: str
    protocol: str
    stage: str | None
    """Of its course; `None`: the round was no step of one."""
    seed: Mapping[str, Any]
    """`id`, `tags`, `reference`, `parent`, `family`."""
    lineage: Mapping[str, Sequence[str]]
    prompt: Chat
    """What the seed asks; looked at only where it has a reference."""


NAMED = {
    "a": {"a": "chosen", "b": "rejected"},
    "b": {"a": "rejected", "b": "chosen"},
}
"""Winner -> what became of each contestant."""
SHOWN = {
    (named["a"], order): [named[side] for side in order]
    for named in NAMED.values()
    for order in ("ab", "ba", "a", "b")
}
"""(What became of a, order of a ballot) -> what the judge saw, in its order. Shared: nobody may change it."""


def record(whence: Whence, decided: Decided) -> Record:
    """The row of format `canonical`. Contestants go by what became of them: a and b mean nothing in a row."""
    chosen, rejected = decided.chosen, decided.rejected
    named = NAMED[decided.winner]
    return {
        "id": decided.id,
        "round": whence.round,
        "session": whence.session,
        "scenario": whence.scenario,
        "protocol": whence.protocol,
        "stage": whence.stage,
        "seed": whence.seed,
        "edge": decided.edge,
        "context": decided.context,
        "reference": _reference(whence, decided),
        "chosen": _answer(chosen),
        "rejected": _answer(rejected),
        "judging": {
            "play": decided.judging,
            "outcome": "win",
            "margin": decided.margin,
            "related_judges": decided.related_judges,
            "reason": decided.reason,
            "ballots": [_vote(vote, named) for vote in decided.votes],
        },
        "lineage": _lines(whence.lineage, chosen.agent, rejected.agent),
    }


def _reference(whence: Whence, decided: Decided) -> str | None:
    """The seed's reference, where it answers what both answers were given to."""
    known: str | None = whence.seed["reference"]
    if known is None or not asks_the_same(decided.context, whence.prompt, decided.edge):
        return None
    return known


ONE_LINE_MORE = "consensus"
"""The edge of `debate`: its contexts may be the seed's prompt with a request for a last line behind it."""


def asks_the_same(context: Chat, prompt: Chat, edge: str) -> bool:
    """Whether what is known of a seed's prompt (reference, checker) holds of a verdict's context, too."""
    if context == prompt:
        return True
    if edge != ONE_LINE_MORE or context[:-1] != prompt[:-1]:
        return False
    asked, last = context[-1], prompt[-1]
    return asked["role"] == last["role"] and asked["content"].startswith(f"{last['content']}\n\n")


def chat(messages: Messages) -> Chat:
    """The messages as plain data."""
    return [{"role": m.role, "content": m.content} for m in messages]


def _lines(lineage: Mapping[str, Sequence[str]], one: str, other: str) -> dict[str, list[str]]:
    names = (one,) if one == other else (one, other) if one < other else (other, one)
    return {name: list(lineage.get(name, ())) for name in names}


def _answer(said: Said) -> dict[str, Any]:
    turn, seat, agent, purpose, text, model, finish_reason, asked, answered, cost_usd, _ = said
    return {
        "text": text,
        "agent": agent,
        "model": model,
        "turn": turn,
        "seat": seat,
        "purpose": purpose,
        "finish_reason": finish_reason,
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "cost_usd": cost_usd,
    }


def _vote(vote: Vote, named: Mapping[str, str]) -> dict[str, Any]:
    """A judge's raw answer. A checker said nothing and no model served it: those fields are empty."""
    judge, order, turn, prefers, scores, explanation, error, words = vote
    return {
        "judge": judge,
        "model": words.model if words else "",
        "turn": turn,
        "shown": SHOWN[named["a"], order],
        "prefers": None if prefers is None else named.get(prefers, prefers),
        "scores": None
        if scores is None
        else {named[side]: scores[side] for side in sorted(scores)},
        "explanation": explanation,
        "error": error,
        "text": words.text if words else "",
        "choice_logprobs": words.choice_logprobs if words else None,
        "cost_usd": words.cost_usd if words else None,
    }


def records(transcript: Transcript) -> Iterator[Record]:
    """A session's records, in the order in which they were decided."""
    seed = transcript.seed
    whence = Whence(
        round=transcript.round,
        session=transcript.session,
        scenario=transcript.scenario,
        protocol=transcript.protocol,
        stage=transcript.stage,
        seed={
            "id": seed.id,
            "tags": list(seed.tags),
            "reference": seed.reference,
            "parent": seed.parent,
            "family": transcript.family or seed.id,
        },
        lineage=transcript.lineage,
        prompt=chat(seed.prompt),
    )
    turns = {turn.index: turn for turn in transcript.recorded.turns}
    for pair in pairs(transcript):
        verdict = pair.verdict
        yield record(
            whence,
            Decided(
                id=pair.id,
                edge=verdict.edge,
                context=chat(pair.context),
                chosen=_said(pair.chosen),
                rejected=_said(pair.rejected),
                winner=str(verdict.winner),
                judging=verdict.judging,
                margin=verdict.margin,
                related_judges=verdict.related_judges,
                reason=verdict.reason,
                votes=[_cast(ballot, turns) for ballot in verdict.ballots],
            ),
        )


def _said(turn: Turn) -> Said:
    call, reply = turn.call, turn.reply
    return Said(
        turn.index, call.seat, call.agent, call.purpose, reply.text, reply.model, reply.finish_reason,
        reply.prompt_tokens, reply.completion_tokens, reply.cost_usd, reply.choice_logprobs,
    )  # fmt: skip


def _cast(ballot: Ballot, turns: Mapping[int, Turn]) -> Vote:
    words = None if ballot.by_checker else _said(turns[ballot.turn])
    return Vote(
        ballot.judge, ballot.order, ballot.turn, ballot.prefers, ballot.scores, ballot.explanation,
        ballot.error, words,
    )  # fmt: skip


def by_checker(judge: str) -> bool:
    """Whether a ballot of that judge was cast by a program."""
    return judge.startswith(CHECKER)


def marked_alone(ballots: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Judge -> the side that its scores prefer (`chosen`, `rejected`, `tie`), of judges that were shown each
    answer alone; programs, and who scored only one, are left out."""
    scores: dict[str, dict[str, float]] = {}
    for ballot in ballots:
        if len(ballot["shown"]) == 1 and ballot["scores"] and not by_checker(ballot["judge"]):
            scores.setdefault(ballot["judge"], {}).update(ballot["scores"])
    return {
        judge: "tie" if own["chosen"] == own["rejected"] else max(own, key=own.__getitem__)
        for judge, own in scores.items()
        if len(own) == 2
    }


def score(record: Record, side: str) -> float | None:
    """The mean of what ballots gave that answer (`chosen`, `rejected`), in the judging play's unit; `None`:
    none gave any. Checkers' shares count only where no judge gave points."""
    said: dict[bool, list[float]] = {True: [], False: []}
    for ballot in record["judging"]["ballots"]:
        scores = ballot["scores"]
        if scores and side in scores:
            said[by_checker(ballot["judge"])].append(scores[side])
    found = said[False] or said[True]
    return sum(found) / len(found) if found else None


def is_pair(id: str) -> bool:
    """Whether it is the id of a pair (`transcripts.pair_id`)."""
    return _PAIR.fullmatch(id) is not None


def pair_of(row_id: str) -> str:
    """The pair that a row is of, by the row's id alone: a format may have several rows for a pair."""
    for side in ("-chosen", "-rejected"):
        row_id = row_id.removesuffix(side)
    return row_id
