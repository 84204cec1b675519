"""A whole AAA under attack: `aaa serve` with its supervisor, Ray, seats and runners, a provider stub, and a
PostgreSQL that is ours to stop. The API is started again where it was killed, as systemd or Compose would;
everything else has to come back by itself.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import httpx
import psutil

from tests.acceptance.processes import AAA, Home, Process, new_home, provider, requests, until
from tests.chaos.rows import connect
from tests.postgres import embedded_server

Kind = Literal["runner", "seat", "supervisor", "api", "raylet", "gcs_server"]
COMMANDS: Mapping[str, Kind] = {
    "ray::RunnerActor": "runner",
    "ray::Seat": "seat",
    "aaa.cluster": "supervisor",
    "gcs_server": "gcs_server",
    "raylet": "raylet",
}
"""Text in a process's command line -> what it is."""
CALLS = 5
"""Calls of one session: draft, critique, revision, two ballots."""
ENDED = ("completed", "failed", "cancelled", "paused")


class Books(NamedTuple):
    """What a round's rows say at its end."""

    status: str
    completed: int
    turns: int
    attempts: int
    abandoned: int
    """Attempts whose process died or was given up."""
    late: int
    """Answers that came after another had become the turn: kept, and priced."""
    unpriced: int
    """Answered attempts without a cost."""
    unsettled: int
    """Whether anything is still reserved, or the sums are not those of the attempts."""


