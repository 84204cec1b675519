"""What a caller may start: names of the operator's catalogue, and nothing else of this machine."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aaa.api.starting import DEEPEST, StartRound, check_plain, folder_of_seeds, prepare
from aaa.catalogue import Catalogue
from aaa.errors import InputError, NotFound
from tests.catalogues import small_catalogue, small_scenario

INLINE = {"inline": [{"prompt": "Why?", "id": "why"}]}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return small_catalogue(tmp_path / "catalogue")


def asked(scenario: Any = "small", **rest: Any) -> StartRound:
    return StartRound(scenario=scenario, **rest)


def test_a_named_scenario(catalogue: Catalogue) -> None:
    script, seeds = prepare(catalogue, asked())
    assert [seed.id for seed in seeds] == ["s0", "s1", "s2"]
    assert set(script.cards) == {"pupil", "peer", "teacher", "judge"}


def test_a_scenario_that_is_sent(catalogue: Catalogue) -> None:
    script, seeds = prepare(catalogue, asked(small_scenario() | {"name": "mine", "seeds": INLINE}))
    assert script.scenario.name == "mine"
    assert [seed.id for seed in seeds] == ["why"]


def test_a_scenario_that_is_sent_may_use_the_operators_seeds(catalogue: Catalogue) -> None:
    _, seeds = prepare(catalogue, asked(small_scenario()))
    assert len(seeds) == 3


def test_overrides_and_budget(catalogue: Catalogue) -> None:
    overrides = {"seeds.limit": 1, "protocol.options.rounds": 2, "budget_usd": 9}
    script, seeds = prepare(catalogue, asked(overrides=overrides, budget_usd=0.5))
    assert len(seeds) == 1
    assert script.scenario.protocol.options == {"rounds": 2}
    assert script.scenario.budget_usd == 0.5


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "unknown scenario": ("nothing", {}, "no scenario 'nothing'; there are: small"),
    "path as name": ("../small", {}, "no scenario"),
    "absolute name": ("/etc/passwd", {}, "no scenario"),
    "NUL in name": ("small\0", {}, "NUL"),
    "unknown agent": ("small", {"seats.teacher": ["nobody"]}, "no agent 'nobody'; there are: judge"),
    "path as agent": ("small", {"seats.teacher": ["../agents/judge"]}, "no agent"),
    "unknown key": ("small", {"model": "x"}, "model"),
    "unknown protocol": ("small", {"protocol.id": "chess"}, "no protocol 'chess'"),
    "module as protocol": ("small", {"protocol.id": "antigravity.play"}, "is a module"),
    "module as judge": ("small", {"judging.play": "os.path"}, "is a module"),
    "module in a sent scenario": (
        small_scenario() | {"seeds": INLINE, "protocol": {"id": "http.server"}},
        {},
        "is a module",
    ),
    "api_base": (small_scenario() | {"seeds": INLINE, "api_base": "http://a.example"}, {}, "api_base"),
    "card in a seat": ("small", {"seats.teacher": [{"name": "x", "api_base": "http://x"}]}, "seats"),
    "api_base below a seat": ("small", {"seats.teacher.api_base": "http://x.example"}, "seats.teacher"),
    "key below a scenario": ("small", {"api_key": "sk-1"}, "api_key"),
    "no seeds": (small_scenario() | {"seeds": {"inline": []}}, {}, "no seeds"),
    "huge budget": ("small", {"budget_usd": 1e300}, "budget_usd"),
    "infinite budget": ("small", {"budget_usd": float("inf")}, "no number"),
    "not a number": ("small", {"budget_usd": float("nan")}, "no number"),
    "large integer": ("small", {"random_seed": 2**63}, "too large"),
    "surrogate": ("small", {"description": "\ud800"}, "surrogate"),
    "surrogate as key": ("small", {"\ud800": 1}, "surrogate"),
    "NUL in an override": ("small", {"description": "a\0b"}, "NUL"),
    "override below a text": ("small", {"description.x": 1}, "has no keys below"),
    "another name": ("small", {"name": "other"}, "name"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_refused(catalogue: Catalogue, wrong: tuple[Any, dict[str, Any], str]) -> None:
    """As the caller's mistake: a name in a request that does not exist is not a missing page."""
    scenario, overrides, said = wrong
    with pytest.raises(InputError) as caught:
        prepare(catalogue, asked(scenario, overrides=overrides))
    assert said in str(caught.value)
    assert not isinstance(caught.value, NotFound)


@pytest.mark.parametrize("budget", [-1, float("inf"), float("nan"), 1e10, "much"])
def test_budgets_that_are_none(budget: Any) -> None:
    with pytest.raises(ValidationError):
        asked(budget_usd=budget)


