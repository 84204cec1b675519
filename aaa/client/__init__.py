"""A small typed client of the REST API: what the command line and the dashboard speak.

Answers are the API's JSON as it came (`shapes.py`). Left out: repeating requests (the caller decides; events
are followed over breaks, `following.py`), and cleaning text for a terminal (`aaa.clean`: every string in an
answer may come from a model).
"""

import json
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import IO, Any

import httpx
from pydantic import SecretStr

from aaa.client.following import OnBack, OnDrop, follow, unheard
from aaa.client.shapes import Event, Json, Round, Session, SessionRow
from aaa.client.wire import Wire, check, path_of
from aaa.errors import SetupError
from aaa.settings import Settings
from aaa.states import TERMINAL_EVENTS

__all__ = [
    "TERMINAL_EVENTS",
    "Client",
    "Event",
    "Json",
    "OnBack",
    "OnDrop",
    "Round",
    "Session",
    "SessionRow",
    "connect",
    "unheard",
]

RATINGS_S = 600.0
"""Ratings are computed when asked for; of a million battles that takes minutes."""
SILENT_S = 600.0
"""How long a stream of rows may say nothing: many sessions, or a first pass over all, may give none."""


class Client:
    """One control plane. Use as `async with Client(url, token) as client`."""

    def __init__(self, url: str, token: SecretStr | None = None, *, timeout_s: float = 30.0):
        """`url` is where `aaa serve` listens. Raises `InputError` when it is no http(s) URL."""
        self._wire = Wire(url, token, timeout_s)
        self.url = self._wire.url
        self._patient = httpx.Timeout(timeout_s, read=max(timeout_s, SILENT_S))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._wire.http.aclose()

    # Rounds

    async def start_round(
        self,
        scenario: str | Mapping[str, Any],
        *,
        overrides: Mapping[str, Any] | None = None,
        budget_usd: float | None = None,
        idempotency_key: str | None = None,
    ) -> Round:
        """Start a round of a named or inline scenario. The same key again gives the same round."""
        body: Json = {"scenario": scenario, "overrides": dict(overrides or {})}
        if budget_usd is not None:
            body["budget_usd"] = budget_usd
        key = _new_key() if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        round: Round = await self._wire.ask("POST", "/v1/rounds", body, key)
        return round

    async def rounds(self, limit: int | None = None) -> list[Round]:
        """The newest `limit` rounds, newest first; `None`: all."""
        return [row async for row in self._wire.pages("/v1/rounds", {}, limit)]

    async def round(self, round_id: str) -> Round:
        round: Round = await self._wire.ask("GET", path_of("rounds", round_id))
        return round

    async def pause(self, round_id: str, *, now: bool = False) -> Round:
        """Begin no further call; those in flight come home, or with `now` are broken off."""
        return await self._move(round_id, "pause", {"now": "true"} if now else None)

    async def resume(self, round_id: str) -> Round:
        return await self._move(round_id, "resume")

    async def cancel(self, round_id: str) -> Round:
        return await self._move(round_id, "cancel")

    async def retune(self, round_id: str, changes: Mapping[str, Any]) -> Round:
        """Change concurrency or budgets of a round while it runs."""
        round: Round = await self._wire.ask("PATCH", path_of("rounds", round_id), dict(changes))
        return round

    async def _move(
        self, round_id: str, verb: str, params: Mapping[str, str] | None = None
    ) -> Round:
        path = path_of("rounds", round_id, verb)
        round: Round = await self._wire.ask("POST", path, None, _new_key(), params)
        return round

    async def gates(self, round_id: str) -> list[Json]:
        """How the gates of a round's models stand: in flight, waiting, and for what."""
        return [row async for row in self._wire.pages("/v1/gates", {"round": round_id}, None)]

    # What is in a round

    async def sessions(
        self,
        round_id: str,
        *,
        limit: int | None = None,
        after: str | None = None,
        **filters: str | None,
    ) -> list[SessionRow]:
        """Sessions of a round after that one, at most `limit`.

        `filters` are `status`, `outcome`, `seat`, `tag`, `text`.
        """
        wanted = filters | {"cursor": after}
        query = {name: value for name, value in wanted.items() if value is not None}
        return [
            row
            async for row in self._wire.pages(path_of("rounds", round_id, "sessions"), query, limit)
        ]

    async def session(self, session_id: str) -> Session:
        """One session with its transcript."""
        session: Session = await self._wire.ask("GET", path_of("sessions", session_id))
        return session

    async def seeds(self, round_id: str) -> list[Json]:
        """A round's seeds, in their order."""
        return [
            row async for row in self._wire.pages(path_of("rounds", round_id, "seeds"), {}, None)
        ]

    async def pairs(
        self, round_id: str, to: IO[bytes], *, format: str = "trl-dpo", **filters: str
    ) -> int:
        """Stream a round's pairs into `to` as JSONL; how many lines came.

        Raises `SetupError` when the stream broke off: what is in `to` is then incomplete.
        """
        path, lines = path_of("rounds", round_id, "pairs"), 0
        query = {"format": format, **filters}
        async with self._wire.stream(path, params=query, timeout=self._patient) as response:
            await check(response)
            async for chunk in response.aiter_bytes():
                to.write(chunk)
                lines += chunk.count(b"\n")
        return lines

    async def rows(
        self, round_id: str, *, format: str, selectors: Sequence[tuple[str, str]] = ()
    ) -> AsyncGenerator[Json, None]:
        """A round's rows, one by one. Raises as `pairs`."""
        query = httpx.QueryParams([("format", format), *selectors])
        path, rest = path_of("rounds", round_id, "pairs"), b""
        async with self._wire.stream(path, params=query, timeout=self._patient) as response:
            await check(response)
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        if rest:
            raise SetupError(f"the export of round {round_id!r} broke off in the middle of a row")

    async def script(self, round_id: str) -> Json:
        """What a round was started with: scenario and cards."""
        found: Json = await self._wire.ask("GET", path_of("rounds", round_id, "script"))
        return found

    async def explain(self, pair_id: str) -> Json:
        """Why a pair is what it is: seed, turns, ballots, scores, cost, models."""
        why: Json = await self._wire.ask("GET", path_of("pairs", pair_id))
        return why

    async def explain_row(self, row_id: str) -> Json:
        """Where an exported row came from that is no pair. Raises `NotFound`."""
        why: Json = await self._wire.ask("GET", path_of("rows", row_id))
        return why

    async def ratings(self, **query: str | list[str]) -> Json:
        """Ratings from recorded verdicts; `query` as `GET /v1/ratings` takes it."""
        found: Json = await self._wire.ask("GET", "/v1/ratings", params=query, timeout_s=RATINGS_S)
        return found

    async def calibrate(self, round_id: str) -> Json:
        """Measure the judges of an ended round over labelled pairs; their figures, which are kept."""
        report: Json = await self._wire.ask("POST", path_of("rounds", round_id, "calibration"))
        return report

    async def courses(self, limit: int) -> list[Json]:
        """Courses, newest first."""
        return [dict(row) async for row in self._wire.pages("/v1/courses", {}, limit)]

    async def course(self, course_id: str) -> Json:
        """One course with its steps."""
        found: Json = await self._wire.ask("GET", path_of("courses", course_id))
        return found

    async def start_course(self, asked: Mapping[str, Any]) -> Json:
        """Start a scenario with stages; its course."""
        made: Json = await self._wire.ask("POST", "/v1/courses", dict(asked), _new_key())
        return made

    async def move_course(self, course_id: str, verb: str, body: Json | None = None) -> Json:
        """`pause`, `resume`, `cancel` or `teach`."""
        path = path_of("courses", course_id, verb)
        found: Json = await self._wire.ask("POST", path, body, _new_key())
        return found

    async def retune_course(self, course_id: str, changes: Mapping[str, Any]) -> Json:
        """Change concurrency or budgets of a course, for the rounds that it starts from now on."""
        found: Json = await self._wire.ask("PATCH", path_of("courses", course_id), dict(changes))
        return found

    async def generations(self, student: str | None = None) -> list[Json]:
        """Trained students, with what their gates found."""
        query = {} if student is None else {"student": student}
        return [row async for row in self._wire.pages("/v1/generations", query, None)]

    async def register_generation(self, asked: Mapping[str, Any]) -> Json:
        """Put a student that was trained by hand on record."""
        made: Json = await self._wire.ask("POST", "/v1/generations", dict(asked))
        return made

    async def signals(self, round_id: str) -> Json:
        """Seed id -> how hard a round's seeds were, and how far they told models apart."""
        found: Json = await self._wire.ask("GET", path_of("rounds", round_id, "signals"))
        return found

    async def rejudge(self, round_id: str, asked: Mapping[str, Any]) -> Round:
        """Start a round that judges that one's recorded answers again."""
        path = path_of("rounds", round_id, "rejudge")
        made: Round = await self._wire.ask("POST", path, dict(asked), _new_key())
        return made

    async def rejudge_estimate(self, round_id: str, asked: Mapping[str, Any]) -> Json:
        """What judging again would ask and cost."""
        path = path_of("rounds", round_id, "rejudge", "estimate")
        found: Json = await self._wire.ask("POST", path, dict(asked))
        return found

    async def changes(self, round_id: str) -> Json:
        """How many pairs of an older round change by the verdicts of the one that judged it again."""
        found: Json = await self._wire.ask("GET", path_of("rounds", round_id, "changes"))
        return found

    async def agent(self, name: str) -> Json:
        """One agent: its card, and what it was worth as a judge."""
        found: Json = await self._wire.ask("GET", path_of("agents", name))
        return found

    async def agents(self) -> list[Json]:
        return [row async for row in self._wire.pages("/v1/agents", {}, None)]

    async def scenarios(self) -> list[Json]:
        return [row async for row in self._wire.pages("/v1/scenarios", {}, None)]

    async def create_token(self, name: str, role: str, expires_in_s: float | None) -> Json:
        """Make a token for a caller; `token` of what comes back is told this once."""
        asked = {"name": name, "role": role, "expires_in_s": expires_in_s}
        made: Json = await self._wire.ask("POST", "/v1/tokens", asked)
        return made

    async def tokens(self) -> list[Json]:
        """Every token that was made, without itself."""
        return [row async for row in self._wire.pages("/v1/tokens", {}, None)]

    async def revoke_token(self, token_id: str) -> Json:
        """Have it let nobody in any more."""
        found: Json = await self._wire.ask("DELETE", path_of("tokens", token_id))
        return found

    async def ready(self) -> bool:
        """Whether the control plane can work: database, schema and cluster are there."""
        async with self._wire.stream("/readyz") as response:
            return response.is_success

    # Events

    def events(
        self,
        round_id: str,
        *,
        after: int = 0,
        on_drop: OnDrop = unheard,
        on_back: OnBack = unheard,
        patience_s: float = 600.0,
    ) -> AsyncGenerator[Event, None]:
        """A round's events after id `after`, as `following.follow` has them. Close it (`aclosing`)."""
        return follow(
            self._wire,
            round_id,
            after=after,
            on_drop=on_drop,
            on_back=on_back,
            patience_s=patience_s,
        )


def _new_key() -> dict[str, str]:
    """What has whoever sends a request again on the way, such as a proxy, do no harm."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def connect(settings: Settings) -> Client:
    """The control plane that the environment names. Raises `SetupError` where it names none."""
    if settings.url is None:
        raise SetupError("AAA_URL is not set; start a control plane with `aaa serve` and set it")
    return Client(settings.url, settings.token)
