"""Why a call through LiteLLM failed, read from its chain of errors. LiteLLM is not imported here.

LiteLLM sorts errors by words in their text and makes up statuses (500 for a refused connection, an
InternalServerError for a body it cannot read), so the innermost witness is believed first: the
provider's real status, then the socket, then LiteLLM's own judgement.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from aaa.errors import FailureKind

OVERFLOW = re.compile(
    r"(?i)context[ _-]?(?:length|window|size)|maximum context|exceed_context_size"
    r"|prompt is too long|too many (?:input )?tokens|input is too long"
)
UNUSABLE = re.compile(
    r"(?i)credit balance is too low|[\"']insufficient_quota[\"']|billing[_ ]hard[_ ]limit"
    r"|API_KEY_INVALID|api key not valid|(?:incorrect|invalid) api key"
)
"""An account without money, or a key that is none, where the status says otherwise: Anthropic, Google and xAI
answer 400, OpenAI 429. Google's "exceeded your current quota" is a rate limit."""
FILTERED = re.compile(
    r"(?i)content[ _-]?(?:policy|filter|management)|safety system|usage policy|flagged|moderation"
)

REDIRECTED = "it redirects, which is not followed: `api_base` must name the server itself"

BROKEN = frozenset({"abort", "error"})
"""How vLLM and SGLang, and OpenRouter, name the end of a generation that failed on their side."""

_BEHIND_A_PROXY: Mapping[int, FailureKind] = {
    502: "dropped",
    504: "timeout",
    520: "dropped",
    522: "timeout",
    524: "timeout",
}
"""A proxy's word that no answer came from behind it, where the model may have worked (52x: Cloudflare)."""

_BY_NAME: Mapping[str, FailureKind] = {
    "ContextWindowExceededError": "context_overflow",
    "ContentPolicyViolationError": "content_filter",
    "RejectedRequestError": "content_filter",
    "Timeout": "timeout",
    "APITimeoutError": "timeout",
    "AuthenticationError": "auth",
    "PermissionDeniedError": "auth",
    "PaymentRequiredError": "auth",
    "NotFoundError": "not_found",
    "RateLimitError": "rate_limited",
    "UnsupportedParamsError": "invalid",
    "LiteLLMUnknownProvider": "not_found",
    "APIResponseValidationError": "malformed",
    "JSONSchemaValidationError": "malformed",
    "APIError": "malformed",
    "BadRequestError": "invalid",
    "UnprocessableEntityError": "invalid",
}
"""What LiteLLM's own error classes say, where no better witness is."""

_TIMEOUTS = frozenset(
    {
        "TimeoutError",
        "ConnectTimeout",
        "ReadTimeout",
        "WriteTimeout",
        "PoolTimeout",
        "ServerTimeoutError",
        "SocketTimeoutError",
        "ConnectionTimeoutError",
    }
)
_REFUSED = frozenset(
    {
        "ConnectError",
        "ProxyError",
        "SSLError",
        "SSLCertVerificationError",
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ClientConnectorSSLError",
        "ClientConnectorCertificateError",
        "ClientProxyConnectionError",
        "ConnectionRefusedError",
        "gaierror",
    }
)
"""No connection: nothing was sent."""
_DROPPED = frozenset(
    {
        "ReadError",
        "WriteError",
        "CloseError",
        "RemoteProtocolError",
        "ClientOSError",
        "ClientPayloadError",
        "ServerDisconnectedError",
        "ConnectionResetError",
        "BrokenPipeError",
        "IncompleteRead",
    }
)
"""The connection ended before a full answer: the request may have been served."""
_FOREIGN = ("httpx", "openai", "aiohttp")
"""Packages whose errors carry the provider's real response; LiteLLM's carry made-up ones."""


_NOISE = re.compile(
    r"(?:\b(?:litellm\.)?[A-Z]\w*(?:Error|Timeout)\s*:\s*|\b\w+Exception - )"
    r"|\s*\bssl:(?:<[^>]*>|default\b)"
    r"|\s*Handle with `litellm[^`]*`\.?|\s*Traceback \(most recent call last\).*",
    re.DOTALL,
)
"""LiteLLM's wrapping around what the provider said: class names, advice, its own traceback."""


class Finding(NamedTuple):
    """What a chain of errors says."""

    kind: FailureKind
    status: int | None
    """The provider's real HTTP status; `None` where no response came."""
    retry_after_s: float | None


def read_failure(error: BaseException, now: datetime | None = None) -> Finding:
    """Kind, status and `Retry-After` of an error raised by LiteLLM."""
    chain = list(_chain(error))
    status, headers = _response(chain)
    retry_after_s = parse_retry_after(headers.get("retry-after"), now)
    kind = _kind(chain, status)
    return Finding(kind, status, retry_after_s)


def told_by(error: BaseException) -> str:
    """What the error says, without LiteLLM's wrapping. Not redacted."""
    return _NOISE.sub("", str(error)).strip() or type(error).__name__


def kind_of_status(status: int, text: str) -> FailureKind:
    """What an HTTP status that is no success means; `text` tells the kinds of a 400 apart, and of a 429."""
    if status < 400:
        return "malformed"
    if status in (400, 429) and UNUSABLE.search(text):
        return "auth"
    if status in (401, 402, 403):
        return "content_filter" if status == 403 and FILTERED.search(text) else "auth"
    if status == 404:
        return "not_found"
    if status == 408:
        return "timeout"
    if status == 429:
        return "rate_limited"
    if status >= 500:
        return _BEHIND_A_PROXY.get(status, "server")
    if OVERFLOW.search(text):
        return "context_overflow"
    return "content_filter" if FILTERED.search(text) else "invalid"


def broken_off(finish_reason: object, error: object = None) -> str | None:
    """Why a completion is no answer although it came with a 200; `None` where it is one."""
    ended = error or (finish_reason if str(finish_reason).lower() in BROKEN else None)
    return f"the provider broke off: {ended}" if ended else None


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from a `Retry-After` header (a number or an HTTP date), never negative."""
    if value is None:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from, innermost last."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < 30:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _response(chain: list[BaseException]) -> tuple[int | None, Mapping[str, str]]:
    """Status and headers of the provider's own response."""
    for error in reversed(chain):
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int) and status >= 300 and _package(error) in _FOREIGN:
            return status, getattr(response, "headers", {})
    return None, {}


def _kind(chain: list[BaseException], status: int | None) -> FailureKind:
    names = [type(error).__name__ for error in chain]
    text = "\n".join(map(str, chain))  # the outermost has lost the provider's error code
    if status is not None:
        return kind_of_status(status, text)
    for name in reversed(names):  # LiteLLM calls a reset of the connection a ConnectError
        if name in _REFUSED or name in _DROPPED:
            return "unreachable" if name in _REFUSED else "dropped"
    if any(name in _TIMEOUTS for name in names):
        return "timeout"
    claimed = _claimed_status(chain)
    if claimed == 422:  # what LiteLLM writes for an error in a 200 that gives no code
        return "server"
    if claimed is not None and claimed != 500:  # 500: it knows none at all
        return kind_of_status(claimed, text)
    return next((_BY_NAME[name] for name in names if name in _BY_NAME), "malformed")


def _claimed_status(chain: list[BaseException]) -> int | None:
    """Status on an error of LiteLLM's provider code that has no response to show for it."""
    for error in reversed(chain):
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and status >= 400 and ".llms." in type(error).__module__:
            return status
    return None


def _package(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]
