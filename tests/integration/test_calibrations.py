"""Given turns on record, judges measured and required, rounds judged again: over a real database and API."""

from collections import Counter
from typing import Any

import httpx
import pytest

from aaa.api.server import local_api
from aaa.asking import LeaseLost, Wish
from aaa.calibration import judging_key
from aaa.catalogue import Catalogue
from aaa.client import Client
from aaa.commands.worth import worth
from aaa.errors import Conflict
from aaa.protocols import given
from aaa.settings import Settings
from aaa.store.calibrations import kept_calibrations
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.store.leases import Claim, End, claim_sessions, end_sessions
from aaa.store.reading import get_session, recorded, transcripts
from aaa.store.rounds import create_round, get_round
from aaa.types import Agent, Call, Cast, Judging, Reply, Required
from tests.playing import play_round, say, verdict_for

CAST = Cast(seats={"judge": (Agent(name="judge", family="d"),)})
RIGHT, WRONG = "a better answer", "another answer"


def labelled(pairs: int) -> list[dict[str, Any]]:
    """Pairs whose right answer holds the word that `tests.playing.say` goes by, on alternating sides."""
    return [
        {
            "id": f"p{n}",
            "prompt": f"Question {n}?",
            "comparison": {
                "a": {"text": f"{WRONG if n % 2 else RIGHT} {n}"},
                "b": {"text": f"{RIGHT if n % 2 else WRONG} {n}"},
                "label": "b" if n % 2 else "a",
            },
        }
        for n in range(pairs)
    ]


def calibration(pairs: int = 8, **judging: Any) -> dict[str, Any]:
    return {
        "name": "calibrate",
        "protocol": {"id": "given", "options": {"judges": "apart", "labels": "test.jsonl"}},
        "seats": {"judge": ["judge"]},
        "seeds": {"inline": labelled(pairs)},
        "judging": {"play": "pairwise"} | judging,
    }


async def started(api: httpx.AsyncClient, scenario: object) -> str:
    made = await api.post("/v1/rounds", json={"scenario": scenario})
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


async def calibrated(
    api: httpx.AsyncClient, database: Database, answer: Any = say, **judging: Any
) -> dict[str, Any]:
    """A calibration round played to its end, and its report."""
    round_id = await started(api, calibration(**judging))
    await play_round(database, round_id, answer)
    report = await api.post(f"/v1/rounds/{round_id}/calibration")
    assert report.status_code == 200, report.text
    found: dict[str, Any] = report.json()
    return found


def second(call: Call) -> str:
    """A judge that is wrong on every pair."""
    return verdict_for(call, "another")


def first_shown(call: Call) -> str:
    """A judge that takes whatever stands first."""
    shown = call.messages[-1].content
    return verdict_for(call, "better" if shown.find(RIGHT) < shown.find(WRONG) else "another")


# Given turns


async def test_given_turns_have_no_attempt_and_cost_nothing(
    api: httpx.AsyncClient, database: Database
) -> None:
    round_id = await started(api, calibration(pairs=1))
    await play_round(database, round_id)
    found = await get_round(database, round_id)
    assert found.turns == 4
    assert found.spent_usd == pytest.approx(0.002)
    (session,) = (await api.get(f"/v1/rounds/{round_id}/sessions")).json()["items"]
    whole = await get_session(database, session["id"])
    assert {attempt["index"] for attempt in whole["attempts"]} == {2, 3}
    assert [turn["purpose"] for turn in whole["turns"]][:2] == ["given", "given"]
    assert whole["turns"][0]["cost_usd"] == 0


def given_wish(claim: Claim, index: int, epoch: int) -> Wish:
    """The wish for the first given answer of a claimed session."""
    play = given.play(claim.seed, CAST, given.Options(judges="apart"))
    batch = next(play)
    assert isinstance(batch, tuple)
    return Wish(
        round=claim.round,
        session=claim.session,
        epoch=epoch,
        index=index,
        call=batch[index],
        sampling_seed=0,
    )


