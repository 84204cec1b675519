"""K-wise: who answers, how often and at which sampling; and that every answer has a verdict."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from aaa.estimate import estimate
from aaa.play import CallRefused, Play, Rehearsal, rehearse
from aaa.protocols import k_wise
from aaa.provider import quality
from aaa.types import Agent, Call, Cast, Failure, Judging, Reply, Seed, Turn, Verdict
from tests.catalogues import small_catalogue
from tests.classroom import JUDGE, SEED
from tests.resuming import by_checkers, resumes
from tests.stub_judge import stub_judge
from tests.unit.test_k_wise import WORST

POOL = tuple(Agent(name=f"model{n}", family=f"family{n}") for n in range(5))
JUDGED = stub_judge()
Said = Callable[[Call], str | Reply | Turn]


def pool_cast(*pool: Agent, judges: tuple[Agent, ...] = (JUDGE,), **judging: Any) -> Cast:
    seats = {"student": pool or POOL, "judge": judges}
    return Cast(seats=seats, judging=Judging.model_validate({"play": "logprob", **judging}))


def says(*texts: str) -> Said:
    """Answers in the order in which they are asked for; without any, each agent has one of its own."""
    left = list(texts)

    def answer(call: Call) -> str | Reply:
        if call.seat == "judge":
            return points(call) if call.purpose == "score" else JUDGED(call)
        heat = call.sampling.temperature
        return left.pop(0) if left else f"It scatters, says {call.agent} at {heat}."

    return answer


def points(call: Call) -> str:
    """Points by the length of what stands under `Answer:`."""
    text = call.messages[-1].content.partition("Answer:\n<")[2].partition(">\n")[2]
    return json.dumps({"rationale": "So it is.", "score": len(text.partition("\n</")[0]) % 6})


def played(
    cast: Cast | None = None, answer: Said | None = None, seed: Seed = SEED, **options: Any
) -> Rehearsal:
    session = k_wise.play(seed, cast or pool_cast(), k_wise.Options(**options))
    return rehearse(session, answer or says())


def answered(done: Rehearsal) -> list[tuple[str, float | None]]:
    calls = [turn.call for turn in done.recorded.turns if turn.call.purpose == "answer"]
    return [(call.agent, call.sampling.temperature) for call in calls]


def covered(done: Rehearsal) -> set[int]:
    return {index for v in done.recorded.verdicts for index in (v.a, v.b)}


def test_answers_are_drawn_from_the_pool() -> None:
    seen: Counter[str] = Counter()
    for n in range(60):
        seed = SEED.model_copy(update={"id": f"seed-{n}"})
        agents = [agent for agent, _ in answered(played(seed=seed))]
        assert len(set(agents)) == 4
        seen.update(agents)
    assert set(seen) == {agent.name for agent in POOL}
    assert min(seen.values()) > 30


def test_a_small_pool_answers_again_and_otherwise() -> None:
    found = answered(played(pool_cast(*POOL[:2]), answers=5))
    by_agent = {name: [heat for agent, heat in found if agent == name] for name, _ in found}
    assert sorted(by_agent.values(), key=len) == [[None, 1.0], [None, 1.0, 0.5]]
    assert len(set(found[:2])) == 2  # everybody once before anybody twice


def test_the_temperatures_can_be_set_and_come_round() -> None:
    found = answered(played(pool_cast(POOL[0]), answers=4, temperatures=(0.7, 0.9)))
    assert [heat for _, heat in found] == [None, 0.7, 0.9, 0.7]


def test_answers_are_ranked_by_the_scenarios_judge() -> None:
    done = played(answers=4)
    verdicts = done.recorded.verdicts
    assert {v.edge for v in verdicts} == {"k_wise"}
    assert {v.judging for v in verdicts} == {"logprob"}
    assert 3 <= len(verdicts) <= 5
    assert covered(done) == {0, 1, 2, 3}
    for v in verdicts:
        a, b = (quality(done.recorded.turns[i].text) for i in (v.a, v.b))
        if v.winner:
            assert (v.winner == "a") == (a > b)


def test_rubric_marks_are_on_the_record() -> None:
    done = played(pool_cast(play="rubric", options={"margin": 0}), answers=3)
    ballots = [ballot for v in done.recorded.verdicts for ballot in v.ballots]
    assert all(ballot.scores and "helpfulness: " in ballot.explanation for ballot in ballots)


def test_what_a_ranking_implies_can_be_told() -> None:
    plain, told = (played(answers=6, implied=implied) for implied in (False, True))
    met = plain.recorded.verdicts
    implied = told.recorded.verdicts[len(met) :]
    assert told.recorded.verdicts[: len(met)] == met
    assert implied
    texts = [turn.text for turn in told.recorded.turns]
    for verdict in implied:
        assert (verdict.judging, verdict.ballots, verdict.margin) == ("ranking", (), None)
        assert quality(texts[verdict.chosen or 0]) > quality(texts[verdict.rejected or 0])
        chain = [int(n) for n in verdict.reason.split(",")[0].removeprefix("turns ").split(" > ")]
        assert (chain[0], chain[-1]) == (verdict.chosen, verdict.rejected)
        won = {(v.chosen, v.rejected) for v in met}
        assert all(step in won for step in pairwise(chain))
    pairs = [frozenset((v.a, v.b)) for v in told.recorded.verdicts]
    assert len(set(pairs)) == len(pairs)


def test_what_a_relatives_comparison_implies_says_so() -> None:
    """A judge of one contestant's family: pairs that follow through that contestant are marked, too."""
    cast = pool_cast(judges=(Agent(name="judge", family=POOL[0].family),), exclude_family=False)
    verdicts = played(cast, answers=6, implied=True).recorded.verdicts
    met = {(v.chosen, v.rejected): v.related_judges for v in verdicts if v.judging != "ranking"}
    implied = [v for v in verdicts if v.judging == "ranking"]
    for one in implied:
        chain = [int(n) for n in one.reason.split(",")[0].removeprefix("turns ").split(" > ")]
        assert one.related_judges == any(met[step] for step in pairwise(chain))
    assert {one.related_judges for one in implied} == {True, False}


