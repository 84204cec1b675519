"""The provider itself: routes requests, decides what each meets, and can be changed while it runs.

`serve` runs one inside a program (tests), `process.py` one in a process of its own. One process and one
event loop on purpose: attempts, limits and counts are exact only where there is one of each.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from aaa.errors import InputError, SetupError
from aaa.provider.delivery import Delivery, Refusal, deliver, error, http, rejected
from aaa.provider.faults import AT_ONCE, Attempt, Faults
from aaa.provider.grammar import parse_faults
from aaa.provider.judging import Bias, parse_bias
from aaa.provider.ledger import Ledger, Record
from aaa.provider.limiter import Limiter
from aaa.provider.replies import CREATED, Refused, Request, answer, read_request
from aaa.provider.skills import Skills, parse_skills, skill_of
from aaa.provider.wire import Connection, Incoming

Over = Callable[[bool], None]


class Provider:
    """A stub that listens; everything it knows is here and gone with it."""

    def __init__(
        self, seed: int, faults: str, bias: Bias, log: Path | None, skills: Skills | None = None
    ) -> None:
        self.seed = seed
        self.bias = bias
        self.skills = skills or {}
        self.ledger = Ledger(log)
        self.peers: set[Connection] = set()
        self.address: tuple[str, int] = ("", 0)
        self._attempts: Counter[str] = Counter()
        self._started_s = time.monotonic()
        self.set_faults(faults)

    @property
    def url(self) -> str:
        """Where it listens, as `http://127.0.0.1:PORT`."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def base_url(self) -> str:
        """What a card's `api_base` says."""
        return f"{self.url}/v1"

    def set_faults(self, spec: str) -> None:
        """From now on these faults, and no others. Raises `InputError`."""
        self._faults: Faults = parse_faults(spec)
        self.faults = spec
        self._limiter = Limiter(self._faults.limits)

    def reset(self) -> None:
        """Forget attempts, counts, records in memory, used limits and the time; keep the faults."""
        self.ledger.reset()
        self._attempts.clear()
        self._started_s = time.monotonic()
        self._limiter = Limiter(self._faults.limits)

    def stats(self) -> dict[str, Any]:
        """Counts by status, fault and model; in flight, and the most that ever were."""
        return self.ledger.stats()

    def log(self, since: int = 0) -> list[Record]:
        """The records after number `since`."""
        return self.ledger.records(since)

    def handle(self, incoming: Incoming) -> tuple[Delivery, Over | None]:
        """How to answer one request."""
        path = incoming.path.removeprefix("/v1")
        if incoming.method == "POST" and path == "/chat/completions":
            return self._complete(incoming)
        route = {
            ("GET", "/models"): self._models,
            ("GET", "/healthz"): lambda _: _ok({"status": "ok"}),
            ("GET", "/_stats"): lambda _: _ok(self.stats()),
            ("GET", "/_log"): self._log,
            ("GET", "/_faults"): lambda _: _ok({"faults": self.faults}),
            ("POST", "/_faults"): self._change_faults,
            ("POST", "/_reset"): self._reset,
        }.get((incoming.method, path))
        if route is None:
            message = f"Unknown request URL: {incoming.method} {incoming.path}."
            data = error(Refusal(404, message, "invalid_request_error", "unknown_url"))
        else:
            data = route(incoming)
        return Delivery(None, ((0.0, data),)), None

    def _complete(self, incoming: Incoming) -> tuple[Delivery, Over]:
        """One chat completion, on the record before anything is sent."""
        n = self.ledger.begin()
        now_s = time.monotonic()
        key, body = _keyed(incoming.body)
        self._attempts[key] += 1
        model = body.get("model") if isinstance(body, dict) else None
        attempt = Attempt(key, self._attempts[key], n, now_s - self._started_s, str(model))
        over: Over = self.ledger.over
        headers = {"x-request-id": f"req-{n}"}
        fault: str | None = None
        try:
            request = read_request(body, incoming.headers.get("authorization", ""))
        except Refused as problem:
            refused = Refusal(400, str(problem), "invalid_request_error")
            delivery = Delivery(400, ((0.0, error(refused, headers)),))
        else:
            delivery, fault, over = self._decided(request, attempt, now_s, headers)
        self.ledger.write(
            {
                "n": n,
                "t": now_s,
                "wall": time.time(),
                "key": key,
                "attempt": attempt.attempt,
                "model": model if isinstance(model, str) else None,
                "fault": fault,
                "status": delivery.status,
                "call": incoming.headers.get("x-aaa-call"),
                "in_flight": self.ledger.in_flight,
                "delay_s": None if delivery.end == "never" else sum(p[0] for p in delivery.pieces),
            }
        )
        return delivery, over

    def _decided(
        self, request: Request, attempt: Attempt, now_s: float, headers: dict[str, str]
    ) -> tuple[Delivery, str | None, Over]:
        """The answer, the fault in it, and whom to tell when it is over."""
        wait = self._limiter.admit(request.model, now_s)
        if wait is not None:
            return rejected(request, wait, headers), "limit", self.ledger.over
        rule = self._faults.strike(attempt, self.seed)
        fault = None if rule is None else rule.fault
        latency_s = 0.0 if fault in AT_ONCE else self._faults.latency_s(attempt, self.seed)
        said = answer(request, self.bias, skill_of(self.skills, request.model))
        reply_id = f"chatcmpl-{attempt.key[:24]}"
        delivery = deliver(request, said, reply_id, latency_s, rule, headers)
        return delivery, fault, partial(self._over, self._limiter, request.model)

    def _over(self, limiter: Limiter, model: str, sent: bool) -> None:
        limiter.release(model)
        self.ledger.over(sent)

    def _models(self, _: Incoming) -> bytes:
        names = ("stub", "stub-small", "stub-judge")
        head = {"object": "model", "created": CREATED, "owned_by": "aaa"}
        return _ok({"object": "list", "data": [{"id": name, **head} for name in names]})

    def _log(self, incoming: Incoming) -> bytes:
        since = incoming.query.get("since", "0")
        try:
            return http(200, self.ledger.lines(int(since)), "application/x-ndjson")
        except ValueError:
            return error(Refusal(400, f"since={since!r} is no number", "invalid_request_error"))
        except LookupError as problem:
            return error(Refusal(410, str(problem.args[0]), "invalid_request_error"))

    def _change_faults(self, incoming: Incoming) -> bytes:
        try:
            self.set_faults(incoming.body.decode("utf-8"))
        except (InputError, UnicodeDecodeError) as problem:
            return error(Refusal(400, str(problem), "invalid_request_error"))
        return _ok({"faults": self.faults})

    def _reset(self, _: Incoming) -> bytes:
        self.reset()
        return _ok({"status": "ok"})


