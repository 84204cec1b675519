"""What a process that was killed by force leaves: a server that is seen and stopped, rounds nobody drives."""

import os
import signal

from tests.acceptance.processes import AAA, Home, provider, started, until
from tests.acceptance.terminal import terminal


def test_the_embedded_server_is_seen_and_stopped_once_nobody_uses_it(home: Home) -> None:
    with started([AAA, "serve", "--port", "0"], home) as process:
        process.wait_for(r"http://127\.0\.0\.1:\d+")
        refused = home.run("db", "stop")
        assert refused.returncode == 4
        assert "connections open" in refused.stderr
        os.kill(process.process.pid, signal.SIGKILL)
        process.process.wait(timeout=20)
    assert "embedded, pid " in home.run("doctor").stderr

    def stopped() -> bool:
        return home.run("db", "stop").returncode == 0  # the supervisor has left, too

    until(stopped, "the server's end")
    assert not (home.home / "postgres" / "postmaster.pid").exists()
    assert "no embedded PostgreSQL runs" in home.run("db", "stop").stderr


def test_rounds_that_nobody_drives_are_told_so(home: Home) -> None:
    with provider(home) as base:
        home.cards(base)
        home.scenario("small", 2, judging={"play": "pairwise"})
        assert "Nobody drives" not in home.run("rounds", "ls").stderr
        home.aaa("rounds", "start", "small")
        assert "Nobody drives" in home.run("rounds", "ls").stderr
        with terminal([AAA, "watch"], home.env, home.place) as screen:
            screen.wait_for(r"── seats")
            screen.wait_for(r"⚠ nobody drives: no runner was heard of")
            screen.press("escape")
            screen.wait_for(r"AAA  rounds")
            screen.wait_for(r"⚠ nobody drives: no runner was heard of")
            screen.press("q")
            screen.end()
