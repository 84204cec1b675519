"""Bad input: one clear error, its exit code, nothing half-started left behind."""

import json
import socket
from pathlib import Path

import pytest

from tests.acceptance.processes import Home

NOWHERE = "http://127.0.0.1:9/v1"  # the discard port: nobody listens


@pytest.fixture
def stocked(home: Home) -> Home:
    home.cards(NOWHERE)
    home.scenario("small", seeds=2)
    return home


def refused(home: Home, *arguments: str, code: int, **env: str) -> str:
    """The error of a command that must fail with that exit code, in few lines and no traceback."""
    done = home.run(*arguments, **env)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert 1 <= len(errors) <= 3, done.stderr
    return " ".join(errors)


def changed(home: Home, **changes: object) -> str:
    """A scenario file with some keys changed; its path."""
    path = home.place / "scenarios" / "small.yaml"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return str(path)


def test_an_unknown_key_names_file_key_and_choices(stocked: Home) -> None:
    told = refused(stocked, "run", changed(stocked, judgment={}), code=2)
    assert "small.yaml" in told
    assert "'judgment'" in told
    assert "judging" in told


def test_an_unknown_agent_lists_the_known(stocked: Home) -> None:
    seats = {"student": ["nobody"], "teacher": ["tutor"], "judge": ["referee"]}
    told = refused(stocked, "run", changed(stocked, seats=seats), code=2)
    assert "no agent 'nobody'" in told
    assert "pupil" in told


def test_an_unknown_scenario_lists_the_known(stocked: Home) -> None:
    assert "quickstart" in refused(stocked, "run", "quickstrat", code=2)


def test_a_broken_seeds_line_is_named(stocked: Home) -> None:
    seeds = stocked.place / "scenarios" / "small.jsonl"
    seeds.write_text('{"prompt": "fine"}\n' * 1 + '{"prompt": broken\n')
    told = refused(stocked, "run", "small", code=2)
    assert "small.jsonl: line 2" in told


def test_a_judge_of_the_students_family_is_refused(stocked: Home) -> None:
    stocked.card("referee", NOWHERE, "birch")
    assert "exclude_family" in refused(stocked, "run", "small", code=2)


def test_a_missing_key_names_its_variable(stocked: Home) -> None:
    stocked.card("pupil", NOWHERE, "birch", api_key_env="PUPIL_API_KEY")
    told = stocked.run("scenarios", "validate", "small").stderr
    assert "fine, 2 seeds, protocol co_teaching; to run it here, set PUPIL_API_KEY" in told
    assert "PUPIL_API_KEY" in refused(stocked, "run", "small", code=3)


def test_missing_weights_say_how_to_get_them(stocked: Home) -> None:
    told = refused(stocked, "run", "quickstart", code=3)
    assert "aaa models pull smollm2-135m" in told


def test_a_budget_over_unknown_prices_is_refused(stocked: Home) -> None:
    told = refused(stocked, "run", "small", "--budget-usd", "5", "--dry-run", code=2)
    assert "price" in told
    assert "'pupil'" in told


def test_a_wrong_database_url_says_so_without_the_password(stocked: Home) -> None:
    url = "postgresql://me:hunter2@127.0.0.1:9/none"
    told = refused(stocked, "rounds", "ls", code=3, DATABASE_URL=url)
    assert "DATABASE_URL" in told
    assert "hunter2" not in told
    assert "PostgreSQL" in refused(stocked, "rounds", "ls", code=3, DATABASE_URL="mysql://x/y")


def test_an_unwritable_home_is_named(stocked: Home) -> None:
    told = refused(stocked, "rounds", "ls", code=3, AAA_HOME="/dev/null/home")
    assert "AAA_HOME" in told
    assert "/dev/null/home" in told


def test_a_port_in_use_is_named(stocked: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in refused(stocked, "serve", "--port", str(port), code=3)


def test_the_world_is_not_served_without_a_token(stocked: Home) -> None:
    assert "AAA_TOKEN" in refused(stocked, "serve", "--host", "0.0.0.0", code=3)


def test_an_unreachable_server_says_where(stocked: Home) -> None:
    told = refused(stocked, "rounds", "ls", code=3, AAA_URL="http://127.0.0.1:9")
    assert "127.0.0.1:9" in told


def test_an_unreachable_model_fails_its_round_with_the_reason(stocked: Home) -> None:
    limits = {"attempts": 1, "timeout_s": 5}
    stocked.card("pupil", NOWHERE, "birch", limits=limits)
    done = stocked.run("run", "small", "--no-tui")
    assert done.returncode == 1, done.stderr
    assert "the server at its `api_base` does not answer" in done.stderr
    assert "127.0.0.1:9" not in done.stderr  # every viewer reads a round's reason
    found = json.loads(stocked.aaa("rounds", "ls", "--json"))["items"][0]
    assert (found["status"], found["reason"]) == ("failed", "all_sessions_failed")


def test_nothing_is_left_running(stocked: Home) -> None:
    """After a refusal the embedded database is stopped again."""
    refused(stocked, "rounds", "show", "none", code=2)
    assert not (Path(stocked.env["AAA_HOME"]) / "postgres" / "postmaster.pid").exists()


def test_an_unknown_pair_and_format_are_refused(stocked: Home) -> None:
    assert "pnone" in refused(stocked, "explain", "pnone", code=2)
    told = refused(stocked, "export", "none", "--format", "word", "-o", "-", code=2)
    assert "trl-dpo" in told


def test_wrong_options_and_broken_yaml_are_one_sentence(stocked: Home) -> None:
    wrong = stocked.run("run", "small", "--limit", "abc")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: --limit: 'abc' is not a whole number; `aaa run --help` lists the options\n",
    )
    missing = stocked.run("run")
    assert (missing.returncode, missing.stderr) == (
        2,
        "error: scenario is missing; `aaa run --help` lists the options\n",
    )
    broken = stocked.place / "scenarios" / "broken.yaml"
    broken.write_text("name: broken\nseats: [x\n")
    told = stocked.run("scenarios", "validate", str(broken))
    broken.unlink()
    assert told.returncode == 2
    assert "not readable as YAML: line 3: expected ',' or ']'" in told.stderr
    assert told.stderr.count("\n") == 1