@asynccontextmanager
async def serve(
    *,
    faults: str = "",
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 0,
    judge: str = "",
    skills: str = "",
    log: Path | None = None,
) -> AsyncIterator[Provider]:
    """A provider that listens until the block ends; port 0 takes a free one.

    Raises `InputError` for faults, judge or skills that cannot be read, `SetupError` where it cannot listen.
    """
    provider = Provider(seed, faults, parse_bias(judge), log, parse_skills(skills))
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: Connection(provider.handle, provider.peers), host, port, backlog=4096
        )
    except OSError as problem:
        provider.ledger.close()
        raise SetupError(
            f"cannot listen on {host}:{port}: {problem.strerror}; choose another --port, or 0"
        ) from problem
    provider.address = server.sockets[0].getsockname()[:2]
    try:
        yield provider
    finally:
        server.close()
        for peer in list(provider.peers):
            await peer.close()
        await server.wait_closed()
        provider.ledger.close()


def request_key(body: object) -> str:
    """The key under which a JSON body is logged: SHA-256 of it with sorted keys."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _keyed(data: bytes) -> tuple[str, object]:
    """Key and parsed body; what is no JSON has the hash of its bytes for a key."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return hashlib.sha256(data).hexdigest(), None
    return request_key(body), body


def _ok(value: object) -> bytes:
    return http(200, orjson.dumps(value))
