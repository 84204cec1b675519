"""A report's figures against tables worked out by hand, and its forms against hostile words."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aaa.commands.report import files
from aaa.commands.report_material import examined_in, taught_in
from aaa.errors import NotFound
from aaa.report import energy
from aaa.report.answers import Answer, Taught, read, taught_by
from aaa.report.changes import EXAMPLES
from aaa.report.costs import of_round, total
from aaa.report.document import Document, Quote, Table, Text
from aaa.report.findings import Findings, Gate, Material, findings
from aaa.report.lengths import drift, length
from aaa.report.markdown import escaped, fenced, markdown
from aaa.report.page import page, policy
from aaa.report.players import Known, compared, head_of, line_of, players
from aaa.report.scores import difference, mean_of, parts_of, rate, scores_of
from aaa.report.sections import document
from aaa.report.training import curves_of, training

KNOWN = {
    "pupil": Known(),
    "pupil-g1": Known(generation=1, parent="pupil"),
    "pupil-g2": Known(generation=2, parent="pupil-g1"),
    "rival": Known(),
}
HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> ![x](http://evil.example/x.png)\n"
    "[y](javascript:z)\n```\n# heading\n````\n</pre></body>| a | b |\n"
    "\x1b[31mred\x1b[0m \u202egnp.exe {{ 7 * 7 }} {% raw %} &lt;"
)


def answer(seed: str, agent: str, passed: bool | None = True, **more: Any) -> Answer:
    told = {
        "round": "r1", "session": 1, "prompt": f"Do {seed}", "tags": ("task:fact", "template:capital"),
        "text": "one two", "tokens": 3, "cut": False, "why": "",
    }  # fmt: skip
    return Answer.model_validate(told | {"seed": seed, "agent": agent, "passed": passed} | more)


TABLE = {  # seed -> does generation 0, 1, 2 pass
    "s1": (True, True, True),
    "s2": (True, False, False),
    "s3": (False, True, True),
    "s4": (False, True, True),
    "s5": (False, False, True),
}
NAMES = ("pupil", "pupil-g1", "pupil-g2")


def table() -> list[Answer]:
    return [
        answer(seed, agent, passed, text="word " * (n + 1))
        for seed, row in TABLE.items()
        for n, (agent, passed) in enumerate(zip(NAMES, row, strict=True))
    ]


def round_row(id: str = "r1", **more: Any) -> dict[str, Any]:
    return {
        "id": id, "scenario": "arena", "status": "completed", "calls": 10, "prompt_tokens": 100,
        "completion_tokens": 50, "spent_usd": 0.25, "sessions": {"completed": 5, "total": 5},
        "started_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:01:30+00:00",
    } | more  # fmt: skip


def material(answers: list[Answer], **more: Any) -> Material:
    told = {"asked": ("r1",), "random_seed": 0, "rounds": (round_row(),), "known": KNOWN}
    return Material.model_validate(told | {"answers": tuple(answers)} | more)


# Which answers count


def session(**more: Any) -> dict[str, Any]:
    def turn(index: int, agent: str, text: str, **other: Any) -> dict[str, Any]:
        return {
            "index": index, "seat": "student", "agent": agent, "text": text, "failure": None,
            "messages": [{"role": "user", "content": "Say yes."}], "completion_tokens": 1,
            "finish_reason": "stop",
        } | other  # fmt: skip

    return {
        "id": 7,
        "round": "r1",
        "seed": {
            "id": "s1",
            "prompt": [{"role": "user", "content": "Say yes."}],
            "checker": {"kind": "exact", "value": ["yes"]},
            "tags": ["task:fact", "template:yes"],
        },
        "turns": [
            turn(0, "pupil", "yes"),
            turn(1, "rival", "no", finish_reason="length"),
            turn(2, "pupil", "yes", messages=[{"role": "user", "content": "Say yes, better."}]),
            turn(3, "judge", "yes", seat="judge"),
            turn(4, "pupil", "", failure={"kind": "invalid", "message": "no"}),
        ],
        "verdicts": [],
    } | more


def ballot(turn: int, score: float | None, **more: Any) -> dict[str, Any]:
    scores = None if score is None else {"a": score}
    told = {"judge": "checker:exact", "order": "a", "turn": turn, "scores": scores}
    return told | {"error": None if scores else "timeout: too slow", "explanation": "found"} | more


def test_an_answer_is_what_was_said_to_the_prompt_alone() -> None:
    found = list(read(session()))
    assert [(one.agent, one.passed, one.cut) for one in found] == [
        ("pupil", True, False),
        ("rival", False, True),
    ]
    assert found[0].tags == ("task:fact", "template:yes")


def test_what_was_found_when_it_was_played_counts() -> None:
    recorded = session(verdicts=[{"ballots": [ballot(0, 0.5), ballot(1, None)]}])
    assert [(one.passed, one.why) for one in read(recorded)] == [
        (False, "found"),
        (None, "timeout: too slow"),
    ]
    judged = session(verdicts=[{"ballots": [ballot(0, 0.0, judge="referee")]}])
    assert [one.passed for one in read(judged)] == [True, False]


def test_nothing_is_run_for_a_report() -> None:
    inner = {"kind": "all", "of": [{"kind": "python_tests", "tests": "assert f() == 1"}]}
    seed = session()["seed"] | {"checker": inner}
    assert [one.passed for one in read(session(seed=seed))] == [None, None]
    seed = session()["seed"] | {"checker": None}
    assert [one.passed for one in read(session(seed=seed))] == [None, None]


def test_sets_follow_from_what_was_taught() -> None:
    taught = taught_by(
        [
            {"id": "t1", "prompt": "Do t1", "tags": ["template:capital"]},
            {"id": "t2", "prompt": [{"role": "user", "content": "Do s9"}], "tags": []},
        ]
    )
    assert taught.set_of(answer("t1", "pupil")) == "taught"
    assert taught.set_of(answer("s9", "pupil")) == "taught", "by its words"
    assert taught.set_of(answer("s1", "pupil")) == "seen"
    assert taught.set_of(answer("s1", "pupil", tags=("template:other",))) == "unseen"
    assert taught.set_of(answer("s1", "pupil", tags=())) is None
    assert Taught().set_of(answer("s1", "pupil")) is None


# Figures


def test_pass_rates_and_paired_differences() -> None:
    answers = table()
    passes = scores_of(answers)
    (part, kind) = parts_of(answers, Taught())
    assert (part.name, kind.name) == ("held out", "task:fact")
    assert [rate(part, name, passes[name]).share.value for name in NAMES] == [0.4, 0.6, 0.8]
    gap = difference(part, "pupil", "pupil-g2", passes)
    assert (gap.points.value, gap.points.of) == (0.4, 5)
    assert (gap.gained, gap.lost, gap.same) == (3, 1, 1)
    assert (gap.win_rate, gap.decided_rate) == (0.7, 0.75)
    assert gap.points.low is not None
    assert gap.points.high is not None
    assert gap.points.low < 0.4 < gap.points.high


def test_a_seed_counts_once_however_often_it_was_answered() -> None:
    answers = [answer("s1", "pupil", n == 0) for n in range(4)] + [answer("s2", "pupil", True)]
    passes = scores_of([*answers, answer("s3", "pupil", None)])
    assert passes == {"pupil": {"s1": 0.25, "s2": 1.0}}
    (part, *_) = parts_of(answers, Taught())
    assert rate(part, "pupil", passes["pupil"]).share.value == 0.625


def test_what_is_hard_for_both_does_not_widen_a_difference() -> None:
    """Two agents that differ by one seed in ten: paired, the interval is narrower than that of a rate."""
    answers = [
        answer(f"s{n:02}", agent, n % 2 == 0 or (agent == "pupil-g1" and n % 10 == 1))
        for n in range(60)
        for agent in ("pupil", "pupil-g1")
    ]
    passes = scores_of(answers)
    (part, *_) = parts_of(answers, Taught())
    gap = difference(part, "pupil", "pupil-g1", passes).points
    share = rate(part, "pupil", passes["pupil"]).share
    assert gap.value == 0.1
    assert None not in (gap.low, gap.high, share.low, share.high)
    assert (gap.high or 0) - (gap.low or 0) < 0.7 * ((share.high or 0) - (share.low or 0))


def test_differences_that_are_all_alike_are_not_certain() -> None:
    same = mean_of([0.0] * 10, [str(n) for n in range(10)], bound=1)
    assert same.value == 0
    assert same.low is not None
    assert same.low < -0.1
    assert same.high == -same.low
    better = mean_of([1.0] * 10, [str(n) for n in range(10)], bound=1)
    assert (better.value, better.high) == (1, 1)
    assert better.low is not None
    assert 0 < better.low < 0.9
    assert mean_of([], []).value is None


def test_taught_seeds_are_kept_apart_and_unseen_templates_drawn_whole() -> None:
    answers = [
        answer("t1", "pupil", True),
        answer("s1", "pupil", False),
        *(answer(f"u{n}", "pupil", n < 5, tags=(f"template:new{n // 5}",)) for n in range(10)),
    ]
    taught = taught_by([{"id": "t1", "prompt": "Do t1", "tags": ["template:capital"]}])
    parts = {part.name: part for part in parts_of(answers, taught)}
    assert list(parts) == ["held out", "seen templates", "unseen templates", "taught", "task:fact"]
    assert "t1" not in parts["held out"].seeds
    assert parts["task:fact"].seeds == {"s1"}
    passes = scores_of(answers)["pupil"]
    whole = rate(parts["unseen templates"], "pupil", passes).share
    alone = rate(parts["held out"], "pupil", passes).share
    assert (whole.low, whole.high) == (0, 1), "two templates, one passed and one not"
    assert alone.low is not None
    assert alone.low > 0.1


def test_who_is_compared() -> None:
    found = players({"rival": 5, "pupil-g2": 5, "pupil": 5, "pupil-g1": 5}, KNOWN)
    assert [one.agent for one in found] == ["pupil", "pupil-g1", "pupil-g2", "rival"]
    assert {one.line for one in found} == {"pupil", "rival"}
    assert compared(found, None) == ("pupil", "pupil-g2")
    assert compared(found, None, refused={"pupil-g2"}) == ("pupil", "pupil-g1")
    assert compared(found, None, refused={"pupil-g1", "pupil-g2"}) == ("pupil", "pupil-g2")
    assert compared(found, ("rival", "pupil")) == ("rival", "pupil")
    assert compared(found[-1:], None) is None
    with pytest.raises(NotFound, match="there are: pupil, pupil-g1"):
        compared(found, ("pupil", "nobody"))


def test_an_agents_line_is_its_own_and_not_its_siblings() -> None:
    parents = {"s": None, "s-g1": "s", "s-g2": "s-g1", "s-g3": "s", "s-g4": "s-g3", "odd": "odd"}
    known = {name: Known(parent=parent) for name, parent in parents.items()}
    assert line_of("s-g4", known) == ("s-g4", "s-g3", "s")
    assert head_of("s-g4", known) == "s"
    assert line_of("odd", known) == ("odd",)
    assert line_of("stranger", known) == ("stranger",)


def test_lengths() -> None:
    answers = [
        answer("s1", "pupil", text="one two three", tokens=4),
        answer("s2", "pupil", text="one", tokens=None, cut=True),
        answer("s1", "pupil-g1", text="one two three four five six"),
        answer("s2", "pupil-g1", text="one"),
        answer("s3", "pupil-g1", text="not paired"),
    ]
    own = length("pupil", answers[:2])
    assert (own.mean_words, own.median_words, own.cut_share, own.mean_tokens) == (2, 2, 0.5, None)
    gap = drift("pupil", "pupil-g1", answers, ["s1"])
    assert (gap.words.value, gap.words.of) == (1.5, 2)
    assert (gap.longer, gap.shorter, gap.ratio, gap.ratio_gained) == (1, 0, 1.75, 2)


def test_what_was_lost_and_what_is_shown() -> None:
    found = findings(material(table()))
    assert [one.seed for one in found.lost] == ["s2"]
    (one,) = found.lost
    assert (one.before.passed, one.after.passed) == (True, False)
    assert (one.before.text, one.after.text) == ("word ", "word word word ")
    many = [answer(f"s{n:02}", name) for n in range(40) for name in NAMES]
    drawn = [
        [one.seed for one in findings(material(many, random_seed=seed)).examples]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == EXAMPLES


def test_every_later_generation_is_held_against_the_first() -> None:
    found = findings(material([*table(), answer("s1", "rival")]))
    assert (found.before, found.after) == ("pupil", "pupil-g2")
    assert {one.after for one in found.differences} == {"pupil-g1", "pupil-g2"}
    gate = {
        "stage": "one", "student": "pupil-g2", "parent": "pupil-g1", "seeds": 5, "wins": 0, "ties": 5,
        "losses": 0, "win_rate": 0.5, "low": 0.4, "admitted": False, "why": "not above 50%",
    }  # fmt: skip
    refused = findings(material(table(), gates=(Gate.model_validate(gate),)))
    assert refused.after == "pupil-g1"
    chosen = findings(material([*table(), answer("s1", "rival")], compare=("pupil", "rival")))
    assert {one.after for one in chosen.differences} == {"rival"}
    later = findings(material(table(), compare=("pupil-g1", "pupil-g2")))
    assert {one.after for one in later.differences} == {"pupil-g2"}


def test_costs() -> None:
    ended, running = of_round(round_row()), of_round(round_row(finished_at=None))
    assert (ended.seconds, ended.calls, ended.tokens, ended.usd) == (90, 10, 150, 0.25)
    assert running.seconds is None
    both = total([ended, running])
    assert (both.seconds, both.calls, both.usd, both.joules) == (90, 20, 0.5, None)


# Training and energy


def test_curves_are_read_from_metrics(tmp_path: Path) -> None:
    lines = [
        {"step": 1, "loss": "0.7", "rewards/margins": 0.1},
        {"step": 2, "loss": 0.5, "eval_loss": 0.6},
        {"step": 3, "loss": float("nan")},
        {"train_runtime": 3},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*map(json.dumps, lines), "{half"]))
    (tmp_path / "trained.json").write_text(json.dumps({"rows": 8, "recipe": {"method": "dpo"}}))
    found = training("pupil-g1", tmp_path, 12.5)
    assert [(p.step, p.value) for p in found.curves["loss"]] == [(1, 0.7), (2, 0.5)]
    assert [p.value for p in found.curves["loss, kept out"]] == [0.6]
    assert [p.value for p in found.curves["reward margin"]] == [0.1]
    assert (found.rows, found.method, found.absent) == (8, "dpo", "")
    assert training("x", tmp_path / "gone", None).absent.endswith("cannot be read from here")
    assert training("x", None, None).absent
    assert curves_of(["[]", "1", ""]) == {}


def counters(folder: Path, *, package: int, wraps: int = 1000) -> None:
    zone = folder / "intel-rapl:0"
    for one in (zone, folder / "intel-rapl:0:0"):
        one.mkdir(parents=True, exist_ok=True)
        (one / "energy_uj").write_text(f"{package * 1_000_000}\n")
        (one / "max_energy_range_uj").write_text(f"{wraps * 1_000_000}\n")


def test_joules_from_counters_that_wrap(tmp_path: Path) -> None:
    assert energy.read(tmp_path) is None
    assert "no RAPL counters" in energy.why_not(tmp_path)
    counters(tmp_path, package=990)
    first = energy.read(tmp_path)
    assert first is not None
    assert first.joules == {"intel-rapl:0": 990}, "what is in a package is not counted twice"
    assert energy.why_not(tmp_path) == ""
    read = [
        energy.Reading(at=at, joules={"p": joules}, wraps={"p": 1000})
        for at, joules in ((100, 980), (105, 990), (110, 5), (115, 25))
    ]
    found = energy.readings([*(one.model_dump_json() for one in reversed(read)), "no reading"])
    assert energy.between(found, 100, 115) == 10 + 15 + 20
    assert energy.between(found, 100, 900) is None, "nobody read at its end"
    assert energy.between([], 100, 110) is None


# Courses


def course(*rows: tuple[str, str, str | None]) -> dict[str, Any]:
    return {"steps": [{"stage": stage, "kind": kind, "round": id} for stage, kind, id in rows]}


def test_a_courses_examinations_count_and_its_gates_where_it_has_none() -> None:
    taught = (("one", "draw", None), ("one", "play", "p1"), ("one", "gate", "g1"))
    exams = (("held-out", "play", "e1"), ("held-out", "play", None))
    assert examined_in(course(*taught, *exams)) == ["e1"]
    assert examined_in(course(*taught)) == ["g1"]
    assert taught_in(course(*taught, *exams)) == ["p1"]
    assert examined_in(course(*taught[:2], ("one", "gate", None))) == []


# What is absent is said


def said(found: Findings) -> str:
    return "\n".join(found.notes)


def test_one_generation_without_checker_or_training() -> None:
    found = findings(material([answer("s1", "pupil", None, tags=())]))
    assert (found.rates, found.differences, found.examples) == ((), (), ())
    for what in (
        "no checker",
        "only generation",
        "not known",
        "task:",
        "no ratings",
        "no training",
    ):
        assert what in said(found), what
    assert files(found)["index.html"]


def test_nothing_at_all() -> None:
    found = findings(material([]))
    assert "nothing to count" in said(found)
    made = files(found)
    assert set(made) == {"index.html", "report.md", "report.json"}


# Forms


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def hostile() -> Findings:
    answers = [
        answer(
            seed,
            agent,
            agent == "pupil",
            text=HOSTILE,
            why=HOSTILE,
            prompt=HOSTILE,
            tags=(HOSTILE,),
        )
        for seed in (HOSTILE, "s2")
        for agent in ("pupil", "pupil-g1")
    ]
    return findings(material(answers, asked=(HOSTILE,)))


def test_hostile_words_stay_words_in_the_page() -> None:
    seen = Seen(files(hostile())["index.html"].decode())
    ours = (
        "html head meta title style body h1 h2 h3 p img pre div table thead tbody tr th td".split()
    )
    assert seen.tags <= set(ours)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    sources = [value or "" for name, value in seen.attributes if name in ("src", "href")]
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    words = "".join(seen.words)
    assert "<script>alert(1)</script>" in words
    assert "{{ 7 * 7 }}" in words, "nothing is a template either"
    assert not set("\x1b\u202e") & set(words)


def test_the_page_forbids_everything_but_its_own_style() -> None:
    text = page(Document(title="T", blocks=()), {})
    policies = [value for name, value in Seen(text).attributes if name == "content"]
    assert policy() in policies
    assert policy().startswith("default-src 'none';")
    assert "unsafe" not in policy()
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    assert f"style-src 'sha256-{hashed}'" in policy()


def test_pictures_are_images_of_their_own() -> None:
    made = files(hostile())
    for name, drawn in made.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(drawn)
            assert not [one for one in root.iter() if one.tag.endswith(("script", "foreignObject"))]
            assert f"]({name})".encode() in made["report.md"]


def test_hostile_words_stay_words_in_markdown() -> None:
    text = files(hostile())["report.md"].decode()
    outside = _outside_fences(text)
    assert "<" not in outside.replace("\\<", "")
    assert "http://" not in outside
    assert "[y]" not in outside
    assert not set("\x1b\u202e") & set(text)
    assert "alert(1)" in text


def _outside_fences(text: str) -> str:
    """What a reader of Markdown would read as Markdown."""
    kept, fence = [], ""
    for line in text.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            fence = "" if line.strip() == fence else fence
        elif len(ticks) >= 3:
            fence = ticks
        else:
            kept.append(line)
    assert not fence
    return "\n".join(kept)


def test_fences_are_longer_than_what_they_hold() -> None:
    assert fenced("a ```` b").startswith("`````text\n")
    assert escaped("a|b <c> *d*\ne") == "a\\|b \\<c\\> \\*d\\* e"
    row = markdown(Document(title="T", blocks=(Table(columns=("x",), rows=(("1 | 2",),)),)))
    assert "| 1 \\| 2 |" in row


def test_both_forms_say_the_same() -> None:
    told = document(findings(material(table())), ())
    words = "".join(Seen(page(told, {})).words)
    text = markdown(told).replace("\\", "")
    for block in told.blocks:
        for said in _texts(block.model_dump()):
            assert " ".join(said.split()) in " ".join(words.split())
            assert " ".join(said.split()) in " ".join(text.split())
    assert any(isinstance(block, Quote) for block in told.blocks)
    assert any(
        isinstance(block, Text) and "pupil-g2 against pupil" in block.text for block in told.blocks
    )


def _texts(block: Mapping[str, Any]) -> list[str]:
    cells = [cell for row in block.get("rows", ()) for cell in row]
    return [*(block[key] for key in ("text", "label") if key in block), *cells]


def test_the_same_records_give_the_same_bytes() -> None:
    first, second = (files(findings(material(table()))) for _ in range(2))
    assert first == second
    assert Findings.model_validate_json(first["report.json"]).before == "pupil"
