"""Taking secrets out of text that others wrote, before it is logged, stored or shown.

Known values are found as they are, URL-encoded, and in base64 at any alignment; unknown ones by the
shapes that keys, bearer tokens and URLs have. Left out: model text, which is nobody's error message.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from aaa.clean import storable

MASK = "[redacted]"
LONGEST_NAME = 200
"""Characters that are kept of an identifier which a provider made up."""
SHORTEST_SECRET = 6
"""Shorter values are left alone: masking them would eat ordinary words."""

_SECRET_NAME = re.compile(r"(?i)(key|token|secret|password)$")
_HEADERS_NAME = re.compile(r"(?i)_headers$")
_PASSWORD = re.compile(r"://([^:@/\s]*):([^@\s]+)@")  # as SQLAlchemy reads it
_PASSWORD_OPTION = re.compile(r"(?i)[?&]\w*password=([^&#\s]+)")

# Each repetition that may fail is bounded: a long text must not take its length squared.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)[^\s/@\"'<>]+@"), rf"\1{MASK}@"),
    (re.compile(r"(?i)\b(https?://[^\s?#\"'<>`]{1,2000})[?#][^\s\"'<>`]*"), rf"\1?{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=*-]{6,}"), rf"\1 {MASK}"),
    (
        re.compile(
            r"(?i)((?:api[_-]?key|authorization|secret|password|access[_-]?token))"
            r"(\\?[\"']?\s*[:=]\s*\\?[\"']?)(?!\[redacted|(?:bearer|basic)\s)[^\s\"',;&)}\\]{4,}"
        ),
        rf"\1\2{MASK}",
    ),
    (
        re.compile(
            r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|pplx|tgp|fw|csk|r8|ghp|gho|glpat)[-_][\w*.-]{6,}"
            r"|\bAIza[\w-]{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
            r"|\beyJ[\w-]{8,4000}\.[\w-]{8,}(?:\.[\w-]*)?"
        ),
        MASK,
    ),
)


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """`text` without the values in `secrets`, in any usual encoding, and without what looks secret."""
    forms = {form for secret in secrets if secret for form in encodings(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    for shape, mask in _SHAPES:
        text = shape.sub(mask, text)
    return text


def places(url: str | None) -> Iterator[str]:
    """How an error may name the server at that URL: what `redact` is to take out for who may not know it."""
    if url is not None:
        yield url.rstrip("/")
        with suppress(ValueError):  # no URL at all
            parts = urlsplit(url)
            yield from (parts.netloc, parts.hostname or "")


def secrets_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of all variables whose names say that they are secret, and what is secret within others:
    passwords of URLs (`DATABASE_URL`, proxies), values of headers (`OTEL_EXPORTER_OTLP_HEADERS`).
    """
    found: dict[str, None] = {}
    for name, value in environ.items():
        if _SECRET_NAME.search(name):
            found[value] = None
        elif _HEADERS_NAME.search(name):
            found |= dict.fromkeys(_of_headers(value))
        elif "://" in value:
            found |= dict.fromkeys(_of_url(value))
    return tuple(filter(None, found))


def _of_url(url: str) -> Iterator[str]:
    """Its passwords, as written and as meant. One that is the user's name is no secret."""
    for user, password in _PASSWORD.findall(url):
        if password != user:
            yield from (password, unquote(password))
    for password in _PASSWORD_OPTION.findall(url):
        yield from (password, unquote_plus(password))


def _of_headers(headers: str) -> Iterator[str]:
    """The values of `name=value,name=value`, as written and as meant, and without `Bearer` or `Basic`."""
    for pair in headers.split(","):
        value = pair.partition("=")[2].strip()
        for said in (value, unquote(value)):
            yield said
            yield said.partition(" ")[2]


def brief(text: str, secrets: Iterable[str | None] = (), limit: int = 300) -> str:
    """One redacted line of at most `limit` characters. Cut last, so that no half secret survives."""
    line = " ".join(redact(storable(text), secrets).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def named(value: object) -> str:
    """An identifier as a provider gives it: bounded, and storable; empty where there is none."""
    return "" if value is None else storable(str(value))[:LONGEST_NAME]


def encodings(secret: str) -> Iterator[str]:
    """How a secret may stand in a text: raw, stripped, URL-encoded, JSON-escaped, base64."""
    for value in {secret, secret.strip()}:
        if len(value) < SHORTEST_SECRET:
            continue
        yield value
        yield quote(value, safe="")
        yield quote_plus(value)
        yield value.encode("unicode_escape").decode("ascii")
        yield from _base64_forms(value.encode())


def _base64_forms(value: bytes) -> Iterator[str]:
    """The part of its base64 that does not depend on what stands before or after it."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).decode("ascii")
        start = (before * 8 + 5) // 6  # first character made of the value's bits alone
        end = (before + len(value)) * 8 // 6
        core = encoded[start:end]
        if len(core) >= SHORTEST_SECRET:
            yield core
            yield core.replace("+", "-").replace("/", "_")