class Stage:
    """One home with everything that runs in it."""

    def __init__(self, home: Home, database_url: str, provider_url: str, env: Mapping[str, str]):
        self.home = home
        self.database_url = database_url
        self.provider_url = provider_url.removesuffix("/v1")
        self.env = {**env, "DATABASE_URL": database_url}
        self.port = "0"
        self.known: set[psutil.Process] = set()
        self.said: list[str] = []
        self.client = httpx.Client(timeout=30)
        self.start_api()

    def start_api(self) -> None:
        """Start `aaa serve`; on the port it had, if it ran before."""
        command = [AAA, "serve", "--port", self.port]
        self.server = Process(command, self.home.env | self.env, self.home.place)
        self.url = self.server.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
        self.port = self.url.rpartition(":")[2]
        self.known.add(psutil.Process(self.server.process.pid))

    def api(self, method: str, path: str, **more: Any) -> Any:
        """Ask the control plane; started again where it died, waited for where it does not answer yet."""

        def ask() -> httpx.Response | None:
            if self.server.process.poll() is not None:
                self.said += self.server.said
                self.start_api()
            with suppress(httpx.TransportError):
                response = self.client.request(method, f"{self.url}{path}", **more)
                if response.status_code < 500:
                    return response
            return None

        response: httpx.Response = until(ask, f"{method} {path}", within_s=120)
        assert response.status_code < 400, response.text
        is_json = response.headers["content-type"].startswith("application/json")
        return response.json() if is_json else response.content

    def start(self, scenario: str, **more: Any) -> str:
        """Start a round, exactly once however often the control plane dies; its id."""
        key = {"Idempotency-Key": f"{scenario}-{time.monotonic_ns()}"}
        body = {"scenario": scenario, **more}
        return str(self.api("POST", "/v1/rounds", json=body, headers=key)["id"])

    def round(self, round_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api("GET", f"/v1/rounds/{round_id}")
        return found

    def finish(self, round_id: str, within_s: float) -> dict[str, Any]:
        """Wait for the round's end; the round."""

        def look() -> dict[str, Any] | None:
            found = self.round(round_id)
            return found if found["status"] in ENDED else None

        found: dict[str, Any] = until(look, f"the end of {round_id}", within_s=within_s)
        assert found["status"] == "completed", json.dumps(found, indent=1)
        return found

    def export(self, round_id: str) -> bytes:
        found: bytes = self.api("GET", f"/v1/rounds/{round_id}/pairs")
        return found

    def processes(self) -> dict[Kind, list[psutil.Process]]:
        """What runs now, by kind and in the order of their start; what it has left behind counts too."""
        found: dict[Kind, list[psutil.Process]] = {}
        for process in list(self.known):
            with suppress(psutil.Error):
                self.known |= set(process.children(recursive=True))
        for process in sorted(self.known, key=lambda p: (p.create_time(), p.pid)):
            kind = self._kind(process)
            if kind is None:
                self.known.discard(process)
            elif kind != "other":
                found.setdefault(kind, []).append(process)
        return found

    def _kind(self, process: psutil.Process) -> Kind | Literal["other"] | None:
        """`None`: it is gone."""
        with suppress(psutil.Error):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return None
            if process.pid == self.server.process.pid:
                return "api"
            line = process.cmdline()
            text = " ".join(line[:3])
            return next((kind for part, kind in COMMANDS.items() if part in text), "other")
        return None

    def in_flight(self, round_id: str) -> int:
        """Calls whose intent is on record and whose end is not."""
        row = self._one(
            "SELECT count(*) AS n FROM attempts JOIN sessions ON id = session_id "
            "WHERE round_id = %s AND attempts.status = 'asking'",
            round_id,
        )
        return int(row["n"])

    def books(self, round_id: str) -> Books:
        """The round's rows, added up."""
        return Books(**self._one(BOOKS, round_id))

    def _one(self, query: str, *arguments: object) -> dict[str, Any]:
        with connect(self.database_url) as connection:
            row = connection.execute(query, arguments).fetchone()
        assert row is not None
        return row

    def faults(self, line: str) -> None:
        """How the provider behaves from now on."""
        self.client.post(f"{self.provider_url}/_faults", content=line).raise_for_status()

    def stats(self) -> dict[str, Any]:
        """Counts of the provider."""
        found: dict[str, Any] = self.client.get(f"{self.provider_url}/_stats").json()
        return found

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """What the provider was asked, from its request number `since` on."""
        return requests(self.home)[since:]

    def raw_errors(self) -> list[str]:
        """Lines of any process's log that show an error of the database driver as it is."""
        logs = [*Path("/tmp").glob("aaa-ray-*/session_*/logs/worker-*.err")]
        lines = [*self.said, *self.server.said]
        pids = {str(p.pid) for p in self.known}
        for log in logs:
            if log.stem.rpartition("-")[2] in pids:
                lines += log.read_text(errors="replace").splitlines()
        return [line for line in lines if any(word in line for word in RAW)]

    def close(self) -> None:
        """Stop everything; what does not stop is killed."""
        self.processes()
        for process in self.known:
            with suppress(psutil.Error):
                process.resume()
        self.server.stop()
        for process in self.known:
            with suppress(psutil.Error):
                process.kill()
        self.client.close()


RAW = ("psycopg.errors", "sqlalchemy.exc", "IntegrityError", "DeadlockDetected", "UniqueViolation")
BOOKS = """
SELECT r.status, r.sessions_completed AS completed, r.turns,
    count(*) AS attempts,
    count(*) FILTER (WHERE a.status = 'abandoned') AS abandoned,
    count(*) FILTER (WHERE a.status = 'answered' AND jsonb_typeof(a.reply) = 'object') AS late,
    count(*) FILTER (WHERE a.status = 'answered' AND a.cost_usd IS NULL) AS unpriced,
    (r.reserved_usd <> 0 OR r.reserved_tokens <> 0 OR r.spent_usd <> sum(a.cost_usd)
        OR r.spent_tokens <> sum(a.tokens) OR r.calls <> count(*))::int AS unsettled
FROM rounds AS r JOIN sessions AS s ON s.round_id = r.id JOIN attempts AS a ON a.session_id = s.id
WHERE r.id = %s GROUP BY r.id
"""


@contextmanager
def stage(
    faults: str,
    *,
    sessions: int,
    concurrency: int,
    scenario: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    skills: str = "",
    **env: str,
) -> Iterator[Stage]:
    """Everything for the scenario `chaos`, running; two runners, cards with a price."""
    more = {"judging": {"play": "logprob"}, "concurrency": concurrency, **(scenario or {})}
    allowed = {"concurrency": max(32, 2 * concurrency), "timeout_s": 30, **(limits or {})}
    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
    with embedded_server() as url, new_home() as home:
        home.scenario("chaos", seeds=sessions, **more)
        with provider(home, faults=faults, judge="noise=0.3", skills=skills) as base_url:
            for name, family in (("pupil", "birch"), ("tutor", "oak"), ("referee", "elm")):
                home.card(name, base_url, family, limits=allowed, price=price)
            on = Stage(home, url, base_url, {"AAA_RUNNERS": "2", **env})
            try:
                yield on
            finally:
                on.close()


def repeated(asked: list[dict[str, Any]]) -> tuple[int, int]:
    """(different requests, requests beyond the first of each)."""
    keys = [request["key"] for request in asked]
    return len(set(keys)), len(keys) - len(set(keys))
