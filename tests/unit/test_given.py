"""Protocol `given`: answers on the record without asking, judged as any others."""

import pytest

from aaa import plugins
from aaa.catalogue import Script
from aaa.errors import PlayError
from aaa.estimate import estimate
from aaa.play import Rehearsal, rehearse
from aaa.protocols.given import Options, play
from aaa.scenario import AgentCard, Scenario
from aaa.types import Agent, Answer, Call, Cast, Comparison, Judging, Reply, Seed
from tests.classroom import ANNA, JUDGE, SEED, prefers

OTHER = Agent(name="umpire", family="ash")
KNOWN = Comparison(a=Answer(text="scattering"), b=Answer(text="the sea"), label="a")
LABELLED = SEED.model_copy(update={"comparison": KNOWN})


def cast(*judges: Agent) -> Cast:
    return Cast(seats={"judge": judges or (JUDGE,)}, judging=Judging(play="logprob"))


def played(seed: Seed, cast: Cast, options: Options | None = None) -> Rehearsal:
    return rehearse(play(seed, cast, options or Options()), good)


def good(call: Call) -> Reply:
    assert call.given is None, "somebody was asked for words that are given"
    return prefers(call, KNOWN.a.text, KNOWN.b.text)


def test_given_answers_are_turns_that_nobody_was_asked_for() -> None:
    turns = played(LABELLED, cast()).recorded.turns
    assert [t.text for t in turns[:2]] == ["scattering", "the sea"]
    assert [t.call.purpose for t in turns] == ["given", "given", "ballot", "ballot"]
    assert turns[0].reply.cost_usd == 0
    assert all(turn.call.messages == SEED.prompt for turn in turns[:2])


def test_the_verdict_is_about_the_given_answers() -> None:
    (verdict,) = played(LABELLED, cast()).recorded.verdicts
    assert (verdict.outcome, verdict.winner, verdict.edge) == ("win", "a", "labelled")
    assert (verdict.chosen, verdict.rejected) == (0, 1)


def test_no_judge_sees_the_label() -> None:
    labels = {"b", "tie", None}
    calls = {
        tuple(t.call for t in played(_labelled(label), cast()).recorded.turns) for label in labels
    }
    assert len(calls) == 1


def _labelled(label: object) -> Seed:
    known = KNOWN.model_copy(update={"label": label, "labeller": f"said {label}"})
    return SEED.model_copy(update={"comparison": known})


def test_together_is_one_verdict_and_apart_is_one_of_each() -> None:
    judges = cast(JUDGE, OTHER)
    (verdict,) = played(LABELLED, judges).recorded.verdicts
    assert {ballot.judge for ballot in verdict.ballots} == {"judge", "umpire"}
    apart = played(LABELLED, judges, Options(judges="apart"))
    assert [{b.judge for b in v.ballots} for v in apart.recorded.verdicts] == [
        {"judge"},
        {"umpire"},
    ]
    assert apart.batches == (2, 4), "both judges are asked at once"


def test_a_relative_of_an_author_does_not_judge() -> None:
    known = KNOWN.model_copy(update={"a": Answer(text="scattering", author=ANNA)})
    seed = SEED.model_copy(update={"comparison": known})
    sister = Agent(name="sister", family=ANNA.family)
    (verdict,) = played(seed, cast(sister)).recorded.verdicts
    assert verdict.outcome == "abstain"
    (verdict,) = played(seed, cast(sister, OTHER)).recorded.verdicts
    assert {ballot.judge for ballot in verdict.ballots} == {"umpire"}


def test_a_seed_without_answers_is_refused() -> None:
    with pytest.raises(PlayError, match="'s1' has no two answers"):
        played(SEED, cast())


def test_an_estimate_counts_only_what_is_asked() -> None:
    card = AgentCard(name="judge", model="local/qwen2.5-coder-1.5b", family="elm")
    scenario = Scenario.model_validate(
        {
            "name": "calibrate",
            "protocol": {"id": "given"},
            "seats": {"judge": ["judge"]},
            "seeds": {"inline": [LABELLED.model_dump()]},
            "judging": {"play": "logprob"},
        }
    )
    script = Script(scenario=scenario, cards={"judge": card}, cast=cast(), source="")
    found = estimate(script, [LABELLED])
    assert [(line.purpose, line.calls) for line in found.lines] == [("ballot", 2)]


def test_it_keeps_the_contract_of_protocols() -> None:
    assert plugins.protocol("given").seats.keys() == {"judge"}
