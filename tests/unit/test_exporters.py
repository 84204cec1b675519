"""Exporters: golden rows, written out by hand. A format without one fails here."""

import json
from typing import Any

import pytest

from aaa import exporters
from aaa.errors import NotFound
from aaa.transcripts import Transcript, pairs
from aaa.types import (
    Ballot,
    Call,
    Message,
    Outcome,
    Recorded,
    Reply,
    Seed,
    Side,
    Turn,
    Verdict,
)

PROMPT = (Message(role="system", content="Be brief."), Message(role="user", content="Wie spät? 🕐"))


def turn(index: int, agent: str, purpose: str, text: str, **reply: Any) -> Turn:
    seat = "judge" if purpose == "ballot" else "student"
    call = Call(seat=seat, agent=agent, purpose=purpose, messages=PROMPT)
    return Turn(index=index, call=call, reply=Reply(text=text, **reply))


def transcript(winner: Side | None = "b", outcome: Outcome = "win") -> Transcript:
    verdict = Verdict(
        edge="revision",
        context=PROMPT,
        a=0,
        b=1,
        outcome=outcome,
        winner=winner,
        margin=1.5,
        ballots=(
            Ballot(
                judge="j", order="ab", turn=2, prefers="b", scores={"a": -2.0, "b": -0.5},
                explanation="b is exact",
            ),
            Ballot(judge="j", order="ba", turn=3, error="not a verdict"),
        ),
        judging="pairwise",
    )  # fmt: skip
    spoken = (
        turn(0, "pupil", "draft", "Spät.", model="p-1", prompt_tokens=9, completion_tokens=2),
        turn(1, "pupil", "revision", "\tEs ist 3 Uhr.\n", model="p-1", finish_reason="length", cost_usd=0.5),
        turn(2, "j", "ballot", '{"better": "F"}', model="j-1", choice_logprobs={"A": -0.1}),
        turn(3, "j", "ballot", "hm", model="j-1", cost_usd=0.25),
    )  # fmt: skip
    return Transcript(
        round="small-abc",
        session=7,
        scenario="small",
        protocol="co_teaching",
        status="completed",
        seed=Seed(id="s1", prompt=PROMPT, reference="3", tags=("time",)),
        recorded=Recorded(turns=spoken, notes=(verdict,)),
        lineage={"pupil": ("pupil-0",), "j": ()},
    )


OF_NOTES = ("seeds", "trl-prm")
"""Made of other notes than verdicts; their golden rows are in the tests of the plays that make them."""
OF_PAIRS = tuple(format for format in exporters.FORMATS if format not in OF_NOTES)
CONTEXT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Wie spät? 🕐"},
]
PAIR = "p1b15b5fc22fff26365d80e4"
GOLDEN: dict[str, dict[str, Any]] = {
    "trl-dpo": {
        "id": PAIR,
        "prompt": CONTEXT,
        "chosen": [{"role": "assistant", "content": "\tEs ist 3 Uhr.\n"}],
        "rejected": [{"role": "assistant", "content": "Spät."}],
        "related_judges": False,
    },
    "canonical": {
        "id": PAIR,
        "round": "small-abc",
        "session": 7,
        "scenario": "small",
        "protocol": "co_teaching",
        "seed": {"id": "s1", "tags": ["time"], "reference": "3"},
        "edge": "revision",
        "context": CONTEXT,
        "chosen": {
            "text": "\tEs ist 3 Uhr.\n",
            "agent": "pupil",
            "model": "p-1",
            "turn": 1,
            "purpose": "revision",
            "finish_reason": "length",
            "prompt_tokens": None,
            "completion_tokens": None,
            "cost_usd": 0.5,
        },
        "rejected": {
            "text": "Spät.",
            "agent": "pupil",
            "model": "p-1",
            "turn": 0,
            "purpose": "draft",
            "finish_reason": "stop",
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "cost_usd": None,
        },
        "judging": {
            "play": "pairwise",
            "outcome": "win",
            "margin": 1.5,
            "related_judges": False,
            "reason": "",
            "ballots": [
                {
                    "judge": "j",
                    "model": "j-1",
                    "turn": 2,
                    "shown": ["rejected", "chosen"],
                    "prefers": "chosen",
                    "scores": {"rejected": -2.0, "chosen": -0.5},
                    "explanation": "b is exact",
                    "error": None,
                    "text": '{"better": "F"}',
                    "choice_logprobs": {"A": -0.1},
                    "cost_usd": None,
                },
                {
                    "judge": "j",
                    "model": "j-1",
                    "turn": 3,
                    "shown": ["chosen", "rejected"],
                    "prefers": None,
                    "scores": None,
                    "explanation": "",
                    "error": "not a verdict",
                    "text": "hm",
                    "choice_logprobs": None,
                    "cost_usd": 0.25,
                },
            ],
        },
        "lineage": {"pupil": ["pupil-0"]},
    },
}


