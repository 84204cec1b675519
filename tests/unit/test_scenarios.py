"""Every shipped scenario: it loads, it may be played, it plays the same twice, and its answers are right."""

import contextlib
import io
import json
import re
from fractions import Fraction
from itertools import combinations, pairwise, permutations
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from aaa import plugins
from aaa.catalogue import Catalogue, Script, open_catalogue, shipped
from aaa.checkers import grade
from aaa.errors import InputError
from aaa.estimate import estimate
from aaa.play import Rehearsal, rehearse
from aaa.provider.shapes import fitting
from aaa.settings import read_settings
from aaa.types import Call, Check, ChoiceShape, JsonShape, Reply, Seed, fingerprint
from aaa.yaml_files import parse_setting
from tests.stub_judge import stub_judge

NAMES = ("agent", "chat", "multilingual", "quickstart", "reasoning")
CLASSROOM = (
    "arena",
    "auto_evol",
    "constitution",
    "conversation",
    "creator_solver",
    "critic",
    "debate",
    "evol_answer",
    "evol_instruct",
    "k_wise",
    "process",
    "self_teaching",
    "self_reward",
)
"""Scenarios of one protocol each: they may make any number of verdicts and other notes."""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return open_catalogue(read_settings({}))


def prepared(catalogue: Catalogue, name: str, **overrides: Any) -> tuple[Script, tuple[Seed, ...]]:
    scenario, folder = catalogue.scenario(name, overrides)
    return catalogue.prepare(scenario, folder)


@pytest.fixture(scope="module")
def seeds(catalogue: Catalogue) -> dict[str, tuple[Seed, ...]]:
    """All seeds of every shipped scenario, also those beyond its limit."""
    return {name: prepared(catalogue, name, **{"seeds.limit": None})[1] for name in NAMES}


def test_these_are_the_shipped_scenarios(catalogue: Catalogue) -> None:
    assert set(NAMES) <= set(catalogue.scenarios())
    assert {p.stem for p in (shipped("scenarios") / "seeds").iterdir()} >= set(NAMES)


@pytest.mark.parametrize("name", NAMES + CLASSROOM)
def test_a_shipped_scenario_runs_without_a_key(catalogue: Catalogue, name: str) -> None:
    script, seeds = prepared(catalogue, name)
    assert script.scenario.description
    assert script.scenario.budget_usd == 0
    assert all(card.is_local for card in script.cards.values())
    assert len(seeds) == (script.scenario.seeds.limit or len(seeds))


def made_up(call: Call) -> str | Reply:
    """Some answer that depends on every word of the call, in the form it asks for."""
    number = int(fingerprint(call)[:8], 16)
    if isinstance(call.shape, ChoiceShape):
        first, second = call.shape.choices
        return Reply(text=first, choice_logprobs={first: -0.1 - number % 5, second: -2.0})
    if isinstance(call.shape, JsonShape):
        return json.dumps(fitting(call.shape.fields, str(number), 6, lambda _path, _schema: None))
    return f"{call.purpose} {number}"


def played(script: Script, seed: Seed) -> Rehearsal:
    protocol = plugins.protocol(script.scenario.protocol.id)
    options = protocol.options(**script.scenario.protocol.options)
    return rehearse(protocol.play(seed, script.cast, options), made_up)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("judging", [None, "pairwise"])
def test_a_shipped_scenario_plays_to_the_end_and_the_same_twice(
    catalogue: Catalogue, name: str, judging: str | None
) -> None:
    overrides: dict[str, Any] = {"seeds.limit": None}  # all, so that chance makes a win among them
    if judging:
        overrides["judging"] = {"play": judging}
    script, seeds = prepared(catalogue, name, **overrides)
    outcomes = set()
    for seed in seeds:
        first = played(script, seed)
        assert first == played(script, seed)
        assert len(first.recorded.verdicts) == 1
        outcomes |= {note.outcome for note in first.recorded.verdicts}
    assert "error" not in outcomes
    assert "win" in outcomes


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"quickstart"}))
def test_the_command_in_a_scenarios_head_is_a_legal_cast(catalogue: Catalogue, name: str) -> None:
    text = (shipped("scenarios") / f"{name}.yaml").read_text("utf-8")
    head = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    told = re.findall(r"--set (?:'([^']+)'|(\S+))", head)
    script, _ = prepared(catalogue, name, **dict(parse_setting(a or b) for a, b in told))
    assert script.scenario.judging.play == "pairwise"
    assert not any(card.is_local for card in script.cards.values())


