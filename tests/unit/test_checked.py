"""Checkers in judging: when they decide, when they must agree, what is recorded, what is not run twice."""

import asyncio
from typing import Any

import pytest

from aaa import exporters
from aaa.drive import drive
from aaa.judges import compare
from aaa.judges._checked import finding
from aaa.play import Play, Rehearsal, check_all, note, rehearse, together
from aaa.protocols import co_teaching
from aaa.transcripts import Transcript
from aaa.types import (
    Agent,
    Ballot,
    Call,
    Check,
    CheckFailure,
    Checks,
    CheckWish,
    ChoiceShape,
    Judging,
    Note,
    Recorded,
    Reply,
    Seed,
    Turn,
    Verdict,
)
from tests.classroom import ANNA, BEN, cast, prefers, turn, user

CHECKER = {"kind": "number", "value": 42}
SEED = Seed(id="s", prompt=user("6 x 7?"), checker=CHECKER)
A, B = turn(0, "it is 41"), turn(1, "it is 42")


def judged(
    mode: str,
    found: dict[int, Check | CheckFailure],
    *,
    judge: str = "b",
    margin: float = 1,
    seed: Seed = SEED,
) -> tuple[Verdict, Rehearsal]:
    """A against B with these findings; the judge prefers `judge`."""
    options = {"checker": mode, "checker_margin": margin}
    judging = Judging.model_validate({"play": "logprob", **options})

    def answer(call: Call) -> Reply:
        return prefers(call, *((A.text, B.text) if judge == "a" else (B.text, A.text)))

    def play() -> Play[Verdict]:
        verdict = yield from compare(cast(judging=judging), seed, A, B, edge="peer")
        yield from note(verdict)
        return verdict

    done = rehearse(play(), answer, check=lambda wish: {i: found[i] for i in wish.answers})
    (verdict,) = done.recorded.verdicts
    return verdict, done


PASS, FAIL = Check(score=1, why="right"), Check(score=0, why="wrong")
BROKEN = CheckFailure(kind="timeout", message="ran away")


def test_off_asks_the_judge_alone() -> None:
    verdict, done = judged("off", {}, judge="a")
    assert (verdict.outcome, verdict.winner, verdict.judging) == ("win", "a", "logprob")
    assert len(done.recorded.turns) == 2


def test_a_seed_without_a_checker_is_judged_as_ever() -> None:
    bare = SEED.model_copy(update={"checker": None})
    for mode in ("decides", "agrees"):
        verdict, _ = judged(mode, {}, judge="a", seed=bare)
        assert (verdict.winner, len(verdict.ballots)) == ("a", 2)


@pytest.mark.parametrize(
    ("a", "b", "margin", "outcome", "winner"),
    [
        (FAIL, PASS, 1, "win", "b"),
        (PASS, FAIL, 1, "win", "a"),
        (PASS, PASS, 0.1, "tie", None),
        (FAIL, FAIL, 0.1, "tie", None),
        (Check(score=0.9), PASS, 1, "win", "b"),
        (Check(score=0.9), FAIL, 1, "tie", None),
        (Check(score=0.9), FAIL, 0.5, "win", "a"),
        (Check(score=0.5), Check(score=0.8), 0.5, "tie", None),
        (
            Check(score=0.7),
            Check(score=0.2),
            0.5,
            "win",
            "a",
        ),  # 0.7 - 0.2 is a little less than 0.5
        (PASS, BROKEN, 1, "error", None),
        (BROKEN, FAIL, 1, "error", None),
    ],
)
def test_decides(
    a: Check | CheckFailure, b: Check | CheckFailure, margin: float, outcome: str, winner: str
) -> None:
    verdict, done = judged("decides", {0: a, 1: b}, margin=margin)
    assert (verdict.outcome, verdict.winner, verdict.judging) == (outcome, winner, "checker")
    assert done.recorded.turns == ()
    assert [finding(ballot) for ballot in verdict.ballots] == [a, b]


@pytest.mark.parametrize(
    ("a", "b", "judge", "outcome", "winner", "asked"),
    [
        (FAIL, PASS, "b", "win", "b", 2),
        (FAIL, PASS, "a", "flip", None, 2),
        (PASS, PASS, "a", "tie", None, 0),
        (BROKEN, PASS, "b", "error", None, 0),
    ],
)
def test_agrees(
    a: Check | CheckFailure, b: Check, judge: str, outcome: str, winner: str, asked: int
) -> None:
    verdict, done = judged("agrees", {0: a, 1: b}, judge=judge)
    assert (verdict.outcome, verdict.winner) == (outcome, winner)
    assert len(done.recorded.turns) == asked
    assert len(verdict.ballots) == 2 + asked
    assert (verdict.margin is None) == (winner is None)


def test_an_error_says_why_it_could_not_be_checked() -> None:
    verdict, _ = judged("decides", {0: PASS, 1: BROKEN})
    assert verdict.reason == "checker 'number': timeout: ran away"
    assert [b.error for b in verdict.ballots] == [None, "timeout: ran away"]


def test_empty_answers_never_reach_a_checker() -> None:
    judging = Judging(play="logprob", checker="decides")
    seed = SEED.model_copy(update={"checker": {"kind": "regex", "pattern": "^"}})
    play = compare(cast(judging=judging), seed, turn(0, ":"), turn(1, "no"), edge="peer")
    done = rehearse(play, lambda _: "", check=_must_not_check)
    assert isinstance(done.result, Verdict)
    assert done.result.outcome == "abstain"


def _must_not_check(wish: CheckWish) -> Checks:
    raise AssertionError(wish)


