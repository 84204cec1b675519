"""Safe by default (S8), as an operator has it: no token, no other machine; and roles at the command line."""

import re
from pathlib import Path

import httpx

from tests.acceptance.processes import AAA, Home, started


def test_other_machines_are_served_only_where_there_is_a_token(home: Home) -> None:
    serve = ("serve", "--host", "0.0.0.0", "--port", "0", "--no-supervisor")
    refused = home.run(*serve)
    assert refused.returncode == 3
    assert "aaa tokens create" in refused.stderr
    admin = home.aaa("tokens", "create", "--role", "admin", "--name", "me").strip()
    assert re.fullmatch(r"aaa_[\w-]{43}", admin)
    viewer = home.aaa(
        "tokens", "create", "--role", "viewer", "--name", "you", "--days", "1"
    ).strip()
    with started([AAA, *serve], home) as process:
        port = process.wait_for(r"listens on http://0\.0\.0\.0:(\d+)").group(1)
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/v1/rounds").status_code == 401
        env = {"AAA_URL": url, "AAA_TOKEN": viewer}
        assert '"items": []' in _run(home, env, "rounds", "ls", "--json")
        assert "role 'operator'" in _run(home, env, "rounds", "pause", "r", expect=3)
        assert "role 'admin'" in _run(home, env, "tokens", "ls", expect=3)
        mine = {"AAA_URL": url, "AAA_TOKEN": admin}
        listed = _run(home, mine, "tokens", "ls", "--json")
        assert viewer not in listed
        assert admin not in listed
        found = re.search(r'"id": "(t-\w+)",\s+"name": "you"', listed)
        assert found is not None
        _run(home, mine, "tokens", "revoke", found[1])
        assert "valid token" in _run(home, env, "rounds", "ls", expect=3)
    said = "".join(process.said + process.printed)
    assert admin not in said
    assert viewer not in said
    files = [path for path in home.home.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if admin.encode() in _bytes(path)] == []


def _run(home: Home, env: dict[str, str], *arguments: str, expect: int = 0) -> str:
    done = home.run(*arguments, **env)
    assert done.returncode == expect, done.stderr
    return done.stdout if expect == 0 else done.stderr


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the database removes files of its own
        return b""
