"""What the command line does with errors that nobody raised on purpose: one line, and no secret."""

import logging
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from aaa import cli
from aaa.client import Client
from aaa.dashboard.app import Dashboard
from tests.helpers.hostile import forbidden

KEY = "canary/of+the~key=42"
PASSWORD = "canary/of the=database"
FORMS = tuple(
    form
    for secret in (KEY, PASSWORD)
    for form in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("="))
)
ENVIRONMENT = {
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{quote(KEY, safe='')}",
    "DATABASE_URL": f"postgresql://me:{quote(PASSWORD, safe='')}@127.0.0.1:9/aaa",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name, value in (ENVIRONMENT | {"AAA_HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AAA_LOG_FILE", raising=False)
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in [one for one in root.handlers if one not in before]:
        root.removeHandler(handler)
        handler.close()


def fail(monkeypatch: pytest.MonkeyPatch) -> int:
    """A command ends in an error that holds all secrets in all forms, and hostile text; its exit code."""

    def failing(**_: object) -> None:
        raise RuntimeError(f"\x1b]52;c;SEFDSw==\x07 {' '.join(FORMS)}")

    monkeypatch.setattr(cli, "cli", failing)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


def test_an_unforeseen_error_is_one_line_and_a_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail(monkeypatch) == 1
    said, kept = capsys.readouterr().err, (tmp_path / "logs" / "aaa.log").read_text("utf-8")
    assert said.startswith("error: unforeseen, RuntimeError: ␛]52;c;SEFDSw==␇ [redacted]")
    assert said.endswith(f"its traceback is in {tmp_path / 'logs' / 'aaa.log'}\n")
    assert said.count("\n") == 1
    assert "in failing" in kept
    assert forbidden(said + kept) == []
    for text in (said, kept):
        assert [form for form in FORMS if form in text] == []
        assert "canary" not in text


def test_nor_is_it_raw_where_no_file_takes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    assert fail(monkeypatch) == 1
    monkeypatch.setenv("AAA_RUNNERS", "many")
    assert fail(monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.count("error: unforeseen, RuntimeError") == 2
    assert "canary" not in said


async def test_the_dashboard_raises_its_errors_and_prints_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Textual would print the values of all local variables."""
    app = Dashboard(Client("http://127.0.0.1:9", None), None)

    async def fail_within() -> None:
        async with app.run_test() as pilot:
            app.call_later(_fail_at, KEY)
            await pilot.pause()

    with pytest.raises(RuntimeError):  # by `run_test`, not by the dashboard
        await fail_within()
    printed = capsys.readouterr()
    assert isinstance(app.failure, RuntimeError)
    assert KEY not in printed.out + printed.err


def _fail_at(key: str) -> None:
    raise RuntimeError("failed")