# --- a session with checks: driven, cut anywhere, resumed ---

CAST = cast(ANNA, BEN, judging=Judging(play="logprob", checker="decides"))


def session() -> Play[None]:
    return co_teaching.play(SEED, CAST, co_teaching.Options(rounds=2))


def answer(call: Call) -> Reply:
    if isinstance(call.shape, ChoiceShape):
        raise AssertionError("a judge was asked although the checker decides")
    return Reply(
        text=f"{call.purpose} {len(call.messages)}: {42 if len(call.messages) > 1 else 41}"
    )


class Table:
    """Grants calls, counts checks: each finding names how often that turn was looked at."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.notes: list[Verdict] = []
        self.checked: list[int] = []

    async def grant(self, index: int, call: Call) -> Turn:
        made = Turn(index=index, call=call, reply=answer(call))
        self.turns.append(made)
        return made

    async def record(self, index: int, after: int, note: Note) -> None:
        assert isinstance(note, Verdict)
        self.notes.append(note)

    async def check(self, wish: CheckWish) -> Checks:
        self.checked += wish.answers
        return {
            index: Check(score=float("42" in text), why=f"look {len(self.checked)}")
            for index, text in wish.answers.items()
        }

    async def drive(self, past: Recorded) -> None:
        await drive(session(), self.grant, self.record, past, self.check)


async def test_a_turn_is_checked_once_in_a_session() -> None:
    table = Table()
    await table.drive(Recorded())
    assert len(table.checked) == len(set(table.checked))
    assert [n.outcome for n in table.notes[:2]] == ["win", "win"]


async def test_a_recorded_finding_is_replayed_not_found_again() -> None:
    first = Table()
    await first.drive(Recorded())
    turns = tuple(sorted(first.turns, key=lambda t: t.index))
    for kept in range(len(first.notes) + 1):
        again = Table()
        await again.drive(Recorded(turns=turns, notes=tuple(first.notes[:kept])))
        known = {ballot.turn for note in first.notes[:kept] for ballot in note.ballots}
        assert not known & set(again.checked)
        assert len(again.notes) == len(first.notes) - kept


async def test_a_check_that_is_not_recorded_is_made_again() -> None:
    looked: list[dict[str, Any]] = []

    def play() -> Play[None]:
        for value in (1, 2):  # the same turn, the same kind, another checker
            yield from check_all({"kind": "number", "value": value}, [A])

    async def check(wish: CheckWish) -> Checks:
        looked.append(wish.checker)
        return dict.fromkeys(wish.answers, PASS)

    table = Table()
    ballot = Ballot(judge="checker:number", order="a", turn=0, scores={"a": 0.0})
    past = Verdict(
        edge="x", context=user("q"), a=0, b=1, outcome="tie", judging="checker", ballots=(ballot,)
    )

    def whole() -> Play[None]:
        yield from play()
        yield from note(past)

    await drive(whole(), table.grant, table.record, Recorded(notes=(past,)), check)
    assert [spec["value"] for spec in looked] == [1, 2]


async def test_driving_applies_real_checkers() -> None:
    table = Table()
    await drive(session(), table.grant, table.record, Recorded())
    assert table.notes[0].ballots[0].judge == "checker:number"
    assert "is not 42" in table.notes[0].ballots[0].explanation


async def test_checks_do_not_hold_up_the_loop() -> None:
    """A slow pattern runs beside the loop: other sessions go on meanwhile."""
    slow = {"kind": "regex", "pattern": r"(a|aa)+$"}
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    def play() -> Play[Checks]:
        return (yield from check_all(slow, [turn(0, "a" * 60 + "b")]))

    ticking = asyncio.create_task(tick())
    table = Table()
    await drive(play(), table.grant, table.record, Recorded())
    ticking.cancel()
    assert ticks > 5


def test_plays_side_by_side_get_their_own_checks() -> None:
    def one(index: int) -> Play[Checks]:
        return (yield from check_all(CHECKER, [turn(index, str(index))]))

    done = rehearse(together(one(i) for i in range(3)), lambda _: "")
    assert done.result == tuple({i: Check(score=0)} for i in range(3))


def test_an_estimate_counts_no_judge_where_the_checker_decides() -> None:
    done = rehearse(session(), lambda call: f"text {len(call.messages)} {call.agent}")
    assert {t.call.purpose for t in done.recorded.turns} == {"draft", "critique", "revision"}
    assert [n.outcome for n in done.recorded.verdicts[:2]] == ["win", "win"]


def test_a_pair_decided_by_a_checker_shows_it_in_the_canonical_row() -> None:
    verdict, _ = judged("decides", {0: FAIL, 1: PASS})
    row = _row(verdict, (A, B))
    assert row["judging"]["play"] == "checker"
    chosen = row["judging"]["ballots"][1]
    assert (chosen["judge"], chosen["shown"]) == ("checker:number", ["chosen"])
    assert (chosen["scores"], chosen["explanation"]) == ({"chosen": 1.0}, "right")
    assert (chosen["text"], chosen["model"], chosen["cost_usd"]) == ("", "", None)


def _row(verdict: Verdict, turns: tuple[Turn, ...]) -> dict[str, Any]:
    transcript = Transcript(
        round="r",
        session=1,
        scenario="s",
        protocol="co_teaching",
        status="completed",
        seed=SEED,
        recorded=Recorded(turns=turns, notes=(verdict,)),
    )
    (row,) = exporters.rows(transcript, "canonical")
    return row


def test_no_agent_can_be_taken_for_a_checker() -> None:
    assert not Ballot(judge=Agent(name="checker", family="x").name, order="a", turn=0).by_checker
