"""S3: secrets in the environment appear nowhere: no file, database, log, export, stream or screen has them.

Each secret is a canary of its own; it is looked for as it is, URL-encoded and base64-encoded at each of the
three places that it may have in a longer text. One model is reached by our own adapter, one by each of
LiteLLM's clients; the database wants (and ignores) a password; spans go to a collector that is away.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy.engine import make_url

from aaa.cluster.runtime import _temporary
from aaa.store.opening import start_embedded
from tests.acceptance.processes import AAA, Home, provider, started
from tests.acceptance.terminal import terminal
from tests.postgres import stop_embedded

SECRETS = {
    "AAA_CANARY_KEY": "sk-canary/own+Kq7~one%41",
    "OPENAI_API_KEY": "sk-canary/openai+Zt8~two%42",
    "ANTHROPIC_API_KEY": "sk-canary/anthropic+Wm9~three",
    "OPENROUTER_API_KEY": "sk-canary/openrouter+Vb6~four",
    "AAA_TOKEN": "canary/token+Xy5~five%43-of-the-operator",
    "DATABASE_URL": "canary/database+Lp4~six%44=seven",
    "OTEL_EXPORTER_OTLP_HEADERS": "canary/spans+Jt2~eight%45",
}
"""Variable -> what of its value is secret."""
WAYS = {"pupil": "openai", "tutor": "hosted_vllm", "referee": "litellm_proxy"}
"""Agent -> provider's part of its model id: our adapter, LiteLLM through its own client and OpenAI's."""
FAULTS = "401=first:1,model=tutor; 500=0.2,model=referee; drop=0.1,model=pupil; html=0.05"


def forms(secret: str) -> set[bytes]:
    """The secret as it may be written."""
    plain = secret.encode()
    found = {plain, quote(secret).encode(), quote(secret, safe="").encode()}
    for shift in range(3):  # what of the encoded text depends on nothing before or after it
        encoded = base64.b64encode(b"x" * shift + plain)
        found.add(encoded[(0, 2, 3)[shift] : len(encoded) - len(encoded) % 4 - 4])
        found.add(encoded[(0, 2, 3)[shift] : -4].replace(b"+", b"-").replace(b"/", b"_"))
    return {form for form in found if len(form) > 12}


NEEDLES = {name: forms(secret) for name, secret in SECRETS.items()}


def leaks(where: str, text: bytes) -> list[str]:
    return [
        f"{name} in {where}" for name, known in NEEDLES.items() for form in known if form in text
    ]


def test_the_search_finds_what_is_there() -> None:
    for name, secret in SECRETS.items():
        for text in (secret, quote(secret, safe=""), f"https://u:{quote(secret)}@host/"):
            assert leaks("here", text.encode()) == [f"{name} in here"] or leaks(
                "here", text.encode()
            )
        for before in ("", "u:", "xyz"):
            assert leaks("here", base64.b64encode(f"{before}{secret}:and more".encode()))
    assert leaks("here", b"nothing of the kind") == []


def environment(database: str) -> dict[str, str]:
    """The variables as a user sets them."""
    password = quote(SECRETS["DATABASE_URL"], safe="")
    header = quote(f"Bearer {SECRETS['OTEL_EXPORTER_OTLP_HEADERS']}", safe="")
    return SECRETS | {
        "DATABASE_URL": database.replace("postgres:@", f"postgres:{password}@"),
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-dataset=small,authorization={header}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }


@pytest.fixture
def guarded(home: Home) -> Iterator[Home]:
    """A home whose database has a password."""
    url = start_embedded(home.home)
    home.env |= environment(url)
    assert SECRETS["DATABASE_URL"] == make_url(home.env["DATABASE_URL"]).password
    try:
        home.aaa("db", "upgrade")
        yield home
    finally:
        stop_embedded(home.home)


def test_secrets_appear_nowhere(guarded: Home) -> None:
    home = guarded
    said: dict[str, bytes] = {}
    with provider(home, FAULTS) as base:
        for name, family in (("pupil", "birch"), ("tutor", "oak"), ("referee", "elm")):
            model = f"{WAYS[name]}/{name}"
            home.card(name, base, family, api_key_env="AAA_CANARY_KEY", model=model)
        home.scenario("small", 4, judging={"play": "pairwise"})
        with started([AAA, "serve", "--port", "0"], home) as process:
            url = process.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
            env = {"AAA_URL": url}
            headers = {"Authorization": f"Bearer {SECRETS['AAA_TOKEN']}"}
            with httpx.Client(base_url=url, headers=headers, timeout=60) as api:
                round_id = api.post("/v1/rounds", json={"scenario": "small"}).json()["id"]
                with terminal([AAA, "watch", round_id], home.env | env, home.place) as screen:
                    for _ in range(20):  # each wrong key pauses the round
                        if screen.wait_for(r"● (paused|completed)", 120)[1] == "completed":
                            break
                        screen.press("r")
                        screen.read_some(2)
                    screen.wait_for(r"● completed")
                    screen.press("t")
                    screen.read(1.5)
                    screen.press("q")
                    screen.end()
                    said["the terminal"] = screen.written
                for path in (
                    f"/v1/rounds/{round_id}/events", f"/v1/rounds/{round_id}/sessions",
                    f"/v1/rounds/{round_id}/pairs?format=canonical", "/v1/agents", "/v1/gates",
                    "/v1/sessions/1", "/metrics", "/readyz", "/openapi.json", "/v1/tokens",
                ):  # fmt: skip
                    said[path] = api.get(path).content
                said["an error"] = api.post("/v1/rounds", content=b"{").content
                said["a guess"] = httpx.get(f"{url}/v1/rounds?token=x", timeout=60).content
            httpx.post(f"{base}/_faults", content="401=1").raise_for_status()
            for command in (
                ("agents", "ls"), ("agents", "check", *WAYS), ("doctor",), ("db", "status"),
                ("rounds", "show", round_id, "--json"),
            ):  # fmt: skip
                done = home.run(*command, **env)
                said[" ".join(command)] = (done.stdout + done.stderr).encode()
            for broken in ("127.0.0.1:9/aaa", "127.0.0.1:x/aaa", "127.0.0.1/aaa?nonsense=1"):
                url = f"postgresql://me:{quote(SECRETS['DATABASE_URL'], safe='')}@{broken}"
                done = home.run("rounds", "ls", DATABASE_URL=url)
                assert "error: " in done.stderr
                said[broken] = (done.stdout + done.stderr).encode()
            files = [path for path in home.home.rglob("*") if path.is_file()]
            found = [leak for path in files for leak in leaks(str(path), _bytes(path))]
            rays = [path for path in _temporary(home.home).rglob("*") if path.is_file()]
            found += [leak for path in rays for leak in leaks(str(path), _bytes(path))]
            assert len(rays) > 5
        said["what the server said"] = "".join(process.said + process.printed).encode()
    told_back = b"Incorrect API key provided: [redacted]"
    assert told_back in said[f"/v1/rounds/{round_id}/events"]
    assert said["agents check pupil tutor referee"].count(told_back) == 3
    found += [leak for where, text in said.items() for leak in leaks(where, text)]
    files = [path for path in home.home.rglob("*") if path.is_file()]
    assert len(files) > 500  # the database's own are among them
    found += [leak for path in files for leak in leaks(str(path), _bytes(path))]
    assert found == []


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the database removes files of its own
        return b""
