"""`aaa report` as a user calls it: two generations in an arena against the stub, judged by a program."""

import json

from tests.acceptance.processes import Home, provider

SEEDS = 24


def write_arena(home: Home, url: str) -> None:
    """A pupil and its next generation, told apart by a limit of words that their prose keeps or not."""
    home.card("pupil", url, "birch")
    home.card("pupil-g1", url, "birch", parent="pupil", generation=1)
    home.card("referee", url, "elm")
    home.scenario(
        "meet",
        seeds=SEEDS,
        protocol={"id": "arena"},
        seats={"student": ["pupil-g1"], "opponent": ["pupil"], "judge": ["referee"]},
        judging={"checker": "decides"},
    )
    path = home.place / "scenarios" / "meet.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    checker = {"kind": "format", "words": {"max": 200}}
    tags = ["task:constraint", "template:short"]
    path.write_text("\n".join(json.dumps(row | {"checker": checker, "tags": tags}) for row in rows))


def test_a_round_becomes_a_page_that_is_the_same_each_time(home: Home) -> None:
    with provider(home) as url:
        write_arena(home, url)
        home.aaa("run", "meet", "--no-tui")
        (one,) = json.loads(home.aaa("rounds", "ls", "--json"))["items"]
        taught = home.place / "scenarios" / "meet.jsonl"
        home.aaa("report", one["id"], "-o", "out", "--seed", "3")
        home.aaa("report", one["id"], "-o", "again", "--seed", "3", "--taught", str(taught))
        told = json.loads(home.aaa("report", one["id"], "--json", "--seed", "3"))
        home.aaa("report", one["id"], "-o", "out", "--seed", "3")  # over what is there
    out, again = home.place / "out", home.place / "again"
    assert json.loads((out / "report.json").read_text("utf-8")) == told
    assert (told["before"], told["after"]) == ("pupil", "pupil-g1")
    (gap,) = [row for row in told["differences"] if row["part"] == "held out"]
    assert gap["gained"] + gap["lost"] + gap["same"] == SEEDS
    assert gap["gained"] > 0
    assert gap["lost"] == len(told["lost"]) > 0
    seen = {row["part"] for row in json.loads((again / "report.json").read_text("utf-8"))["rates"]}
    assert seen == {"taught"}, "whoever was taught with these seeds has no held-out figures"
    page = (out / "index.html").read_text("utf-8")
    assert "Content-Security-Policy" in page
    assert "<script" not in page
    assert page.count("data:image/svg+xml") == len(list(out.glob("*.svg")))
    assert told["lost"][0]["seed"] in page
    assert told["lost"][0]["seed"] in (out / "report.md").read_text("utf-8")
    refused = home.run("report", "no-such", "-o", "other")
    assert refused.returncode == 2
    assert "no round and no course 'no-such'" in refused.stderr
