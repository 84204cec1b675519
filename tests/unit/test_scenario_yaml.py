"""Cards and scenarios as users write them: each mistake is answered with file, key and what is right."""

from pathlib import Path
from typing import Any

import pytest

from aaa.catalogue import Catalogue
from aaa.errors import InputError, NotFound
from aaa.scenario import AgentCard, Scenario, Seeds, Stage
from aaa.types import Value
from aaa.yaml_files import override, parse, parse_setting, read_yaml

CARD = "name: {name}\nmodel: local/{name}\nfamily: {family}\n"
SCENARIO = """\
name: mine
protocol: {id: co_teaching, options: {rounds: 2}}
seats: {student: [pupil], teacher: [master], judge: [master]}
seeds: {inline: [{prompt: Explain rain.}]}
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """A folder of two cards and one scenario, `mine`."""
    (tmp_path / "pupil.yaml").write_text(CARD.format(name="pupil", family="small"))
    (tmp_path / "master.yaml").write_text(CARD.format(name="master", family="big"))
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mine.yaml").write_text(SCENARIO)
    return Catalogue((tmp_path,), (tmp_path / "scenarios",))


def read(tmp_path: Path, text: str, kind: type[Value] = Scenario) -> Value:
    path = tmp_path / "it.yaml"
    path.write_text(text, "utf-8")
    return parse(kind, read_yaml(path), str(path))


def refusal(tmp_path: Path, text: str, kind: type[Value] = Scenario) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, kind)
    assert str(caught.value).startswith(str(tmp_path / "it.yaml"))
    return str(caught.value)


def test_a_scenario_is_read_with_its_defaults(tmp_path: Path) -> None:
    scenario = read(tmp_path, SCENARIO)
    assert isinstance(scenario, Scenario)
    assert scenario.seats["student"] == ("pupil",)
    assert scenario.protocol.options == {"rounds": 2}
    assert (scenario.judging.play, scenario.judging.orders) == ("pairwise", "both")
    assert scenario.budget_usd is None


def test_a_card_is_read_with_its_defaults(tmp_path: Path) -> None:
    card = read(tmp_path, CARD.format(name="pupil", family="small"), AgentCard)
    assert isinstance(card, AgentCard)
    assert card.is_local
    assert (card.generation, card.limits.attempts, card.price) == (0, 5, None)


BAD_SCENARIOS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown key": ("name: mine", "name: mine\nbudget: 3", ("unknown key 'budget'", "budget_usd")),
    "unknown key inside": (
        "inline: [",
        "fiel: x, inline: [",
        ("unknown key 'seeds.fiel'", "file, inline"),
    ),
    "unknown key in a list": (
        "{prompt: Explain rain.}",
        "{prompt: Explain rain., anwser: x}",
        ("unknown key 'seeds.inline.0.anwser'",),
    ),
    "missing key": ("name: mine\n", "", ("key 'name' is missing",)),
    "wrong type": ("[pupil]", "pupil", ("key 'seats.student'", "got 'pupil'")),
    "bad number": ("name: mine", "name: mine\nconcurrency: many", ("'concurrency'", "'many'")),
    "too small": ("name: mine", "name: mine\nbudget_usd: -1", ("'budget_usd'", "-1")),
    "bad name": ("name: mine", "name: ../mine", ("key 'name'", "'../mine'")),
    "empty seat": ("[pupil]", "[]", ("seat 'student' is held by nobody",)),
    "agent twice": ("[pupil]", "[pupil, pupil]", ("seat 'student' names an agent twice",)),
    "no seeds": (
        "inline: [{prompt: Explain rain.}]",
        "limit: 3",
        ("exactly one of `file` and `inline`",),
    ),
    "two sources": ("inline: [", "file: x.csv, inline: [", ("exactly one of",)),
    "no such gate": (
        "name: mine",
        "name: mine\nexport: {gate: [standard, nice]}",
        ("key 'export.gate': no gate 'nice'; there are: empty, identical",),
    ),
    "no threshold": (
        "name: mine",
        "name: mine\nexport: {gate: [length_ratio=0]}",
        ("gate 'length_ratio': threshold must be a number from 1 to 1000, got '0'",),
    ),
    "a gate of the command": (
        "name: mine",
        "name: mine\nexport: {gate: [contamination]}",
        ("'contamination' needs evaluation files, which only `aaa export --eval FILE` has",),
    ),
    "no such figure": (
        "name: mine",
        "name: mine\nexport: {fail_if: [beauty>1]}",
        ("key 'export.fail_if': fail-if 'beauty>1': no figure 'beauty'; there are: generated",),
    ),
    "one order": ("name: mine", "name: mine\njudging: {orders: ab}", ("'judging.orders'", "both")),
}


@pytest.mark.parametrize("kind", BAD_SCENARIOS)
def test_a_wrong_scenario_is_refused_by_file_key_and_choices(tmp_path: Path, kind: str) -> None:
    right, wrong, says = BAD_SCENARIOS[kind]
    assert right in SCENARIO
    told = refusal(tmp_path, SCENARIO.replace(right, wrong, 1))
    for words in says:
        assert words in told
    assert len(told.splitlines()) == 1


BAD_CARDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a key in it": ("api_key: abc", ("unknown key 'api_key'", "api_key_env")),
    "key name is no name": ("api_key_env: my key", ("'api_key_env'", "'my key'")),
    "base is no URL": ("api_base: ftp://x", ("'api_base'",)),
    "unknown limit": ("limits: {rps: 3}", ("unknown key 'limits.rps'", "concurrency, rpm, tpm")),
    "unknown knob": ("sampling: {top_k: 3}", ("unknown key 'sampling.top_k'", "temperature")),
    "half a price": ("price: {input_usd_per_mtok: 1}", ("'price.output_usd_per_mtok' is missing",)),
    "unknown in price": (
        "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1, usd: 3}",
        ("unknown key 'price.usd'", "output_usd_per_mtok"),
    ),
    "no tokens": ("sampling: {max_tokens: 0}", ("'sampling.max_tokens'", "got 0")),
}


OUT_OF_RANGE = [
    ("limits: {concurrency: 0}", "'limits.concurrency'", "greater than or equal to 1", "got 0"),
    ("limits: {rpm: 0}", "'limits.rpm'", "greater than or equal to 1", "got 0"),
    ("limits: {tpm: -5}", "'limits.tpm'", "greater than or equal to 1", "got -5"),
    ("limits: {rpm: many}", "'limits.rpm'", "valid integer", "got 'many'"),
    ("limits: {timeout_s: 0}", "'limits.timeout_s'", "greater than 0", "got 0"),
    ("limits: {timeout_s: 99999}", "'limits.timeout_s'", "less than or equal to 3600", "got 99999"),
    ("limits: {attempts: 1000}", "'limits.attempts'", "less than or equal to 100", "got 1000"),
    ("limits: {deadline_s: -1}", "'limits.deadline_s'", "greater than 0", "got -1"),
    ("price: {input_usd_per_mtok: -1, output_usd_per_mtok: 0}", "'price.input_usd_per_mtok'",
     "greater than or equal to 0", "got -1"),
    ("price: {input_usd_per_mtok: 0, output_usd_per_mtok: .inf}", "'price.output_usd_per_mtok'",
     "finite number", "got inf"),
    ("price: {input_usd_per_mtok: .nan, output_usd_per_mtok: 0}", "'price.input_usd_per_mtok'",
     "finite number", "got nan"),
]  # fmt: skip


@pytest.mark.parametrize("line", OUT_OF_RANGE, ids=lambda line: line[0])
def test_a_limit_or_price_out_of_range_is_refused_by_file_key_and_range(
    tmp_path: Path, line: tuple[str, ...]
) -> None:
    told = refusal(tmp_path, CARD.format(name="pupil", family="small") + line[0], AgentCard)
    assert told.startswith(str(tmp_path / "it.yaml"))
    for words in line[1:]:
        assert words in told


BUDGETS = [
    ("budget_usd: .nan", "'budget_usd'", "finite number", "got nan"),
    ("budget_usd: 1.0e+12", "'budget_usd'", "less than or equal to 1000000000", "got 1000000000000"),
    ("budget_tokens: -1", "'budget_tokens'", "greater than or equal to 0", "got -1"),
    ("budget_calls: 1.5", "'budget_calls'", "valid integer", "got 1.5"),
    ("seat_budgets: {student: {usd: -1}}", "'seat_budgets.student.usd'",
     "greater than or equal to 0", "got -1"),
    ("seat_budgets: {student: {eur: 1}}", "unknown key 'seat_budgets.student.eur'",
     "usd, tokens, calls"),
    ("seat_budgets: {pilot: {usd: 1}}", "names 'pilot', but the seats are student"),
]  # fmt: skip


@pytest.mark.parametrize("line", BUDGETS, ids=lambda line: line[0])
def test_a_budget_out_of_range_is_refused_by_file_key_and_range(
    tmp_path: Path, line: tuple[str, ...]
) -> None:
    told = refusal(tmp_path, f"{SCENARIO}\n{line[0]}\n")
    assert told.startswith(str(tmp_path / "it.yaml"))
    for words in line[1:]:
        assert words in told


@pytest.mark.parametrize("kind", BAD_CARDS)
def test_a_wrong_card_is_refused_by_file_key_and_choices(tmp_path: Path, kind: str) -> None:
    line, says = BAD_CARDS[kind]
    told = refusal(tmp_path, CARD.format(name="pupil", family="small") + line, AgentCard)
    for words in says:
        assert words in told


def test_several_mistakes_are_told_at_once_each_with_the_file(tmp_path: Path) -> None:
    told = refusal(tmp_path, "name: x\nseats: 3\nsedes: 4\n").splitlines()
    assert len(told) == 3
    assert all(line.startswith(str(tmp_path / "it.yaml")) for line in told)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
BAD_YAML = {
    "duplicate key": ("name: a\nfamily: b\nname: c\n", "line 3: key 'name' stands twice"),
    "duplicate inside": ("limits:\n  rpm: 1\n  rpm: 2\n", "line 3: key 'rpm' stands twice"),
    "alias bomb": (BOMB, "line 2: aliases (*name) are not taken"),
    "merge key": ("a: &a {x: 1}\nb:\n  <<: *a\n", "aliases (*name) are not taken"),
    "python object": (
        "a: !!python/object/apply:os.getcwd []\n",
        "could not determine a constructor",
    ),
    "broken": ("a: [1, 2\n", "not readable as YAML"),
    "deep": ("[" * 400, "not readable as YAML"),
    "no mapping": ("- a\n- b\n", "expected keys and values, got list"),
    "empty": ("", "expected keys and values, got NoneType"),
    "two documents": ("a: 1\n---\nb: 2\n", "not readable as YAML"),
    "month 13": ("name: x\nlicence: 2026-13-45\n", "line 2: is no timestamp"),
    "5,000 digits": ("name: x\ngeneration: " + "9" * 5000, "line 2: is no int"),
    "6,000 hex digits": ("generation: 0x" + "f" * 6000, "line 1: a number is too large"),
    "a list as key": ("? [x]\n: y\n", "line 1: a key must be a word"),
    "no bool": ("a: !!bool x\n", "line 1: is no bool"),
    "an empty number": ("a: !!int ''\n", "line 1: is no int"),
    "no timestamp": ("a: !!timestamp x\n", "line 1: is no timestamp"),
    "huge": ("#" * 1_000_001, "larger than 1000000 bytes"),
}


@pytest.mark.parametrize("kind", BAD_YAML)
def test_yaml_that_cannot_be_trusted_is_refused_by_file(tmp_path: Path, kind: str) -> None:
    text, says = BAD_YAML[kind]
    told = refusal(tmp_path, text)
    assert says in told
    assert "\n" not in told


@pytest.mark.parametrize("make", [Path.mkdir, lambda p: p.write_bytes(b"\xff\xfe"), lambda p: None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "it.yaml")
    with pytest.raises(InputError, match=r"it\.yaml: cannot be read"):
        read_yaml(tmp_path / "it.yaml")


def test_an_override_replaces_just_its_key() -> None:
    data = {"protocol": {"id": "p", "options": {"rounds": 1}}}
    changed = override(data, {"protocol.options.rounds": 3, "judging.play": "logprob"})
    assert changed == {
        "protocol": {"id": "p", "options": {"rounds": 3}},
        "judging": {"play": "logprob"},
    }
    assert data["protocol"] == {"id": "p", "options": {"rounds": 1}}


def test_an_override_below_a_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"'name\.first': 'name' has no keys below it"):
        override({"name": "x"}, {"name.first": "y"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("seats.student=[a, b]", ("seats.student", ["a", "b"])),
        ("judging={play: pairwise}", ("judging", {"play": "pairwise"})),
        ("budget_usd=2.5", ("budget_usd", 2.5)),
        ("seeds.limit=null", ("seeds.limit", None)),
        ("description=a=b", ("description", "a=b")),
        ("description=", ("description", None)),
        (" name =x", ("name", "x")),
    ],
)
def test_a_setting_is_a_key_and_a_yaml_value(text: str, value: tuple[str, Any]) -> None:
    assert parse_setting(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("rounds", "=3", "", "a=[1", "a=*b", "a={x: 1, x: 2}"),
        *("a=2026-13-45", "a=" + "9" * 5000, "a={? [x] : 1}", "a=" + "[" * 3000),
    ],
    ids=lambda text: text[:12],
)
def test_a_setting_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected KEY=VALUE|not readable as a YAML value"):
        parse_setting(text)


def test_an_overridden_scenario_is_checked_like_a_written_one(catalogue: Catalogue) -> None:
    scenario, _ = catalogue.scenario("mine", {"protocol.options.rounds": 3})
    assert scenario.protocol.options == {"rounds": 3}
    with pytest.raises(InputError, match=r"mine\.yaml: unknown key 'seeds\.lim'; valid here: file"):
        catalogue.scenario("mine", {"seeds.lim": 3})


def test_an_unknown_name_lists_the_known_ones(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound, match="no scenario 'yours'; there are: mine"):
        catalogue.scenario("yours")
    with pytest.raises(NotFound, match="no agent 'x'; there are: master, pupil"):
        catalogue.card("x")


@pytest.mark.parametrize("name", ["../pupil", "scenarios/mine", "/etc/passwd", "", "Pupil"])
def test_a_name_cannot_leave_its_folder(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(NotFound):
        catalogue.card(name)


def test_a_name_that_is_not_the_files_is_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(CARD.format(name="pupil", family="small"))
    (tmp_path / "scenarios" / "other.yaml").write_text(SCENARIO)
    with pytest.raises(InputError, match="'name' is 'pupil' but the file is called 'other'"):
        catalogue.card("other")
    with pytest.raises(InputError, match="'name' is 'mine' but the file is called 'other'"):
        catalogue.scenario("other")


def test_the_users_folder_comes_before_the_shipped_one(tmp_path: Path) -> None:
    for folder, family in (("user", "theirs"), ("shipped", "ours")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text(CARD.format(name="a", family=family))
    catalogue = Catalogue((tmp_path / "user", tmp_path / "shipped"), ())
    assert catalogue.card("a").family == "theirs"
    assert catalogue.agents() == ["a"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown protocol": (
        {"protocol": {"id": "duel"}},
        r"no protocol 'duel'; there are: .*co_teaching",
    ),
    "unknown option": ({"protocol.options.turns": 2}, "option 'turns'.*valid here: rounds"),
    "bad option": ({"protocol.options.rounds": 99}, "option 'rounds'.*got 99"),
    "unknown judging": ({"judging": {"play": "coin"}}, "no judging play 'coin'; there are:"),
    "judging option": (
        {"judging.options": {"x": 1}},
        "judging play 'pairwise': unknown option 'x'",
    ),
    "nobody sits": ({"seats": {"student": ["pupil"], "judge": ["master"]}}, "seat 'teacher'"),
    "unknown seat": ({"seats.parent": ["pupil"]}, "has no seat 'parent'; its seats: student"),
    "unknown agent": ({"seats.teacher": ["x"]}, "no agent 'x'; there are: master, pupil"),
    "related judge": ({"seats.judge": ["pupil"]}, "nobody may judge 'pupil'"),
    "unweighed judge": (
        {"judging": {"play": "panel", "options": {"rule": "weighted", "accuracy": {}}}},
        "judging.options of 'panel': accuracy lacks 'master'",
    ),
    "unseated meta-judge": (
        {"judging": {"play": "meta", "options": {"judge": "x"}}},
        "judging.options of 'meta': judge 'x' is not seated; there are: master",
    ),
    "no seeds file": ({"seeds": {"file": "x.jsonl"}}, "x.jsonl: cannot be read"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_played_is_refused_before_a_round(catalogue: Catalogue, kind: str) -> None:
    overrides, says = REFUSED[kind]
    scenario, folder = catalogue.scenario("mine", overrides)
    with pytest.raises(InputError, match=says):
        catalogue.prepare(scenario, folder)


def test_a_related_judge_may_be_allowed_in_so_many_words(catalogue: Catalogue) -> None:
    overrides = {"seats.judge": ["pupil"], "judging.exclude_family": False}
    script, seeds = catalogue.prepare(*catalogue.scenario("mine", overrides))
    assert not script.cast.judging.exclude_family
    assert len(seeds) == 1


def test_a_student_is_not_judged_by_its_ancestor(catalogue: Catalogue, tmp_path: Path) -> None:
    for name, parent in (("middle", "master"), ("grown", "middle")):
        text = CARD.format(name=name, family=name) + f"parent: {parent}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(InputError, match="nobody may judge 'grown'"):
        catalogue.prepare(*catalogue.scenario("mine", {"seats.student": ["grown"]}))


def test_a_second_card_for_a_students_model_does_not_judge_it(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    (tmp_path / "alias.yaml").write_text("name: alias\nmodel: local/pupil\nfamily: another\n")
    with pytest.raises(InputError, match="nobody may judge 'pupil'"):
        catalogue.prepare(*catalogue.scenario("mine", {"seats.judge": ["alias"]}))


def test_the_same_name_at_another_server_is_another_model() -> None:
    here, there, same = (
        parse(AgentCard, {"name": "a", "family": "f", "model": "openai/m", "api_base": base}, "x")
        for base in ("http://one/v1", "http://two/v1", "http://one/v1")
    )
    assert here.agent().model == same.agent().model != there.agent().model


def test_a_circle_of_parents_ends(catalogue: Catalogue, tmp_path: Path) -> None:
    for name, parent in (("egg", "hen"), ("hen", "egg")):
        text = CARD.format(name=name, family=name) + f"parent: {parent}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    script, _ = catalogue.prepare(*catalogue.scenario("mine", {"seats.student": ["egg"]}))
    assert script.cast["student"][0].lineage == ("hen", "egg")


def test_a_gate_is_for_who_was_trained_by_the_course() -> None:
    stage = {"name": "one", "slice": {"size": 9}, "plays": [{"protocol": {"id": "arena"}}]}
    stage["gate"] = {"seeds": {"file": "apart.jsonl"}}
    with pytest.raises(ValueError, match="`gate` needs `train`"):
        Stage.model_validate({**stage, "wait": True})
    assert Stage.model_validate({**stage, "train": {"command": ["x"]}}).gate is not None


def test_seeds_need_one_source() -> None:
    with pytest.raises(ValueError, match="exactly one of"):
        Seeds()
