"""Fixtures that every folder shares: the services once a session, an installation of its own for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from persistence import migrate
from tests.support.installation import Databases, Installation, drop_database, make_database
from tests.support.services import Services, running


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A real Kafka and a real Postgres; a failure when they cannot be had, never a skip."""
    with running(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture(scope="session")
async def migrated(services: Services) -> AsyncIterator[str]:
    """The name of a migrated database that the others are copied from."""
    url = await make_database(services)
    await migrate.upgrade(url)
    yield make_url(url).database or ""
    await drop_database(services, url)


@pytest.fixture(scope="session")
async def databases(services: Services, migrated: str) -> AsyncIterator[Databases]:
    """Migrated databases, one after the other."""
    made = Databases(services, migrated)
    yield made
    await made.close()


@pytest.fixture
async def database_url(services: Services, databases: Databases) -> AsyncIterator[str]:
    """A migrated database of the test's own: the URL of its owner's login."""
    url = await databases.take()
    yield url
    await drop_database(services, url)


@pytest.fixture
async def installation(services: Services, database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    """A database, a topic prefix and groups of the test's own, with the tenants `acme` and `globex`."""
    made = Installation(services, database_url, tmp_path)
    await made.create_tenants("acme", "globex")
    yield made
    await made.close()


@pytest.fixture
async def another(services: Services, databases: Databases, tmp_path: Path) -> AsyncIterator[Installation]:
    """A second installation on the same services, without tenants but `acme`."""
    url = await databases.take()
    folder = tmp_path / "another"
    folder.mkdir()
    made = Installation(services, url, folder)
    await made.create_tenants("acme")
    yield made
    await made.close()
    await drop_database(services, url)