@pytest.mark.parametrize("name", CLASSROOM)
def test_a_scenario_of_the_classroom_plays_to_its_end_and_the_same_twice(
    catalogue: Catalogue, name: str
) -> None:
    script, seeds = prepared(catalogue, name)
    assert script.scenario.description
    assert script.scenario.budget_usd == 0
    assert all(card.is_local for card in script.cards.values())
    judged = stub_judge()
    protocol = plugins.protocol(script.scenario.protocol.id)
    options = protocol.options(**script.scenario.protocol.options)

    def once(seed: Seed) -> Rehearsal:
        return rehearse(
            protocol.play(seed, script.cast, options),
            lambda call: judged(call) if call.shape else made_up(call),
        )

    sessions = [once(seed) for seed in seeds]
    assert sessions == [once(seed) for seed in seeds]
    assert all(session.recorded.notes for session in sessions)
    turns = [turn for session in sessions for turn in session.recorded.turns]
    asked = sum(turn.call.given is None for turn in turns)
    assert asked <= estimate(script, seeds).calls


@pytest.mark.parametrize("name", CLASSROOM)
def test_the_command_in_a_classroom_scenarios_head_is_a_legal_cast(
    catalogue: Catalogue, name: str
) -> None:
    script, _ = prepared(catalogue, name, **dict(parse_setting(told) for told in in_head(name)))
    assert not any(card.is_local for card in script.cards.values())


def in_head(name: str) -> list[str]:
    """What the command in a scenario's head sets."""
    text = (shipped("scenarios") / f"{name}.yaml").read_text("utf-8")
    head = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    start = next(i for i, line in enumerate(head) if line.startswith("aaa run"))
    lines = [head[start]]
    while lines[-1].endswith("\\"):
        lines.append(head[start + len(lines)])
    return [a or b for a, b in re.findall(r"--set (?:'([^']+)'|(\S+))", " ".join(lines))]


def test_a_judge_of_the_students_family_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(InputError, match="nobody may judge 'smollm2-135m'"):
        prepared(catalogue, "chat", **{"seats.judge": ["smollm2-135m"]})


