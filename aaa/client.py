"""A small typed client of the REST API: what the command line and the dashboard speak.

Answers are the API's JSON as it came (`docs/design/events.md`), typed but not validated, so an older
client reads a newer server. Left out: retries of requests (the caller decides), and cleaning text for
a terminal (`aaa.clean`: every string in an answer may come from a model).
"""

import asyncio
import ipaddress
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import IO, Any, TypedDict
from urllib.parse import quote, urlsplit

import httpx
from httpx_sse import EventSource, SSEError
from pydantic import SecretStr

from aaa.errors import AAAError, Conflict, InputError, NotFound, SetupError
from aaa.settings import Settings
from aaa.types import Value

TERMINAL_EVENTS = frozenset({"round.completed", "round.failed", "round.cancelled"})
"""After one of these a round says nothing more."""
SILENCE_S = 45.0
"""An event stream this quiet is dead: the server promises a keep-alive every 15 s."""
RATINGS_S = 600.0
"""Ratings are computed when asked for; of a million battles that takes minutes."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 10.0
"""Bounds of the wait before a dropped event stream is opened again; it doubles in between."""

Json = dict[str, Any]


class Round(TypedDict):
    """A round as the API tells it; `docs/design/events.md` says what each field means."""

    id: str
    scenario: str
    description: str
    status: str
    reason: str | None
    message: str | None
    budget_usd: float | None
    budget_tokens: int | None
    budget_calls: int | None
    spent_usd: float
    reserved_usd: float
    spent_tokens: int
    reserved_tokens: int
    calls: int
    seat_budgets: dict[str, Json]
    concurrency: int
    sessions: dict[str, int]
    turns: int
    prompt_tokens: int
    completion_tokens: int
    verdicts: dict[str, int]
    pairs: int
    last_event: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    seats: dict[str, list[str]]
    protocol: Any


class SessionRow(TypedDict):
    """A session in a list: `turns` and `verdicts` are counts."""

    id: str
    round: str
    seed: Json
    status: str
    reason: str | None
    message: str | None
    started_at: str | None
    finished_at: str | None
    turns: int
    verdicts: int


class Session(TypedDict):
    """A session with its whole transcript."""

    id: str
    round: str
    seed: Json
    status: str
    reason: str | None
    message: str | None
    started_at: str | None
    finished_at: str | None
    turns: list[Json]
    verdicts: list[Json]


class Event(Value):
    """One thing that happened in a round."""

    id: int
    """1, 2, 3 … within the round, without a gap."""
    kind: str
    """`turn`, `verdict`, `session.started` …"""
    data: Json


OnDrop = Callable[[str, float], None]
"""(why the event stream broke, seconds until it is opened again) -> None."""
OnBack = Callable[[int], None]
"""(id of the last event before it broke) -> None, when it is open again."""


def unheard(*told: object) -> None:
    """Who does not want to hear of it."""


class Client:
    """One control plane. Use as `async with Client(url, token) as client`."""

    def __init__(self, url: str, token: SecretStr | None = None, *, timeout_s: float = 30.0):
        """`url` is where `aaa serve` listens. Raises `InputError` when it is no http(s) URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"{url!r} is no URL of a control plane; it looks like http://HOST:PORT"
            )
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=timeout_s,
            trust_env=not _is_loopback(parts.hostname),  # a proxy must not see our own machine's
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

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
        key = idempotency_key or str(uuid.uuid4())
        round: Round = await self._ask("POST", "/v1/rounds", body, {"Idempotency-Key": key})
        return round

    async def rounds(self, limit: int | None = None) -> list[Round]:
        """The newest `limit` rounds, newest first; `None`: all."""
        return [row async for row in self._pages("/v1/rounds", {}, limit)]

    async def round(self, round_id: str) -> Round:
        round: Round = await self._ask("GET", _path("rounds", round_id))
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
        round: Round = await self._ask("PATCH", _path("rounds", round_id), dict(changes))
        return round

    async def _move(
        self, round_id: str, verb: str, params: Mapping[str, str] | None = None
    ) -> Round:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        path = _path("rounds", round_id, verb)
        round: Round = await self._ask("POST", path, None, key, params)
        return round

    async def gates(self, round_id: str) -> list[Json]:
        """How the gates of a round's models stand: in flight, waiting, and for what."""
        found: Json = await self._ask("GET", "/v1/gates", params={"round": round_id})
        return list(found["items"])

    # What is in a round

    async def sessions(
        self, round_id: str, *, limit: int | None = None, **filters: str | None
    ) -> list[SessionRow]:
        """Sessions of a round, at most `limit`; `filters` are `status`, `outcome`, `seat`, `tag`, `text`."""
        query = {name: value for name, value in filters.items() if value is not None}
        return [
            row async for row in self._pages(_path("rounds", round_id, "sessions"), query, limit)
        ]

    async def session(self, session_id: str) -> Session:
        """One session with its transcript."""
        session: Session = await self._ask("GET", _path("sessions", session_id))
        return session

    async def pairs(
        self, round_id: str, to: IO[bytes], *, format: str = "trl-dpo", **filters: str
    ) -> int:
        """Stream a round's pairs into `to` as JSONL; how many lines came.

        Raises `SetupError` when the stream broke off: what is in `to` is then incomplete.
        """
        path, lines = _path("rounds", round_id, "pairs"), 0
        async with self._stream(path, params={"format": format, **filters}) as response:
            await _check(response)
            async for chunk in response.aiter_bytes():
                to.write(chunk)
                lines += chunk.count(b"\n")
        return lines

    async def rows(
        self, round_id: str, *, format: str, selectors: Sequence[tuple[str, str]] = ()
    ) -> AsyncGenerator[Json, None]:
        """A round's rows, one by one. Raises as `pairs`."""
        query = httpx.QueryParams([("format", format), *selectors])
        path, rest = _path("rounds", round_id, "pairs"), b""
        async with self._stream(path, params=query) as response:
            await _check(response)
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        if rest:
            raise SetupError(f"the export of round {round_id!r} broke off in the middle of a row")

    async def script(self, round_id: str) -> Json:
        """What a round was started with: scenario and cards."""
        found: Json = await self._ask("GET", _path("rounds", round_id, "script"))
        return found

    async def explain(self, pair_id: str) -> Json:
        """Why a pair is what it is: seed, turns, ballots, scores, cost, models."""
        why: Json = await self._ask("GET", _path("pairs", pair_id))
        return why

    async def ratings(self, **query: str | list[str]) -> Json:
        """Ratings from recorded verdicts; `query` as `GET /v1/ratings` takes it."""
        found: Json = await self._ask("GET", "/v1/ratings", params=query, timeout_s=RATINGS_S)
        return found

    async def calibrate(self, round_id: str) -> Json:
        """Measure the judges of an ended round over labelled pairs; their figures, which are kept."""
        report: Json = await self._ask("POST", _path("rounds", round_id, "calibration"))
        return report

    async def courses(self, limit: int) -> list[Json]:
        """Courses, newest first."""
        return [dict(row) async for row in self._pages("/v1/courses", {}, limit)]

    async def course(self, course_id: str) -> Json:
        """One course with its steps."""
        found: Json = await self._ask("GET", _path("courses", course_id))
        return found

    async def start_course(self, asked: Mapping[str, Any]) -> Json:
        """Start a scenario with stages; its course."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        made: Json = await self._ask("POST", "/v1/courses", dict(asked), key)
        return made

    async def move_course(self, course_id: str, verb: str, body: Json | None = None) -> Json:
        """`pause`, `resume`, `cancel` or `teach`."""
        found: Json = await self._ask("POST", _path("courses", course_id, verb), body)
        return found

    async def generations(self, student: str | None = None) -> list[Json]:
        """Trained students, with what their gates found."""
        params = {} if student is None else {"student": student}
        found: list[Json] = await self._ask("GET", "/v1/generations", params=params)
        return found

    async def register_generation(self, asked: Mapping[str, Any]) -> Json:
        """Put a student that was trained by hand on record."""
        made: Json = await self._ask("POST", "/v1/generations", dict(asked))
        return made

    async def signals(self, round_id: str) -> Json:
        """Seed id -> how hard a round's seeds were, and how far they told models apart."""
        found: Json = await self._ask("GET", _path("rounds", round_id, "signals"))
        return found

    async def rejudge(self, round_id: str, asked: Mapping[str, Any]) -> Round:
        """Start a round that judges that one's recorded answers again."""
        made: Round = await self._ask("POST", _path("rounds", round_id, "rejudge"), dict(asked))
        return made

    async def rejudge_estimate(self, round_id: str, asked: Mapping[str, Any]) -> Json:
        """What judging again would ask and cost."""
        path = _path("rounds", round_id, "rejudge", "estimate")
        found: Json = await self._ask("POST", path, dict(asked))
        return found

    async def changes(self, round_id: str) -> Json:
        """How many pairs of an older round change by the verdicts of the one that judged it again."""
        found: Json = await self._ask("GET", _path("rounds", round_id, "changes"))
        return found

    async def agent(self, name: str) -> Json:
        """One agent: its card, and what it was worth as a judge."""
        found: Json = await self._ask("GET", _path("agents", name))
        return found

    async def agents(self) -> list[Json]:
        return [row async for row in self._pages("/v1/agents", {}, None)]

    async def scenarios(self) -> list[Json]:
        return [row async for row in self._pages("/v1/scenarios", {}, None)]

    async def create_token(self, name: str, role: str, expires_in_s: float | None) -> Json:
        """Make a token for a caller; `token` of what comes back is told this once."""
        asked = {"name": name, "role": role, "expires_in_s": expires_in_s}
        made: Json = await self._ask("POST", "/v1/tokens", asked)
        return made

    async def tokens(self) -> list[Json]:
        """Every token that was made, without itself."""
        found: Json = await self._ask("GET", "/v1/tokens")
        return list(found["items"])

    async def revoke_token(self, token_id: str) -> Json:
        """Have it let nobody in any more."""
        found: Json = await self._ask("DELETE", _path("tokens", token_id))
        return found

    async def ready(self) -> bool:
        """Whether the control plane can work: database, schema and cluster are there."""
        async with self._stream("/readyz") as response:
            return response.is_success

    # Events

    async def events(
        self,
        round_id: str,
        *,
        after: int = 0,
        on_drop: OnDrop = unheard,
        on_back: OnBack = unheard,
        patience_s: float = 600.0,
    ) -> AsyncGenerator[Event, None]:
        """A round's events after id `after`, each once and in order, until a terminal one.

        A round that was resumed goes on after one: the server ends the stream with the last of them.
        A dropped connection is opened again where it broke, after a wait that doubles from 0.25 to
        10 s; `on_drop` is told, and `on_back` when it is open. Raises `SetupError` when nobody answers
        the first time, or later for `patience_s`; the API's own refusals are raised at once. Close it
        (`contextlib.aclosing`).
        """
        last, drops, heard, ended, lost = after, 0, None, False, False
        while True:
            connected, why = False, "the server closed the stream"
            try:
                async with aclosing(self._events_once(round_id, last)) as arriving:
                    async for event in arriving:
                        connected = True
                        if lost:
                            on_back(last)
                        lost = False
                        if event is None or event.id <= last:
                            continue
                        last, drops = event.id, 0
                        ended = event.kind in TERMINAL_EVENTS
                        yield event
            except _NothingMore:
                return
            except _Dropped as drop:
                why = str(drop)
            if ended:
                return
            now = time.monotonic()
            heard = now if connected else heard
            if heard is None:
                raise SetupError(why)
            if now - heard > patience_s:
                raise SetupError(f"no word of round {round_id!r} for {patience_s:g} s: {why}")
            delay_s = min(FIRST_DELAY_S * 2**drops, LONGEST_DELAY_S)
            drops, lost = min(drops + 1, 16), True
            on_drop(why, delay_s)
            await asyncio.sleep(delay_s)

    async def _events_once(self, round_id: str, last: int) -> AsyncGenerator[Event | None, None]:
        """`None` once connected, then events.

        Raises `_Dropped` where connecting again may help, `_NothingMore` where all has been told.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last:
            headers["Last-Event-ID"] = str(last)
        path, patient = _path("rounds", round_id, "events"), httpx.Timeout(SILENCE_S, connect=10.0)
        try:
            async with self._http.stream("GET", path, headers=headers, timeout=patient) as response:
                if response.status_code == 429 or response.status_code >= 500:
                    raise _Dropped(f"the server answered {response.status_code}")
                await _check(response)
                if response.status_code == 204:
                    raise _NothingMore
                yield None
                async for sse in EventSource(response).aiter_sse():
                    if sse.data:  # a blank line after a keep-alive is no event
                        yield _event(sse.id, sse.event, sse.data)
        except httpx.TransportError as error:
            raise _Dropped(_why(error, self.url)) from error
        except SSEError as error:
            raise SetupError(f"{self.url} does not stream events: {error}") from error

    # One request

    async def _ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The JSON that came back; errors as in `_check`. `timeout_s` is longer than the client's own."""
        options: dict[str, Any] = {} if timeout_s is None else {"timeout": timeout_s}
        async with self._stream(
            path, method, json=body, headers=headers, params=params, **options
        ) as response:
            await _check(response)
            try:
                return json.loads(await response.aread())
            except ValueError as error:
                raise SetupError(f"{self.url}{path} answered something else than JSON") from error

    async def _pages(
        self, path: str, query: Mapping[str, str], limit: int | None
    ) -> AsyncIterator[Any]:
        """Rows of a list, page after page, at most `limit`."""
        given, cursor = 0, None
        while limit is None or given < limit:
            page_size = 200 if limit is None else min(200, limit - given)
            params = {**query, "limit": str(page_size)} | ({"cursor": cursor} if cursor else {})
            page = await self._ask("GET", path, params=params)
            for row in page["items"]:
                yield row
            given, cursor = given + len(page["items"]), page.get("next")
            if not cursor:
                return

    @asynccontextmanager
    async def _stream(
        self, path: str, method: str = "GET", **options: Any
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, path, **options) as response:
                yield response
        except httpx.TransportError as error:
            raise SetupError(_why(error, self.url)) from error


