"""Events into a real Postgres through the worker's own transaction, without Kafka."""

from collections.abc import Sequence

from contracts.event import Event
from persistence.batch import Ledger, Stored, Unit, arrived
from persistence.database import Database
from persistence.logs import LOGS
from persistence.roles import WORKER
from persistence.store import prepare, store
from tests.support.records import record_at

TOPIC = "siltstone.tests"


def database_of(url: str) -> Database:
    """Connections as a worker has them, in its role."""
    return Database(url, WORKER)


async def store_batch(database: Database, events: Sequence[Event], first_offset: int = 0) -> Stored:
    """Store one batch in one transaction, as a worker does."""
    unit = Unit(
        [arrived(event, record_at(TOPIC, first_offset + i)) for i, event in enumerate(events)],
        {(TOPIC, 0): Ledger(TOPIC, 0)},
        "tests",
        "test",
    )
    async with database.session() as (connection, info):
        await prepare(connection, info, [log.name for log in LOGS])
        async with connection.transaction():
            return await store(connection, unit)