async def test_a_given_turn_reads_back_as_it_was_and_is_recorded_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    round_id = await started(api, calibration(pairs=1))
    (claim,) = await claim_sessions(database, "nobody", 1)
    journal = Journal(database)
    turn = await journal.given(given_wish(claim, 0, claim.epoch))
    again = await journal.given(given_wish(claim, 0, claim.epoch))
    assert again == turn
    assert (await recorded(database, claim.session)).turns == (turn,)
    assert (await get_round(database, round_id)).turns == 1


async def test_a_lost_claim_records_nothing(api: httpx.AsyncClient, database: Database) -> None:
    await started(api, calibration(pairs=1))
    (claim,) = await claim_sessions(database, "nobody", 1)
    with pytest.raises(LeaseLost):
        await Journal(database).given(given_wish(claim, 0, claim.epoch - 1))
    assert (await recorded(database, claim.session)).turns == ()


async def test_a_half_recorded_session_goes_on_without_asking_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    round_id = await started(api, calibration(pairs=1))
    (claim,) = await claim_sessions(database, "nobody", 1)
    await Journal(database).given(given_wish(claim, 1, claim.epoch))
    await end_sessions(database, [End(claim, "queued")])
    asked: Counter[str] = Counter()

    def counted(call: Call) -> str:
        asked[call.purpose] += 1
        return say(call)

    await play_round(database, round_id, counted)
    assert asked == {"ballot": 2}
    assert (await get_round(database, round_id)).sessions["completed"] == 1


# Measuring


