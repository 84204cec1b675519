"""`canonical`: everything known about each pair, one object a line, for audits and for other tools.

Every other format can be made from it. Its `round` and `session` name where the pair was decided, so
two rounds give different bytes; all else follows from what was said.
"""

from collections.abc import Iterator
from typing import Any

from aaa.transcripts import Pair, Transcript, pairs
from aaa.types import Ballot, Messages, Reply, Turn


def rows(transcript: Transcript) -> Iterator[dict[str, Any]]:
    """A row for each pair, in the order in which they were decided."""
    for pair in pairs(transcript):
        yield _row(transcript, pair)


def _row(transcript: Transcript, pair: Pair) -> dict[str, Any]:
    seed, verdict = transcript.seed, pair.verdict
    agents = sorted({pair.chosen.call.agent, pair.rejected.call.agent})
    return {
        "id": pair.id,
        "round": transcript.round,
        "session": transcript.session,
        "scenario": transcript.scenario,
        "protocol": transcript.protocol,
        "seed": {"id": seed.id, "tags": list(seed.tags), "reference": seed.reference},
        "edge": verdict.edge,
        "context": _chat(pair.context),
        "chosen": _answer(pair.chosen),
        "rejected": _answer(pair.rejected),
        "judging": {
            "play": verdict.judging,
            "outcome": verdict.outcome,
            "margin": verdict.margin,
            "related_judges": verdict.related_judges,
            "reason": verdict.reason,
            "ballots": [_ballot(transcript, pair, ballot) for ballot in verdict.ballots],
        },
        "lineage": {name: list(transcript.lineage.get(name, ())) for name in agents},
    }


def _chat(messages: Messages) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def _answer(turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    return {
        "text": turn.text,
        "agent": turn.call.agent,
        "model": reply.model,
        "turn": turn.index,
        "purpose": turn.call.purpose,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost_usd": reply.cost_usd,
    }


def _ballot(transcript: Transcript, pair: Pair, ballot: Ballot) -> dict[str, Any]:
    """A judge's raw answer. Contestants go by what became of them: a and b mean nothing in a row.

    A checker said nothing and no model served it: those fields are empty.
    """
    reply = Reply(text="") if ballot.by_checker else transcript.turn(ballot.turn).reply
    named = {"a": "chosen", "b": "rejected"}
    if pair.verdict.winner == "b":
        named = {"a": "rejected", "b": "chosen"}
    scores = ballot.scores
    return {
        "judge": ballot.judge,
        "model": reply.model,
        "turn": ballot.turn,
        "shown": [named[side] for side in ballot.order],
        "prefers": None if ballot.prefers is None else named.get(ballot.prefers, ballot.prefers),
        "scores": None
        if scores is None
        else {named[side]: scores[side] for side in sorted(scores)},
        "explanation": ballot.explanation,
        "error": ballot.error,
        "text": reply.text,
        "choice_logprobs": reply.choice_logprobs,
        "cost_usd": reply.cost_usd,
    }