def test_ids_are_written_and_unique_across_files(seeds: dict[str, tuple[Seed, ...]]) -> None:
    every = [seed.id for some in seeds.values() for seed in some]
    assert len(every) == len(set(every))
    for name in NAMES:
        lines = (shipped("scenarios") / "seeds" / f"{name}.jsonl").read_text("utf-8").splitlines()
        assert all("id" in json.loads(line) for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_there_is_enough_to_learn_from_and_every_seed_is_tagged(
    seeds: dict[str, tuple[Seed, ...]], name: str
) -> None:
    assert len(seeds[name]) >= 24
    assert all(seed.tags and seed.prompt[-1].role == "user" for seed in seeds[name])
    assert all(len(seed.prompt[-1].content) < 1000 for seed in seeds[name])


def shingles(seed: Seed) -> frozenset[str]:
    """Overlapping pieces of eight characters of what the user says."""
    text = " ".join(m.content for m in seed.prompt if m.role == "user").casefold()
    text = re.sub(r"\W+", " ", text)
    return frozenset(text[i : i + 8] for i in range(max(1, len(text) - 7)))


def test_no_two_prompts_are_nearly_the_same(seeds: dict[str, tuple[Seed, ...]]) -> None:
    every = [(seed.id, shingles(seed)) for some in seeds.values() for seed in some]
    alike = [
        (a, b)
        for (a, x), (b, y) in combinations(every, 2)
        if len(x & y) > 0.6 * min(len(x), len(y))
    ]
    allowed = {
        frozenset(("agent-shop-second-step", "agent-shop-none-left"))
    }  # two steps of one task
    assert {frozenset(pair) for pair in alike} <= allowed


def test_multilingual_seeds_are_in_the_language_they_are_tagged_with(
    seeds: dict[str, tuple[Seed, ...]],
) -> None:
    scripts = {"zh": "一-鿿", "ja": "぀-ヿ", "ar": "؀-ۿ", "hi": "ऀ-ॿ", "ru": "Ѐ-ӿ"}
    languages = []
    for seed in seeds["multilingual"]:
        (language,) = [tag.removeprefix("lang:") for tag in seed.tags if tag.startswith("lang:")]
        languages.append(language)
        if language in scripts:
            found = re.findall(f"[{scripts[language]}]", seed.prompt[-1].content)
            assert len(found) >= 10, seed.id
    counted = {language: languages.count(language) for language in languages}
    assert len(counted) >= 10
    assert min(counted.values()) >= 3


def test_chat_has_longer_talks_and_system_messages(seeds: dict[str, tuple[Seed, ...]]) -> None:
    assert sum(len(seed.prompt) > 2 for seed in seeds["chat"]) >= 6
    assert sum(seed.prompt[0].role == "system" for seed in seeds["chat"]) >= 3


def test_reasoning_seeds_all_have_a_reference_and_a_checker(
    seeds: dict[str, tuple[Seed, ...]],
) -> None:
    assert all(seed.reference and seed.checker for seed in seeds["reasoning"])


def checked(seeds: dict[str, tuple[Seed, ...]]) -> list[tuple[Seed, dict[str, Any], str]]:
    """(seed, its checker, its reference) of every seed that has a checker."""
    every = [seed for some in seeds.values() for seed in some]
    return [(seed, seed.checker, seed.reference or "") for seed in every if seed.checker]


def test_all_but_the_composing_kinds_are_used(seeds: dict[str, tuple[Seed, ...]]) -> None:
    used = {checker["kind"] for _, checker, _ in checked(seeds)}
    assert used >= {"number", "exact", "regex", "choice", "json_schema", "python_tests"}


def code_in(text: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(code)


def test_every_reference_passes_its_own_checker(seeds: dict[str, tuple[Seed, ...]]) -> None:
    found = {seed.id: grade(checker, ref) for seed, checker, ref in checked(seeds)}
    assert {id: f for id, f in found.items() if not (isinstance(f, Check) and f.passed)} == {}


def test_an_answer_to_another_seed_fails(seeds: dict[str, tuple[Seed, ...]]) -> None:
    for seed, checker, _ in checked(seeds):
        found = grade(checker, "I am sorry, I cannot help with that.")
        assert isinstance(found, Check), seed.id
        assert not found.passed, seed.id


def test_python_tests_fail_for_a_wrong_answer(seeds: dict[str, tuple[Seed, ...]]) -> None:
    for _seed, checker, reference in checked(seeds):
        if checker["kind"] == "python_tests":
            (name,) = re.findall(r"^def (\w+)", code_in(reference), re.MULTILINE)
            with pytest.raises(AssertionError):
                exec(f"def {name}(*args): return 'wrong'\n{checker['tests']}", {})


WRONG_ACTIONS: tuple[object, ...] = ({"tool": "rm", "args": {}}, {}, [], "text")


def test_json_schemas_refuse_another_action(seeds: dict[str, tuple[Seed, ...]]) -> None:
    for seed, checker, _ in checked(seeds):
        if checker["kind"] == "json_schema":
            valid = jsonschema.Draft202012Validator(checker["schema"]).is_valid
            for wrong in WRONG_ACTIONS:
                assert not valid(wrong), (seed.id, wrong)


def test_programs_print_what_their_reference_says(seeds: dict[str, tuple[Seed, ...]]) -> None:
    programs = [seed for seed in seeds["reasoning"] if "code-reading" in seed.tags]
    assert len(programs) >= 4
    for seed in programs:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code_in(seed.prompt[-1].content + "\n"), {})
        assert printed.getvalue().strip() == seed.reference


def _third_runner() -> str:
    names = ("Ida", "Jon", "Kim", "Lea", "Max")
    (order,) = [
        o
        for o in permutations(names)
        if o.index("Ida") < o.index("Jon") < o.index("Kim") < o.index("Lea") < o.index("Max")
    ]
    return "ABCD"[names.index(order[2])]


def _key_box() -> str:
    labels = {box: [box == 1, box != 2, box != 1] for box in (1, 2, 3)}
    (box,) = [box for box, true in labels.items() if sum(true) == 1]
    return "ABC"[box - 1]


def _earliest_end() -> int:
    a, c = 3, 4
    b = a + 2
    return max(b, c) + 1


def _next_of_doubling() -> int:
    terms = [2, 3, 5, 9, 17, 33]
    assert all(y == 2 * x - 1 for x, y in pairwise(terms))
    return 2 * terms[-1] - 1


FORMULAS: dict[str, object] = {
    "reason-ferry-trips": -(-100 // 18),
    "reason-discount-twice": 80 * Fraction(75, 100) * Fraction(90, 100),
    "reason-average-fifth": 5 * 75 - 4 * 71,
    "reason-tiles-border": sum(x in (0, 6) or y in (0, 6) for x in range(7) for y in range(7)),
    "reason-meeting-trains": Fraction(330, 60 + 50),
    "reason-digit-sum": sum(n // 10 + n % 10 == 9 for n in range(10, 100)),
    "reason-tank-two-pumps": 1 / (Fraction(1, 6) + Fraction(1, 3)),
    "reason-marbles-draw": round(Fraction(5, 8) * Fraction(4, 7), 3),
    "reason-handshakes-teams": 6 * 6,
    "reason-age-sum": next(d for d in range(100) if (d + 4) + (d + 27 + 4) == 51),
    "reason-clock-late": Fraction(25, 2) * 4,
    "reason-trailing-sum": sum(range(3, 51, 3)),
    "reason-calendar-31": sum((day + 2) % 7 == 4 for day in range(1, 32)),  # day 1: Thursday = 3
    "reason-order-runners": _third_runner(),
    "reason-liar-boxes": _key_box(),
    "reason-letters-word": "planet"[1:][:1] + ("planet"[1:] + "p")[2:],
    "reason-sequence-next": str(_next_of_doubling()),
    "agent-plan-budget": 2 * 35 + 2 * 18 + 8 * Fraction(3, 2),
    "agent-plan-parallel": _earliest_end(),
    "zh-change-due": 50 - 3 * 6,
    "ar-minutes-walk": (25 + 25) * 5,
    "hi-sweets-share": 24 // 6,
    "es-bus-arrival": "{}:{}".format(*divmod(17 * 60 + 50 + 85, 60)),
    "de-fence-posts": 30 / 2.5 + 1,
    "ja-train-cost": 240 * 2 * 20,
    "ru-books-shelves": (60 - 6) // 3 + 6,
    "sw-mangoes-total": 300 * 7,
    "pt-paint-cans": -(-50 // 12),
    "fr-recipe-eggs": Fraction(6, 4) * 10,
}
"""Seed id -> its answer, worked out here once more."""


def test_answers_are_what_the_formulas_give(seeds: dict[str, tuple[Seed, ...]]) -> None:
    by_id = {seed.id: checker for seed, checker, _ in checked(seeds)}
    numbers = {id for id, checker in by_id.items() if checker["kind"] == "number"}
    assert numbers <= set(FORMULAS), "a new number needs its formula"
    for id, value in FORMULAS.items():
        told = by_id[id]["value"]
        if isinstance(value, str):
            assert value == told, id
        else:
            assert Fraction(str(told)) == value, id


def test_the_errands_plan_keeps_every_closing_time() -> None:
    """`agent-plan-errands`: the reference's order is one of those in time, and all end at 16:45."""
    places = {"post": (20, 16 * 60), "pharmacy": (10, 18 * 60), "library": (15, 16 * 60 + 30)}
    ends = {}
    for order in permutations(places):
        now, in_time = 15 * 60, True
        for place in order:
            minutes, closes = places[place]
            now += 15 + minutes
            in_time = in_time and now <= closes
        if in_time and now + 15 <= 17 * 60:
            ends[order] = now + 15
    assert ("post", "library", "pharmacy") in ends
    assert set(ends.values()) == {16 * 60 + 45}


def test_no_file_names_a_key_or_a_machine() -> None:
    folder: Path = shipped("scenarios")
    for path in [*folder.glob("*.yaml"), *folder.glob("seeds/*")]:
        assert not re.search(
            r"\bsk-[A-Za-z0-9]{8}|/home/|/root/|/tmp/|https?://", path.read_text("utf-8")
        )