def connect(settings: Settings) -> Client:
    """The control plane that the environment names. Raises `SetupError` where it names none."""
    if settings.url is None:
        raise SetupError("AAA_URL is not set; start a control plane with `aaa serve` and set it")
    return Client(settings.url, settings.token)


class _Dropped(Exception):
    """An event stream that may work again later."""


class _NothingMore(Exception):
    """The round has ended, and no event of it is new to us."""


def _event(id_: str, kind: str, data: str) -> Event:
    try:
        return Event(id=int(id_), kind=kind, data=json.loads(data))
    except ValueError as error:
        raise SetupError(f"event {id_!r} of kind {kind!r} is unreadable: {error}") from error


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why(error: httpx.TransportError, url: str) -> str:
    """A transport error in words that say what to do."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"nobody answers at {url}; start `aaa serve` there, or set AAA_URL to where it runs"
    if isinstance(error, httpx.TimeoutException):
        return f"{url} accepted the connection but stayed silent"
    return f"the connection to {url} broke: {error or type(error).__name__}"


async def _check(response: httpx.Response) -> None:
    """Raise what a refusal means; its words come from the problem document."""
    if response.is_success:
        return
    said, status = _problem(await response.aread()) or response.reason_phrase, response.status_code
    if status == 401:
        raise SetupError(f"the server wants a valid token ({said}); set AAA_TOKEN")
    if status == 403:
        raise SetupError(f"this token may not do that ({said}); use one with a higher role")
    if status == 503:
        raise SetupError(f"the server is not ready: {said}")
    kinds: dict[int, type[AAAError]] = {
        400: InputError,
        404: NotFound,
        409: Conflict,
        422: InputError,
    }
    raise kinds.get(status, AAAError)(
        said if status in kinds else f"the server said {status}: {said}"
    )


def _problem(body: bytes) -> str:
    """`detail` of a problem document (else `title`), with its list of errors where it has one."""
    try:
        problem = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(problem, dict):
        return ""
    said = str(problem.get("detail") or problem.get("title") or "")
    errors = problem.get("errors")
    listed = [_place(e) for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    return said + (f" ({'; '.join(listed)})" if listed else "")


def _place(error: Json) -> str:
    """One validation error as `place: message`, whatever the server calls the two."""
    loc = error.get("loc") or error.get("pointer") or error.get("field") or ""
    place = ".".join(str(part) for part in loc) if isinstance(loc, list) else str(loc)
    said = str(error.get("msg") or error.get("message") or error.get("detail") or "")
    return f"{place}: {said}" if place else said
