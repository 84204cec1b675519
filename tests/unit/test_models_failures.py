"""What a chain of errors says, with errors made up to look like those of the libraries."""

import builtins
from datetime import UTC, datetime
from itertools import pairwise

import httpx
import pytest

from aaa.errors import FailureKind
from aaa.models.failures import kind_of_status, parse_retry_after, read_failure, told_by

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


def made(module: str, name: str, text: str = "x", **fields: object) -> Exception:
    """An error that claims to be `module.name`."""
    error: Exception = type(name, (Exception,), {"__module__": module})(text)
    for key, value in fields.items():
        setattr(error, key, value)
    return error


def chained(*errors: BaseException) -> BaseException:
    """The first error, come from the second, and so on."""
    for outer, inner in pairwise(errors):
        outer.__context__ = inner
    return errors[0]


def refused(status: int, **headers: str) -> Exception:
    response = httpx.Response(status, headers=headers)
    return made("openai", "APIStatusError", status_code=status, response=response)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "bad", "invalid"),
        (400, "maximum context length is 10", "context_overflow"),
        (400, "flagged by our moderation", "content_filter"),
        (400, "Your credit balance is too low to access the Anthropic API.", "auth"),
        (400, "API key not valid. Please pass a valid API key.", "auth"),
        (400, '[{"error": {"details": [{"reason": "API_KEY_INVALID"}]}}]', "auth"),
        (400, "Incorrect API key provided: xa***rd.", "auth"),
        (400, '{"error": {"code": "billing_hard_limit_reached"}}', "auth"),
        (422, '{"input": "invalid api key"}', "invalid"),
        (429, '{"error": {"code": "insufficient_quota"}}', "auth"),
        (429, "You exceeded your current quota, please check your plan", "rate_limited"),
        (401, "no", "auth"),
        (402, "no credits", "auth"),
        (403, "no", "auth"),
        (403, "content policy", "content_filter"),
        (404, "no", "not_found"),
        (408, "late", "timeout"),
        (413, "large", "invalid"),
        (422, "extra field", "invalid"),
        (429, "slow", "rate_limited"),
        (500, "context length", "server"),
        (502, "bad gateway", "dropped"),
        (503, "busy", "server"),
        (504, "gateway timeout", "timeout"),
        (520, "unknown error", "dropped"),
        (522, "connection timed out", "timeout"),
        (524, "a timeout occurred", "timeout"),
        (529, "overloaded", "server"),
    ],
)
def test_statuses(status: int, text: str, kind: FailureKind) -> None:
    assert kind_of_status(status, text) == kind


def test_the_real_status_beats_what_litellm_made_of_it() -> None:
    made_up = made("litellm.exceptions", "BadRequestError", status_code=400)
    assert read_failure(chained(made_up, refused(401))).kind == "auth"


def test_an_error_code_that_litellm_dropped_is_read_further_in() -> None:
    told = made("litellm.exceptions", "RateLimitError", "You exceeded your current quota")
    assert read_failure(chained(told, refused(429))).kind == "rate_limited"
    inner = made(
        "litellm.llms.openai.common_utils", "OpenAIError", "{'code': 'insufficient_quota'}"
    )
    assert read_failure(chained(told, inner, refused(429))).kind == "auth"


def test_a_made_up_response_is_no_witness() -> None:
    made_up = made(
        "litellm.exceptions",
        "InternalServerError",
        status_code=500,
        response=httpx.Response(500),
    )
    inner = made("httpx", "ConnectError")
    assert read_failure(chained(made_up, inner)) == ("unreachable", None, None)


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        (made("httpx", "ConnectError"), "unreachable"),
        (made("aiohttp.client_exceptions", "ServerDisconnectedError"), "dropped"),
        (made("httpx", "ReadTimeout"), "timeout"),
        (TimeoutError(), "timeout"),
        (ValueError("Expecting value: line 1"), "malformed"),
        (made("litellm.llms.openai.common_utils", "OpenAIError", status_code=502), "dropped"),
        (made("litellm.llms.openai.common_utils", "OpenAIError", status_code=429), "rate_limited"),
        (made("litellm.llms.openai.common_utils", "OpenAIError", status_code=422), "server"),
    ],
)
def test_without_a_response_the_innermost_witness_counts(
    inner: Exception, kind: FailureKind
) -> None:
    outer = made("litellm.exceptions", "InternalServerError", status_code=500)
    assert read_failure(chained(outer, inner)).kind == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ContextWindowExceededError", "context_overflow"),
        ("ContentPolicyViolationError", "content_filter"),
        ("UnsupportedParamsError", "invalid"),
        ("AuthenticationError", "auth"),
        ("SomethingNew", "malformed"),
    ],
)
def test_litellms_own_judgement_comes_last(name: str, kind: FailureKind) -> None:
    assert read_failure(made("litellm.exceptions", name)).kind == kind


def test_retry_after_is_read_from_the_providers_headers() -> None:
    error = chained(
        made("litellm.exceptions", "RateLimitError"), refused(429, **{"retry-after": "7"})
    )
    assert read_failure(error) == ("rate_limited", 429, 7.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Tue, 01 Jan 2030 12:00:30 GMT", 30.0),
        ("Tue, 01 Jan 2030 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_a_loop_of_causes_ends() -> None:
    one, two = builtins.Exception("one"), builtins.Exception("two")
    one.__context__, two.__context__ = two, one
    assert read_failure(one).kind == "malformed"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("litellm.InternalServerError: InternalServerError: OpenAIException - boom", "boom"),
        ("litellm.BadRequestError: AnthropicException - no. Handle with `litellm.X`.", "no."),
        (
            "litellm.APIConnectionError: 'content'\nTraceback (most recent call last):\n f",
            "'content'",
        ),
        ("host h:1 ssl:<ssl.SSLContext object at 0x7f> [refused]", "host h:1 [refused]"),
        ("", "ValueError"),
    ],
)
def test_the_wrapping_goes(text: str, told: str) -> None:
    assert told_by(ValueError(text)) == told
