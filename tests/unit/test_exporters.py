"""Exporters: golden rows, written out by hand. A format without one fails here."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Literal

import pytest
import yaml

from aaa import exporters
from aaa.errors import NotFound
from aaa.exporters._columns import JSON, MapOf
from aaa.records import Record, pair_of
from aaa.transcripts import Transcript, pairs
from aaa.types import (
    Ballot,
    Call,
    Message,
    Messages,
    Outcome,
    Recorded,
    Reply,
    Seed,
    Side,
    Turn,
    Verdict,
)
from tests.records import made

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


OF_PAIRS = tuple(f for f in exporters.FORMATS if exporters.exporter(f).made_of == "records")
OF_WINNERS = ("trl-sft", "verl")
"""Formats that tell nothing of the loser."""
CONTEXT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Wie spät? 🕐"},
]
PAIR = "p1b15b5fc22fff26365d80e4"
WON = {"role": "assistant", "content": "\tEs ist 3 Uhr.\n"}
LOST = {"role": "assistant", "content": "Spät."}
AS_TEXT = "[system]\nBe brief.\n\n[user]\nWie spät? 🕐"
GOLDEN: dict[str, dict[str, Any]] = {
    "trl-dpo-text": {
        "id": PAIR,
        "prompt": AS_TEXT,
        "chosen": "\tEs ist 3 Uhr.\n",
        "rejected": "Spät.",
        "related_judges": False,
    },
    "trl-reward": {
        "id": PAIR,
        "chosen": [*CONTEXT, WON],
        "rejected": [*CONTEXT, LOST],
        "margin": 1.5,
        "related_judges": False,
    },
    "openrlhf": {
        "id": PAIR,
        "chosen": [*CONTEXT, WON],
        "rejected": [*CONTEXT, LOST],
        "margin": 1.5,
        "related_judges": False,
    },
    "trl-kto": {
        "id": f"{PAIR}-chosen",
        "prompt": CONTEXT,
        "completion": [WON],
        "label": True,
        "related_judges": False,
    },
    "trl-sft": {"id": PAIR, "messages": [*CONTEXT, WON], "related_judges": False},
    "axolotl-dpo": {
        "id": PAIR,
        "messages": CONTEXT,
        "chosen": WON,
        "rejected": LOST,
        "related_judges": False,
    },
    "llama-factory": {
        "id": PAIR,
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Wie spät? 🕐"},
        ],
        "chosen": {"from": "gpt", "value": "\tEs ist 3 Uhr.\n"},
        "rejected": {"from": "gpt", "value": "Spät."},
        "related_judges": False,
    },
    "nemo-rl": {
        "id": PAIR,
        "context": CONTEXT,
        "completions": [{"rank": 0, "completion": [WON]}, {"rank": 1, "completion": [LOST]}],
        "related_judges": False,
    },
    "verl": {
        "id": PAIR,
        "data_source": "aaa/small",
        "prompt": CONTEXT,
        "ability": "time",
        "reward_model": {"style": "rule", "ground_truth": "3"},
        "extra_info": {"index": "s1"},
    },
    "ultrafeedback": {
        "id": PAIR,
        "prompt": AS_TEXT,
        "prompt_id": "s1",
        "chosen": [*CONTEXT, WON],
        "rejected": [*CONTEXT, LOST],
        "messages": [*CONTEXT, WON],
        "score_chosen": -0.5,
        "score_rejected": -2.0,
        "related_judges": False,
    },
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
        "stage": None,
        "seed": {"id": "s1", "tags": ["time"], "reference": "3", "parent": None, "family": "s1"},
        "edge": "revision",
        "context": CONTEXT,
        "reference": "3",
        "chosen": {
            "text": "\tEs ist 3 Uhr.\n",
            "agent": "pupil",
            "model": "p-1",
            "turn": 1,
            "seat": "student",
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
            "seat": "student",
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
    line = next(exporters.lines(transcript(), format))
    golden = json.dumps(GOLDEN[format], ensure_ascii=False, separators=(",", ":")) + "\n"
    assert line.decode() == golden


@pytest.mark.parametrize("format", sorted(set(OF_PAIRS) - set(OF_WINNERS)))
def test_sides_follow_the_winner(format: str) -> None:
    """With the other winner, the two answers change places, and so the pair has another id."""
    b_won = json.dumps(list(exporters.rows(transcript("b"), format)))
    a_won = json.dumps(list(exporters.rows(transcript("a"), format)))
    better, worse = ("Es ist 3 Uhr", "Sp\\u00e4t.")
    assert (b_won.index(better) < b_won.index(worse)) != (a_won.index(better) < a_won.index(worse))
    assert json.loads(a_won)[0]["id"] != json.loads(b_won)[0]["id"]


def test_kto_has_a_row_for_each_answer() -> None:
    liked, disliked = exporters.rows(transcript(), "trl-kto")
    assert (liked["completion"], liked["label"]) == ([WON], True)
    assert (disliked["completion"], disliked["label"]) == ([LOST], False)
    assert [liked["id"], disliked["id"]] == [f"{PAIR}-chosen", f"{PAIR}-rejected"]


@pytest.mark.parametrize(
    ("format", "rows"), [("trl-sft", 1), ("verl", 1), ("trl-kto", 2), ("trl-dpo", 2)]
)
def test_what_is_the_same_is_written_once(format: str, rows: int) -> None:
    """The same two answers compared twice: one answer to learn, one prompt, two labels, but two pairs."""
    given = transcript()
    (verdict,) = given.recorded.notes
    assert isinstance(verdict, Verdict)
    again = verdict.model_copy(update={"edge": "peer"})
    twice = given.recorded.model_copy(update={"notes": (verdict, again)})
    told = given.model_copy(update={"recorded": twice})
    assert len(list(exporters.rows(told, format))) == rows


ASKED_MORE = (PROMPT[0], Message(role="user", content="Wie spät? 🕐\n\nOnly the hour."))


@pytest.mark.parametrize(
    ("edge", "context", "truth"),
    [
        ("revision", PROMPT, "3"),
        ("critique", (Message(role="user", content="What is wrong in it?"),), ""),
        ("turn 2", (*PROMPT, Message(role="assistant", content="3"), *PROMPT[1:]), ""),
        ("solver", ASKED_MORE, ""),
        ("consensus", ASKED_MORE, "3"),
        ("consensus", ASKED_MORE[1:], ""),
        ("consensus", (PROMPT[0], Message(role="user", content="Wie spät?")), ""),
    ],
)
def test_a_reference_is_the_truth_only_of_what_it_answers(
    edge: str, context: Messages, truth: str
) -> None:
    given = transcript()
    (verdict,) = given.recorded.verdicts
    notes = (verdict.model_copy(update={"edge": edge, "context": context}),)
    told = given.model_copy(update={"recorded": given.recorded.model_copy(update={"notes": notes})})
    (row,) = exporters.rows(told, "verl")
    style = "rule" if truth else "model"
    assert row["reward_model"] == {"style": style, "ground_truth": truth}
    (whole,) = exporters.rows(told, "canonical")
    assert (whole["reference"] or "", whole["seed"]["reference"]) == (truth, "3")


def ranked(*answers: str, seed: str = "s") -> list[Record]:
    """Each answer beat all that follow it."""
    of = {"id": seed, "family": seed}
    pairs = combinations(answers, 2)
    return [made(n, chosen=c, rejected=r, seed=of, id=f"{c}{r}") for n, (c, r) in enumerate(pairs)]


def written(
    format: str, some: list[Record], before: Sequence[Record] = ()
) -> tuple[list[str], Counter[str]]:
    """Ids of the rows of these records, those before having been written; what is left out."""
    left_out: Counter[str] = Counter()
    found = exporters.fresh_rows(exporters.exporter(format), some, before, left_out)
    return [row["id"] for _, row in found], left_out


def test_what_another_verdict_rejects_is_no_answer_to_imitate() -> None:
    """Of A over B over C over D only A; in another context, or of another seed, what B says may stand."""
    elsewhere = made(9, chosen="B", seed={"id": "s", "family": "s"}, asked="Why?", id="there")
    found = [*ranked("A", "B", "C", "D"), elsewhere, *ranked("B", "E", seed="t")]
    assert written("trl-sft", found) == (
        ["AB", "there", "BE"],
        {"repeated": 2, "contradicted": 3},
    )
    assert len(written("trl-dpo", found)[0]) == len(found)
    assert written("trl-kto", ranked("A", "B", "C")) == (
        ["AB-chosen", "AB-rejected", "AC-rejected", "BC-chosen"],
        {"repeated": 2},
    )


@pytest.mark.parametrize(
    ("format", "ids"), [("trl-sft", []), ("verl", []), ("trl-kto", ["AC-rejected"])]
)
def test_an_increment_has_no_row_again_under_another_id(format: str, ids: list[str]) -> None:
    first, second, _ = ranked("A", "B", "C")
    assert written(format, [second], [first])[0] == ids


def test_an_increment_knows_what_was_rejected_before() -> None:
    first, _, third = ranked("A", "B", "C")
    assert written("trl-sft", [third], [first]) == ([], {"contradicted": 1})


def test_a_margin_that_is_unknown_is_none_to_the_loss() -> None:
    given = transcript()
    (verdict,) = given.recorded.verdicts
    notes = (verdict.model_copy(update={"margin": None}),)
    told = given.model_copy(update={"recorded": given.recorded.model_copy(update={"notes": notes})})
    assert next(exporters.rows(told, "trl-reward"))["margin"] == 0.0
    assert next(exporters.rows(told, "canonical"))["judging"]["margin"] is None


def test_canonical_ballots_name_what_became_of_the_contestants() -> None:
    (row,) = exporters.rows(transcript("a"), "canonical")
    first = row["judging"]["ballots"][0]
    assert first["shown"] == ["chosen", "rejected"]
    assert first["prefers"] == "rejected"
    assert first["scores"] == {"chosen": -2.0, "rejected": -0.5}


@pytest.mark.parametrize("format", OF_PAIRS)
@pytest.mark.parametrize("outcome", ["tie", "flip", "error", "abstain"])
def test_only_a_win_makes_a_row(format: str, outcome: Outcome) -> None:
    assert list(exporters.lines(transcript(None, outcome), format)) == []


@pytest.mark.parametrize("format", OF_PAIRS)
def test_row_id_leads_to_the_pair(format: str) -> None:
    told = transcript()
    assert {pair_of(row["id"]) for row in exporters.rows(told, format)} == {
        pair.id for pair in pairs(told)
    }


@pytest.mark.parametrize("format", ["seeds", "trl-prm", "trl-kto-checked", "trl-sft-critiques"])
def test_a_format_of_other_notes_leaves_verdicts_alone(format: str) -> None:
    assert list(exporters.lines(transcript(), format)) == []


def test_formats_are_the_files() -> None:
    wanted = (
        "trl-dpo trl-dpo-text trl-reward trl-kto trl-sft trl-prm axolotl-dpo llama-factory "
        "openrlhf nemo-rl verl ultrafeedback canonical"
    )
    assert set(wanted.split()) <= set(exporters.FORMATS)


@pytest.mark.parametrize("format", sorted(set(OF_PAIRS) - {"verl"}))
def test_every_format_tells_of_a_related_judge_that_was_allowed(format: str) -> None:
    given = transcript()
    (verdict,) = given.recorded.verdicts
    notes = (verdict.model_copy(update={"related_judges": True}),)
    allowed = given.model_copy(
        update={"recorded": given.recorded.model_copy(update={"notes": notes})}
    )
    before = json.dumps(list(exporters.rows(given, format)))
    told = json.dumps(list(exporters.rows(allowed, format)))
    assert told.replace('"related_judges": true', '"related_judges": false') == before != told


def test_unknown_format_lists_the_known() -> None:
    with pytest.raises(NotFound, match=r"no format 'trl_dpo'; there are: .*canonical.*trl-dpo"):
        exporters.exporter("trl_dpo")


def test_critiques_that_helped() -> None:
    """One critique is in the question that the winner answered; the other is not; a third was cut off."""
    helped = turn(2, "tutor", "critique", "Name the hour.")
    ignored = turn(3, "tutor", "critique", "Say please.")
    cut = turn(4, "tutor", "critique", "Name the", finish_reason="length")
    given = transcript()
    draft, revised = given.recorded.turns[:2]
    asked = (*PROMPT, Message(role="user", content="Criticism: Name the hour. Again."))
    call = revised.call.model_copy(update={"messages": asked})
    revised = revised.model_copy(update={"index": 5, "call": call})
    (verdict,) = given.recorded.verdicts
    notes = (verdict.model_copy(update={"b": 5, "ballots": ()}),)
    told = given.model_copy(
        update={"recorded": Recorded(turns=(draft, helped, ignored, cut, revised), notes=notes)}
    )
    (row,) = exporters.rows(told, "trl-sft-critiques")
    assert row["messages"] == [*CONTEXT, {"role": "assistant", "content": "Name the hour."}]


@pytest.mark.parametrize(
    ("critic", "criticised", "role", "helped"),
    [
        ("pupil", "Spät.", "assistant", True),
        ("tutor", "Spät.", "user", True),
        ("tutor", "Spät.", "assistant", False),
        ("tutor", "Another's answer.", "user", False),
    ],
)
def test_a_critique_helped_where_it_is_about_what_was_revised(
    critic: str, criticised: str, role: Literal["assistant", "user"], helped: bool
) -> None:
    given = transcript()
    draft, revised = given.recorded.turns[:2]
    critique = turn(2, critic, "critique", "Name the hour.")
    seen = (*PROMPT, Message(role="user", content=f"{criticised} What is wrong?"))
    critique = critique.model_copy(
        update={"call": critique.call.model_copy(update={"messages": seen})}
    )
    chat = (
        *PROMPT,
        Message(role="assistant", content="Spät."),
        Message(role=role, content="Name the hour."),
        Message(role="user", content="Again."),
    )
    call = revised.call.model_copy(update={"messages": chat})
    revised = revised.model_copy(update={"index": 5, "call": call})
    (verdict,) = given.recorded.verdicts
    notes = (verdict.model_copy(update={"b": 5, "ballots": ()}),)
    told = given.model_copy(
        update={"recorded": Recorded(turns=(draft, critique, revised), notes=notes)}
    )
    assert len(list(exporters.rows(told, "trl-sft-critiques"))) == helped


def test_answers_that_a_program_checked_have_labels_of_their_own() -> None:
    """A tie of two answers that both pass makes no pair, and two desirable rows."""
    passed = [
        Ballot(judge="checker:number", order="a", turn=0, scores={"a": 1.0}),
        Ballot(judge="checker:number", order="b", turn=1, scores={"b": 1.0}),
    ]
    failed = Ballot(judge="checker:number", order="b", turn=1, scores={"b": 0.5})
    unknown = Ballot(judge="checker:number", order="b", turn=1, error="timeout")
    found = {
        "both": (tuple(passed), [True, True]),
        "one": ((passed[0], failed), [True, False]),
        "unknown": ((passed[0], unknown), [True]),
    }
    for ballots, labels in found.values():
        given = transcript(None, "tie")
        (verdict,) = given.recorded.verdicts
        notes = (verdict.model_copy(update={"ballots": ballots}),)
        told = given.model_copy(
            update={"recorded": given.recorded.model_copy(update={"notes": notes})}
        )
        rows = list(exporters.rows(told, "trl-kto-checked"))
        assert [row["label"] for row in rows] == labels
        assert rows[0]["prompt"] == CONTEXT


def test_verdicts_of_every_outcome_are_rows() -> None:
    (won,) = exporters.rows(transcript(), "verdicts")
    (tied,) = exporters.rows(transcript(None, "tie"), "verdicts")
    assert (won["pair"], won["winner"], tied["pair"], tied["outcome"]) == (PAIR, "b", None, "tie")
    assert won["ballots"][0]["scores"] == {"a": -2.0, "b": -0.5}


def test_a_transcript_is_a_row() -> None:
    (row,) = exporters.rows(transcript(), "transcripts")
    assert [t["text"] for t in row["turns"]][:2] == ["Spät.", "\tEs ist 3 Uhr.\n"]
    assert row["turns"][0]["messages"] == CONTEXT


@pytest.mark.parametrize("format", [f for f in exporters.FORMATS if f not in ("seeds", "trl-prm")])
def test_rows_have_the_columns_that_the_format_names(format: str) -> None:
    for row in exporters.rows(transcript(), format):
        assert list(row) == list(exporters.exporter(format).columns)
        _fits(row, exporters.exporter(format).columns)


def _fits(value: Any, column: Any) -> None:
    if value is None:
        return
    if isinstance(column, dict):
        assert list(value) == list(column)
        for name in column:
            _fits(value[name], column[name])
    elif isinstance(column, list):
        for one in value:
            _fits(one, column[0])
    elif isinstance(column, MapOf):
        for one in value.values():
            _fits(one, column.value)
    elif column is float:
        assert isinstance(value, float)
    elif column is not JSON:
        assert type(value) is column


def test_what_stands_beside_a_file_names_it() -> None:
    for format in exporters.FORMATS:
        for name, text in exporters.exporter(format).beside("pairs.jsonl").items():
            assert "pairs.jsonl" in text, name
    assert "custom_reward_function.name=" in exporters.exporter("verl").beside("a")["a.verl.args"]
    entry = json.loads(exporters.exporter("llama-factory").beside("a.jsonl")["dataset_info.json"])
    assert entry["a"]["ranking"] is True
    axolotl = yaml.safe_load(
        exporters.exporter("axolotl-dpo").beside("a.parquet")["a.parquet.axolotl.yaml"]
    )
    assert axolotl["datasets"][0]["ds_type"] == "parquet"