def test_scores_put_the_best_against_every_other() -> None:
    texts = ["It is blue light" + "." * n for n in (3, 1, 0, 2)]
    done = played(answer=says(*texts), scores=True)
    by_score = [v for v in done.recorded.verdicts if v.edge == "points"]
    best = max(range(4), key=lambda n: len(texts[n]) % 6)
    assert [v.a for v in by_score] == [best] * 3
    assert {v.b for v in by_score} | {best} == {0, 1, 2, 3}
    for v in by_score:
        gap = len(texts[v.a]) % 6 - len(texts[v.b]) % 6
        assert (v.outcome, v.margin) == ("win" if gap else "tie", float(gap))
        assert [(b.order, b.judge) for b in v.ballots] == [("a", "judge"), ("b", "judge")]


# --- what goes wrong ---


def test_the_same_words_are_ranked_once() -> None:
    done = played(answer=says("It is paint.", "It scatters.", "It scatters. ", "It scatters."))
    ties = [v for v in done.recorded.verdicts if v.outcome == "tie"]
    assert [(v.a, v.b, v.reason) for v in ties] == [
        (1, 2, "the answers are identical"),
        (1, 3, "the answers are identical"),
    ]
    assert len(done.recorded.verdicts) == 3
    assert done.batches == (4, 2)


def test_answers_that_say_nothing_have_a_verdict_too() -> None:
    done = played(answer=says("", "It scatters.", "...", "It is paint."))
    reasons = {(v.a, v.b): v.reason.partition(":")[0] for v in done.recorded.verdicts}
    assert reasons == {(1, 3): "", (1, 0): "no_content", (1, 2): "no_content"}


def test_where_nobody_says_anything_every_answer_has_a_verdict() -> None:
    done = played(answer=says("", "", "", ""), scores=True)
    assert [(v.a, v.b, v.outcome) for v in done.recorded.verdicts] == [
        (0, 1, "abstain"), (0, 2, "abstain"), (0, 3, "abstain"),
    ]  # fmt: skip
    assert done.batches == (4,)


def refusing(*places: int) -> Said:
    count = iter(range(100))

    def answer(call: Call) -> str | Reply | Turn:
        if call.seat == "judge" or next(count) not in places:
            return says()(call)
        failure = Failure(kind="content_filter", message="no")
        return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)

    return answer


def test_refused_answers_have_a_verdict_and_the_others_go_on() -> None:
    done = played(answer=refusing(0, 2))
    refused = [v for v in done.recorded.verdicts if v.reason.startswith("refused: ")]
    assert [(v.a, v.b) for v in refused] == [(1, 0), (1, 2)]
    assert covered(done) == {0, 1, 2, 3}


def test_one_answer_alone_is_no_ranking() -> None:
    with pytest.raises(CallRefused):
        played(answer=refusing(0, 1, 2))


def test_judges_that_may_judge_only_some_are_asked_for_those() -> None:
    """Scores are compared by judges that may judge both."""
    relative = Agent(name="referee", family=POOL[0].family)
    cast = pool_cast(*POOL[:2], judges=(JUDGE, relative))
    done = played(cast, answers=2, scores=True)
    scored = next(v for v in done.recorded.verdicts if v.edge == "points")
    assert {b.judge for b in scored.ballots} == {"judge"}
    judges = [t.call.agent for t in done.recorded.turns if t.call.purpose == "score"]
    assert sorted(judges) == ["judge", "judge", "referee"]


# --- the same again ---


def test_it_plays_the_same_twice() -> None:
    assert played(answers=5, implied=True) == played(answers=5, implied=True)


def test_it_goes_on_wherever_it_was_cut_off() -> None:
    def session() -> Play[None]:
        return k_wise.play(SEED, pool_cast(), k_wise.Options(implied=True, scores=True))

    whole = resumes(session, says(), by_checkers).recorded
    assert {v.edge for v in whole.verdicts} == {"k_wise", "points"}


@pytest.mark.parametrize(
    ("answers", "comparisons"), [(n, most) for n, most in WORST.items() if n > 1]
)
@pytest.mark.parametrize("play", ["pairwise", "rubric"])
def test_a_dry_run_counts_the_most(
    tmp_path: Any, answers: int, comparisons: int, play: str
) -> None:
    catalogue = small_catalogue(
        tmp_path,
        questions=1,
        protocol={"id": "k_wise", "options": {"answers": answers, "scores": True}},
        seats={"student": ["pupil", "peer", "teacher"], "judge": ["judge"]},
        judging={"play": play},
    )
    found: Counter[str] = Counter()
    for line in estimate(*catalogue.prepare(*catalogue.scenario("small"))).lines:
        found[line.purpose] += line.calls
    assert found == {"answer": answers, "ballot": 2 * comparisons, "score": answers}


def test_a_verdict_of_points_is_a_verdict() -> None:
    done = played(scores=True)
    assert all(isinstance(note, Verdict) for note in done.recorded.notes)
