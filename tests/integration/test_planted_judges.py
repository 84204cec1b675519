"""Judges with planted faults, measured 200 times each: the intervals hold what was planted.

No service is needed, but more time than a unit test may take. The judge is the provider stub's own
(`aaa.provider.judging`); that a played session shows it just so is tested at the end.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from aaa.calibration import judged
from aaa.measuring import Judged, JudgeFigures, measure
from aaa.play import rehearse
from aaa.protocols import given
from aaa.provider import judging
from aaa.provider.judging import TIE, Bias, quality, scores
from aaa.provider.words import unit
from aaa.resampling import Figure
from aaa.transcripts import Transcript
from aaa.types import Agent, Answer, Call, Cast, Comparison, Judging, Message, Preference, Seed

SEEDS, PAIRS = 200, 64
AT_LEAST = 0.95
FAULTY = {
    "position": Bias(position=0.3),
    "noise": Bias(noise=0.3),
    "length": Bias(length=0.5),
    "some length": Bias(length=0.3),
    "all": Bias(position=0.2, noise=0.2, length=0.3),
    "none": Bias(),
}


def pair(seed: str, number: int) -> tuple[str, str, Preference]:
    """Two answers of different length, and which of them the stub's hidden quality finds better."""
    for again in range(100):
        a, b = (_answer(f"{seed}/{number}/{again}/{side}") for side in "ab")
        if abs(quality(a) - quality(b)) >= TIE:
            return a, b, "a" if quality(a) > quality(b) else "b"
    raise AssertionError("no two answers differ")


def _answer(name: str) -> str:
    return f"{name} " + "word " * int(60 * unit("length", name))


def seen(seed: str, number: int, bias: Bias) -> Judged:
    """What a judge of that bias makes of the pair, in both orders."""
    a, b, label = pair(seed, number)
    ab = {"first": "a", "second": "b", "tie": "tie"}[_prefers(a, b, bias)]
    ba = {"first": "b", "second": "a", "tie": "tie"}[_prefers(b, a, bias)]
    flipped = {ab, ba} == {"a", "b"}
    return Judged.model_validate(
        {
            "prompt": f"{seed}/{number}",
            "label": label,
            "outcome": ab if ab == ba else "flip" if flipped else "tie",
            "ab": ab,
            "ba": ba,
            "length": (len(a) - len(b)) / (len(a) + len(b)),
        }
    )


def _prefers(first: str, second: str, bias: Bias) -> str:
    answers = (judging.Answer("F", first), judging.Answer("G", second))
    of_first, of_second = scores(answers, "judge", bias)
    if abs(of_first - of_second) < TIE:
        return "tie"
    return "first" if of_first > of_second else "second"


FIGURES: Mapping[str, Callable[[JudgeFigures], Figure | None]] = {
    "accuracy": lambda f: f.verdict.accuracy,
    "coverage": lambda f: f.verdict.coverage,
    "accuracy, a first": lambda f: f.a_first.accuracy if f.a_first else None,
    "accuracy, b first": lambda f: f.b_first.accuracy if f.b_first else None,
    "flip rate": lambda f: f.flip_rate,
    "first rate": lambda f: f.first_rate,
    "kappa": lambda f: f.kappa,
    "length slope": lambda f: f.length_slope,
}


@pytest.mark.parametrize("fault", FAULTY)
def test_intervals_hold_what_was_planted(fault: str) -> None:
    bias = FAULTY[fault]
    whole = measure([seen("truth", n, bias) for n in range(15_000)], resamples=1)
    held: Counter[str] = Counter()
    for seed in range(SEEDS):
        sample = [seen(f"s{seed}", n, bias) for n in range(PAIRS)]
        figures = measure(sample, resamples=400, seed=seed)
        for name, of in FIGURES.items():
            truth, found = of(whole), of(figures)
            assert truth is not None
            assert truth.value is not None
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            held[name] += found.low <= truth.value <= found.high
    assert {n: held[n] for n in FIGURES if held[n] < AT_LEAST * SEEDS} == {}


def test_what_was_planted_is_what_is_measured() -> None:
    """The figures of very many pairs are the shares that `Bias` names."""
    figures = measure([seen("many", n, Bias(position=0.3)) for n in range(8000)], resamples=1)
    assert figures.flip_rate is not None
    assert figures.first_rate is not None
    assert figures.flip_rate.value == pytest.approx(0.3, abs=0.02)
    assert figures.first_rate.value == pytest.approx(0.65, abs=0.02)
    assert figures.verdict.accuracy.value == 1
    slopes = [
        measure([seen("many", n, Bias(length=w)) for n in range(3000)], resamples=1).length_slope
        for w in (0.0, 0.3, 0.6)
    ]
    found = [slope.value or 0.0 for slope in slopes]
    assert abs(found[0]) < 0.01 < 0.05 < found[1] < 0.2 < found[2]


@pytest.mark.parametrize("fault", FAULTY)
def test_a_played_session_shows_the_judge_as_it_is(fault: str) -> None:
    bias = FAULTY[fault]
    judge = Agent(name="judge", family="elm")
    cast = Cast(seats={"judge": (judge,)}, judging=Judging(play="pairwise"))
    for number in range(20):
        a, b, label = pair("played", number)
        known = Comparison(a=Answer(text=a), b=Answer(text=b), label=label)
        prompt = (Message(role="user", content=f"Question {number}?"),)
        seed = Seed(id=f"p{number}", prompt=prompt, comparison=known)
        options = given.Options(judges="apart")
        played = rehearse(given.play(seed, cast, options), lambda call: _ballot(call, bias))
        transcript = Transcript(
            round="r",
            session=1,
            scenario="calibrate",
            protocol="given",
            status="completed",
            seed=seed,
            recorded=played.recorded,
        )
        ((name, found),) = judged(transcript)
        assert name == "judge"
        expected = seen("played", number, bias)
        assert found == expected.model_copy(update={"prompt": found.prompt})


def _ballot(call: Call, bias: Bias) -> str:
    prompt = "\n\n".join(message.content for message in call.messages)
    sheet = judging.sheet(prompt, "judge", bias)
    assert sheet is not None
    assert re.search(r"JSON", prompt)
    return json.dumps({"explanation": "seen", "better": sheet.winner or "tie"})
