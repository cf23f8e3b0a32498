"""Fixtures that every folder shares: the services once a session, an installation of its own for each test.

Tests run in several processes, each with services of its own: most of their time is spent waiting.
"""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from localstack import parts
from persistence import migrate
from tests.support.installation import Databases, Installation, drop_database, make_database
from tests.support.services import Services, running

USUAL_PORTS = ("test_demo.py", "test_stack.py")  # commands start stacks in these, where a user's would be


def pytest_configure() -> None:
    """Keep the processes' stacks apart from each other's ports, and from those of a user's stack.

    Ctrl-C is sent to what tests start: where a shell began us in the background, that would ignore it as we do.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if process := os.environ.get("PYTEST_XDIST_WORKER"):
        apart = 200 * (1 + int(process.removeprefix("gw")))
        parts.KAFKA_PORT += apart
        parts.CONTROLLER_PORT += apart
        parts.POSTGRES_PORT += apart


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a file stay together and in order; so do the files whose stacks take the same ports."""

    def _split_scope(self, nodeid: str) -> str:
        path, _, _ = nodeid.partition("::")
        return "usual ports" if path.endswith(USUAL_PORTS) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Not by xdist's marks for groups: xdist 3.8 writes them where pytest 9.2 does not read them."""
    return ByFile(config, log)


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
