"""Secrets go, in every encoding; words stay."""

import base64
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.models.redact import MASK, brief, named, redact, secrets_in

KEY = "canary/KEY+with=odd&chars 0123456789"


@pytest.mark.parametrize(
    "hidden",
    [
        KEY,
        quote(KEY, safe=""),
        quote_plus(KEY),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
        base64.b64encode(f"u:{KEY}".encode()).decode(),
        base64.b64encode(f"user:{KEY} and more".encode()).decode(),
    ],
)
def test_a_known_value_goes_in_every_encoding(hidden: str) -> None:
    told = redact(f"failed with {hidden} at noon", [KEY])
    assert MASK in told
    assert "canary" not in told
    assert hidden not in told
    assert told.startswith("failed with ")


@given(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789-_/+", min_size=12, max_size=60),
    st.binary(max_size=7),
    st.binary(max_size=7),
)
def test_base64_hides_no_key_at_any_alignment(key: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + key.encode() + after).decode()
    clean = redact(encoded, [key])
    assert MASK in clean
    left = clean.replace(MASK, "")
    assert len(left) <= len(encoded) - len(key)  # what stands around the key, and bits they share


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Incorrect API key provided: sk-proj-abcdef123456", "abcdef"),
        ("Incorrect key sk-ab***********yz", "yz"),
        ("Authorization: Bearer abc.def-ghi_jkl", "abc.def"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", "dXNl"),
        ('{"api_key": "0123456789abcdef"}', "0123"),
        ("x-api-key=0123456789abcdef&a=b", "0123"),
        ("GET https://host.example/v1/chat?key=topsecret&x=1 failed", "topsecret"),
        ("see https://user:topsecret@host.example/path", "topsecret"),
        ("postgresql://aaa:topsecret@db:5432/aaa", "topsecret"),
        ("key AIzaSyA1234567890abcdefghijklmnop", "SyA12"),
        ("token hf_abcdefghijklmnop", "abcdefgh"),
        ("aws AKIAIOSFODNN7EXAMPLE", "IOSFOD"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJ"),
    ],
)
def test_an_unknown_secret_goes_by_its_shape(text: str, gone: str) -> None:
    told = redact(text)
    assert gone not in told
    assert MASK in told


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4096 tokens.",
        "Connection error to https://host.example/v1/chat/completions",
        "rate limit reached for requests per min (RPM): limit 3",
        "key 'temperature': must be below 2",
    ],
)
def test_ordinary_messages_stay(text: str) -> None:
    assert redact(text, ["abc", "", None]) == text


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("MY_API_KEY", "abcdef", {"abcdef"}),
        ("PGPASSWORD", "abcdef", {"abcdef"}),
        ("DATABASE_URL", "postgresql://me:ab%40cd/ef@h:1/d", {"ab%40cd/ef", "ab@cd/ef"}),
        ("DATABASE_URL", "postgresql://h/d?user=u&password=ab%2Bcd&x=y", {"ab%2Bcd", "ab+cd"}),
        ("DATABASE_URL", "postgresql://postgres:postgres@h/d", set()),  # hides nothing
        ("HTTPS_PROXY", "http://u:abcdef@proxy:3128", {"abcdef"}),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "authorization=Bearer%20ab+cd, x-api-key=efghij",
            {"Bearer%20ab+cd", "Bearer ab+cd", "ab+cd", "efghij"},
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/v1", set()),
        ("HOME", "/home/somebody", set()),
        ("EMPTY_KEY", "", set()),
    ],
)
def test_what_is_secret_in_the_environment(name: str, value: str, secrets: set[str]) -> None:
    assert set(secrets_in({name: value})) == secrets


def test_brief_redacts_before_it_cuts() -> None:
    told = brief("x" * 290 + " " + KEY, [KEY])
    assert len(told) <= 300
    assert "canary" not in told


def test_brief_is_one_line() -> None:
    assert brief("a\n  b\tc") == "a b c"


def test_what_a_database_cannot_hold_is_taken_out() -> None:
    """A NUL in a name or a message of a provider must not cost the session that it came in."""
    assert named("a\0b\ud800c") == "a\ufffdb\ufffdc"
    assert named("\U0001f680") == "\U0001f680"
    assert (named(None), named(7), len(named("x" * 1000))) == ("", "7", 200)
    assert brief("HTTP 500: \0 and \udfff") == "HTTP 500: \ufffd and \ufffd"
