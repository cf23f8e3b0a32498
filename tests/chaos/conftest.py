"""Faults stop and kill services: those of the session when they are ours alone, else a stack for this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from localstack import stack
from persistence import migrate
from tests.support.installation import Installation, drop_database, make_database
from tests.support.services import Services


@pytest.fixture(scope="session")
def own_services(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services that a test may stop; both run again after this folder, whatever happened."""
    if services.folder is not None:
        yield services
        return
    folder = tmp_path_factory.mktemp("stack of chaos")
    try:
        addresses = stack.up(folder)
        yield Services(addresses.kafka_bootstrap_servers, addresses.database_url, folder)
    finally:
        stack.down(folder, delete=True)


@pytest.fixture
def folder(own_services: Services) -> Iterator[Path]:
    """The stack's folder; after the test both services run."""
    found = own_services.folder
    assert found is not None
    yield found
    stack.start_kafka(found)
    stack.start_postgres(found)


@pytest.fixture
async def installation(own_services: Services, folder: Path, tmp_path: Path) -> AsyncIterator[Installation]:
    """As everywhere, on services that may be stopped."""
    url = await make_database(own_services)
    await migrate.upgrade(url)
    made = Installation(own_services, url, tmp_path)
    await made.create_tenants("acme", "globex")
    yield made
    await made.close()
    stack.start_postgres(folder)
    await drop_database(own_services, url)
