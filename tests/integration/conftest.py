"""Fixtures of tests that need services: a database each, a catalogue each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from aaa.api.app import create_app
from aaa.catalogue import Catalogue
from aaa.settings import Settings
from aaa.store.database import Database
from tests.catalogues import small_catalogue
from tests.postgres import Server, cloned_database, embedded_server, empty_database


@pytest.fixture(scope="session")
def template_url() -> Iterator[str]:
    """A migrated database that nobody writes to."""
    with embedded_server() as url:
        yield url


@pytest.fixture
def database_url(template_url: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    with cloned_database(template_url) as url:
        yield url


@pytest.fixture
def empty_database_url(template_url: str) -> Iterator[str]:
    """The URL of a database without any table."""
    with empty_database(template_url) as url:
        yield url


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that this test may stop, with a migrated database."""
    with embedded_server() as url:
        yield Server(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database of this test's own."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings that name this test's database and a home of its own."""
    return Settings(database_url=SecretStr(database_url), home=tmp_path / "home")


@pytest.fixture
def app(settings: Settings, database: Database, catalogue: Catalogue) -> FastAPI:
    """The control plane over this test's database, without a token."""
    return create_app(settings, database, catalogue)


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app` that needs no port."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Three agents and the scenario `small`; see `tests.catalogues`."""
    return small_catalogue(tmp_path / "catalogue")