BAD_FILES = [
    "../secret.jsonl",
    "seeds/../../secret.jsonl",
    "seeds/../small.yaml/../../secret.jsonl",
    "..",
    ".",
    "",
    "/etc/passwd",
    "//etc/passwd",
    "{outside}/secret.jsonl",
    "seeds/small.jsonl\0.yaml",
    "seeds\\small.jsonl",
    "..\\secret.jsonl",
    "C:\\secret.jsonl",
    "%2e%2e/secret.jsonl",
    "..%2fsecret.jsonl",
    "file:///etc/passwd",
    "~/secret.jsonl",
    "link.jsonl",
    "linked/secret.jsonl",
    "seeds",
    "loop.jsonl",
    "x" * 300 + ".jsonl",
    "nothing.jsonl",
]


@pytest.fixture
def outside(tmp_path: Path, catalogue: Catalogue) -> Path:
    """A folder with a file nobody may reach, and links to it from inside the scenario folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_text('{"prompt": "secret"}\n')
    (tmp_path / "catalogue" / "secret.jsonl").write_text('{"prompt": "secret"}\n')
    (folder,) = catalogue.scenario_folders
    (folder / "link.jsonl").symlink_to(outside / "secret.jsonl")
    (folder / "linked").symlink_to(outside)
    (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
    (folder / "inner.jsonl").symlink_to(folder / "seeds" / "small.jsonl")
    return outside


@pytest.mark.parametrize("file", BAD_FILES)
def test_files_outside_are_not_read(catalogue: Catalogue, outside: Path, file: str) -> None:
    file = file.replace("{outside}", str(outside))
    with pytest.raises(InputError, match=r"seeds\.file"):
        folder_of_seeds((file,), catalogue.scenario_folders)
    for request in (
        asked(small_scenario() | {"seeds": {"file": file}}),
        asked(overrides={"seeds.file": file}),
        asked(overrides={"seeds": {"file": file}}),
    ):
        with pytest.raises(InputError) as caught:
            prepare(catalogue, request)
        assert '"secret"' not in str(caught.value)


@pytest.mark.parametrize("file", ["seeds/small.jsonl", "./seeds/small.jsonl", "inner.jsonl"])
def test_files_inside_are(catalogue: Catalogue, outside: Path, file: str) -> None:
    (folder,) = catalogue.scenario_folders
    assert folder_of_seeds((file,), catalogue.scenario_folders) == folder.resolve()


def test_an_operators_file_may_lie_anywhere(tmp_path: Path) -> None:
    """What the operator's own scenario names is read, as long as the caller does not change it."""
    (tmp_path / "far.jsonl").write_text('{"prompt": "far"}\n')
    catalogue = small_catalogue(tmp_path / "catalogue", seeds={"file": str(tmp_path / "far.jsonl")})
    _, seeds = prepare(catalogue, asked(overrides={"protocol.options.rounds": 2}))
    assert seeds[0].prompt[0].content == "far"


def test_depth_is_bounded() -> None:
    value: Any = 1
    for _ in range(DEEPEST - 1):
        value = [value]
    check_plain(value, "scenario")
    for _ in range(100_000):
        value = {"deeper": value}
    with pytest.raises(InputError, match="nested deeper"):
        check_plain(value, "scenario")
    _unwind(value)


def _unwind(value: Any) -> None:
    """Take it apart from outside: freeing so deep a value at once would overflow the stack."""
    while isinstance(value, dict | list) and value:
        value = value.pop("deeper") if isinstance(value, dict) else value.pop()


RUNS = {"kind": "python_tests", "tests": "assert f(1)"}


@pytest.mark.parametrize(
    "checker",
    [
        RUNS,
        {"kind": "all", "of": [{"kind": "any", "of": [RUNS]}]},
        {"kind": "my.module", "x": 1},
        {"kind": "all", "of": [{"kind": "my.module"}]},
    ],
)
def test_a_seed_that_is_sent_may_run_no_code(catalogue: Catalogue, checker: Any) -> None:
    seeds = {"inline": [{"prompt": "Why?", "checker": checker}]}
    with pytest.raises(InputError, match=r"inline\[0\]: checker '(python_tests|my.module)' runs"):
        prepare(catalogue, asked(small_scenario() | {"seeds": seeds}))
    with pytest.raises(InputError, match=r"seeds.inline\[0\]"):
        prepare(catalogue, asked(overrides={"seeds": seeds}))


def test_the_operators_own_inline_seeds_may(tmp_path: Path) -> None:
    seeds = {"inline": [{"prompt": "Why?", "checker": RUNS}]}
    catalogue = small_catalogue(tmp_path / "own", seeds=seeds)
    script, (seed,) = prepare(catalogue, asked(overrides={"judging.checker": "decides"}))
    assert seed.checker == RUNS
    assert script.scenario.judging.checker == "decides"


def test_a_harmless_checker_may_be_sent(catalogue: Catalogue) -> None:
    checker = {"kind": "all", "of": [{"kind": "exact", "value": "yes"}]}
    seeds = {"inline": [{"prompt": "Why?", "checker": checker}]}
    _, (seed,) = prepare(catalogue, asked(small_scenario() | {"seeds": seeds}))
    assert seed.checker == checker