async def test_a_judge_is_measured_and_the_figures_stay(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    report = await calibrated(api, database)
    (one,) = report["calibrations"]
    assert report["panel"] is None
    assert (one["judge"], one["play"], one["labels"]) == ("judge", "pairwise", "test.jsonl")
    assert one["figures"]["verdict"]["accuracy"]["value"] == 1
    assert one["figures"]["flip_rate"]["value"] == 0
    assert one["figures"]["pairs"] == 8
    assert one["key"] == judging_key(catalogue.card("judge"), Judging(play="pairwise"))
    row = (await api.get("/v1/agents/judge")).json()["calibrations"][0]
    assert (row["calibration"], row["current"]) == (one, True)
    rows = (await api.get("/v1/agents")).json()["items"]
    assert [r["name"] for r in rows if r["calibrations"]] == ["judge"]


async def test_a_changed_card_makes_figures_old(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    await calibrated(api, database)
    path = catalogue.agent_folders[0] / "judge.yaml"
    path.write_text(path.read_text() + "persona: You like short answers.\n")
    (row,) = (await api.get("/v1/agents/judge")).json()["calibrations"]
    assert row["current"] is False


async def test_the_newest_figures_of_a_key_count(
    api: httpx.AsyncClient, database: Database
) -> None:
    await calibrated(api, database)
    newest = await calibrated(api, database, second)
    (kept,) = (await kept_calibrations(database, ["judge"]))["judge"]
    assert kept.calibration.round == newest["calibrations"][0]["round"]
    assert kept.calibration.figures.verdict.accuracy.value == 0


async def test_two_judges_are_measured_apart_and_together(
    api: httpx.AsyncClient, database: Database
) -> None:
    scenario = calibration() | {"seats": {"judge": ["judge", "teacher"]}}
    round_id = await started(api, scenario)
    await play_round(database, round_id, lambda c: say(c) if c.agent == "judge" else second(c))
    report = (await api.post(f"/v1/rounds/{round_id}/calibration")).json()
    accuracy = {
        one["judge"]: one["figures"]["verdict"]["accuracy"]["value"]
        for one in report["calibrations"]
    }
    assert accuracy == {"judge": 1, "teacher": 0}
    assert (report["panel"]["judges"], report["panel"]["pairs"]) == (["judge", "teacher"], 8)


async def test_only_an_ended_round_over_labelled_pairs_is_measured(
    api: httpx.AsyncClient, database: Database
) -> None:
    round_id = await started(api, calibration())
    early = await api.post(f"/v1/rounds/{round_id}/calibration")
    assert (early.status_code, "queued" in early.text) == (409, True)
    await play_round(database, round_id)
    other = await started(api, "small")
    await play_round(database, other)
    wrong = await api.post(f"/v1/rounds/{other}/calibration")
    assert (wrong.status_code, "no labelled pair" in wrong.text) == (409, True)
    assert (await api.post("/v1/rounds/nowhere/calibration")).status_code == 404


async def test_a_run_says_what_its_judges_were_worth(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue, settings: Settings
) -> None:
    scenario, folder = catalogue.scenario("small")
    script, _ = catalogue.prepare(scenario, folder)
    async with local_api(settings, database, catalogue) as own, Client(*own) as client:
        (line,) = await worth(client, script)
        assert "judge judge: never measured; " in line
        assert "judges calibrate --judge judge --play pairwise" in line
        await calibrated(api, database)
        (line,) = await worth(client, script)
        assert line.startswith("  judge judge: accuracy 1.00 (")
        assert "position flips 0.00 (" in line
        assert "8 labelled pairs of test.jsonl" in line
        assert "changed since" not in line
        changed = script.cards["judge"].model_copy(update={"persona": "You like short answers."})
        cards = {**script.cards, "judge": changed}
        (line,) = await worth(client, script.model_copy(update={"cards": cards}))
        assert "has changed since" in line


def one_at_a_time(call: Call) -> Reply:
    """A judge that finds the better answer good, asked about each alone."""
    good = RIGHT in call.messages[-1].content
    return Reply(text="", choice_logprobs={"Yes": -0.1 if good else -3.0, "No": -1.0})


async def test_of_a_judge_without_an_order_the_flips_with_one_are_told(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue, settings: Settings
) -> None:
    judging: dict[str, Any] = {"play": "logprob", "options": {"mode": "pointwise"}}
    scenario, folder = catalogue.scenario("small", {"judging": judging})
    script, _ = catalogue.prepare(scenario, folder)
    await calibrated(api, database, one_at_a_time, **judging)
    async with local_api(settings, database, catalogue) as own, Client(*own) as client:
        (line,) = await worth(client, script)
        assert "accuracy 1.00" in line
        assert "position flips none" in line
        await calibrated(api, database, first_shown)
        _, beside = await worth(client, script)
        assert "flips with their order on 1.00 (" in beside


# Requiring


async def required(database: Database, catalogue: Catalogue, **limits: float) -> str:
    """A round whose judging requires that; its id."""
    scenario, folder = catalogue.scenario("small")
    judging = scenario.judging.model_copy(update={"require": Required(**limits)})
    script, seeds = catalogue.prepare(scenario.model_copy(update={"judging": judging}), folder)
    return (await create_round(database, script, seeds)).id


async def test_an_uncalibrated_judge_is_refused(database: Database, catalogue: Catalogue) -> None:
    with pytest.raises(Conflict) as caught:
        await required(database, catalogue, accuracy=0.75)
    assert "judge 'judge' was never calibrated; calibrate it with: aaa judges calibrate " in str(
        caught.value
    )
    assert "--judge judge --play pairwise --labels FILE.jsonl" in str(caught.value)


async def test_a_good_enough_judge_is_taken(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    await calibrated(api, database)
    assert await required(database, catalogue, accuracy=0.75, flip_rate=0.25)


@pytest.mark.parametrize(
    ("answer", "limits", "said"),
    [
        (second, {"accuracy": 0.75}, r"judge 'judge': accuracy 0\.00 .* is below 0\.75"),
        (first_shown, {"flip_rate": 0.25}, r"judge 'judge': flip rate 1\.00 .* is above 0\.25"),
    ],
)
async def test_a_worse_judge_is_refused_and_leaves_nothing(
    api: httpx.AsyncClient,
    database: Database,
    catalogue: Catalogue,
    answer: Any,
    limits: dict[str, float],
    said: str,
) -> None:
    await calibrated(api, database, answer)
    with pytest.raises(Conflict, match=said):
        await required(database, catalogue, **limits)
    rounds = (await api.get("/v1/rounds")).json()["items"]
    assert [round["scenario"] for round in rounds] == ["calibrate"]


async def test_figures_of_other_options_do_not_count(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    await calibrated(api, database, options={"explanation_tokens": 100})
    with pytest.raises(Conflict, match="never calibrated as it is now"):
        await required(database, catalogue, accuracy=0.1)


async def test_it_is_refused_over_rest_too(api: httpx.AsyncClient) -> None:
    overrides = {"judging.require": {"accuracy": 0.75}}
    made = await api.post("/v1/rounds", json={"scenario": "small", "overrides": overrides})
    assert made.status_code == 409
    assert "aaa judges calibrate" in made.json()["detail"]


# Judging again


async def test_a_round_judged_again_says_what_changes(
    api: httpx.AsyncClient, database: Database
) -> None:
    old = await started(api, "small")
    await play_round(database, old)
    before = await get_round(database, old)
    asked: Counter[str] = Counter()

    def other(call: Call) -> str:
        asked[call.purpose] += 1
        return verdict_for(call, "first")  # drafts say "a first try", revisions "a better try"

    body = {"judges": ["teacher"]}
    estimate = (await api.post(f"/v1/rounds/{old}/rejudge/estimate", json=body)).json()
    made = await api.post(f"/v1/rounds/{old}/rejudge", json=body)
    assert made.status_code == 202, made.text
    new = made.json()["id"]
    assert made.json()["scenario"] == "small-rejudged", "told apart in lists"
    await play_round(database, new, other)
    assert asked == {"ballot": estimate["calls"]}, "nothing is generated, and the estimate is right"
    found = (await api.get(f"/v1/rounds/{new}/changes")).json()
    wins = before.verdicts["win"]
    assert wins > 0
    assert found["verdicts"] == sum(before.verdicts.values())
    assert found["reversed"] == wins
    assert found["none"] == found["verdicts"] - wins
    assert (await get_round(database, old)) == before, "the older round stays as it was"
    async for transcript in transcripts(database, [new]):
        known = transcript.seed.comparison
        assert known is not None
        assert known.source is not None
        assert known.source.round == old
        theirs = await get_session(database, known.source.session)
        verdict = theirs["verdicts"][known.source.verdict]
        assert known.a.text == theirs["turns"][verdict["a"]]["text"]
        assert known.source.outcome == verdict["outcome"]


async def test_a_round_is_judged_again_once_for_each_key(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    """It costs money, so a request that is sent again starts nothing; also where the judge is gone."""
    old = await started(api, "small")
    await play_round(database, old)
    other = await started(api, "small")
    await play_round(database, other)
    body, key = {"judges": ["teacher"]}, {"Idempotency-Key": "again"}
    path = f"/v1/rounds/{old}/rejudge"
    made = await api.post(path, json=body, headers=key)
    (catalogue.agent_folders[0] / "teacher.yaml").unlink()
    twice = await api.post(path, json=body, headers=key)
    assert (twice.status_code, twice.json()) == (202, made.json())
    assert twice.headers["location"] == made.headers["location"]
    dearer = body | {"budget_usd": 3}
    for another, asked in ((path, dearer), (f"/v1/rounds/{other}/rejudge", body)):
        assert (await api.post(another, json=asked, headers=key)).status_code == 409


async def test_a_relative_may_not_judge_again(api: httpx.AsyncClient, database: Database) -> None:
    old = await started(api, "small")
    await play_round(database, old)
    refused = await api.post(f"/v1/rounds/{old}/rejudge", json={"judges": ["pupil"]})
    assert refused.status_code == 422
    assert "family 'a'" in refused.json()["detail"]


async def test_what_cannot_be_judged_again(api: httpx.AsyncClient, database: Database) -> None:
    fresh = await started(api, "small")
    empty = await api.post(f"/v1/rounds/{fresh}/rejudge", json={"judges": ["judge"]})
    assert (empty.status_code, "no verdict" in empty.text) == (409, True)
    await play_round(database, fresh)
    other = {"judges": ["judge"], "overrides": {"seats.judge": ["pupil"]}}
    refused = await api.post(f"/v1/rounds/{fresh}/rejudge", json=other)
    assert (refused.status_code, "below 'judging'" in refused.text) == (422, True)
    unknown = await api.post(f"/v1/rounds/{fresh}/rejudge", json={"judges": ["nobody"]})
    assert unknown.status_code == 422
    plain = await api.get(f"/v1/rounds/{fresh}/changes")
    assert (plain.status_code, "judges no older round" in plain.text) == (409, True)