@pytest.mark.parametrize("format", OF_PAIRS)
def test_golden_row(format: str) -> None:
    (line,) = exporters.lines(transcript(), format)
    golden = json.dumps(GOLDEN[format], ensure_ascii=False, separators=(",", ":")) + "\n"
    assert line.decode() == golden


@pytest.mark.parametrize("format", OF_PAIRS)
def test_sides_follow_the_winner(format: str) -> None:
    """With the other winner, chosen and rejected change places, and so does the pair's id."""
    (b_won,) = exporters.exporter(format)(transcript("b"))
    (a_won,) = exporters.exporter(format)(transcript("a"))
    assert _texts(a_won["chosen"]) == _texts(b_won["rejected"])
    assert _texts(a_won["rejected"]) == _texts(b_won["chosen"])
    assert a_won["id"] != b_won["id"]


def test_canonical_ballots_name_what_became_of_the_contestants() -> None:
    (row,) = exporters.exporter("canonical")(transcript("a"))
    first = row["judging"]["ballots"][0]
    assert first["shown"] == ["chosen", "rejected"]
    assert first["prefers"] == "rejected"
    assert first["scores"] == {"chosen": -2.0, "rejected": -0.5}


@pytest.mark.parametrize("format", OF_PAIRS)
@pytest.mark.parametrize("outcome", ["tie", "flip", "error", "abstain"])
def test_only_a_win_makes_a_row(format: str, outcome: Outcome) -> None:
    assert list(exporters.lines(transcript(None, outcome), format)) == []


@pytest.mark.parametrize("format", OF_PAIRS)
def test_row_id_is_the_pairs(format: str) -> None:
    told = transcript()
    assert [row["id"] for row in exporters.exporter(format)(told)] == [p.id for p in pairs(told)]


@pytest.mark.parametrize("format", sorted(set(OF_NOTES) & set(exporters.FORMATS)))
def test_a_format_of_notes_leaves_verdicts_alone(format: str) -> None:
    assert list(exporters.lines(transcript(), format)) == []


def test_formats_are_the_files() -> None:
    assert {"trl-dpo", "canonical"} <= set(exporters.FORMATS)


@pytest.mark.parametrize("format", OF_PAIRS)
def test_every_format_tells_of_a_related_judge_that_was_allowed(format: str) -> None:
    given = transcript()
    (verdict,) = given.recorded.verdicts
    notes = (verdict.model_copy(update={"related_judges": True}),)
    allowed = given.model_copy(
        update={"recorded": given.recorded.model_copy(update={"notes": notes})}
    )
    (plain,), (row,) = exporters.exporter(format)(given), exporters.exporter(format)(allowed)
    told, before = json.dumps(row), json.dumps(plain)
    assert told.replace('"related_judges": true', '"related_judges": false') == before != told


def test_unknown_format_lists_the_known() -> None:
    with pytest.raises(NotFound, match=r"no format 'trl_dpo'; there are: .*canonical.*trl-dpo"):
        exporters.exporter("trl_dpo")


def _texts(answer: Any) -> str:
    return str(answer["text"] if isinstance(answer, dict) else answer[-1]["content"])
