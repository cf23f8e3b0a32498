"""Events stored without Kafka: decoded, and written by the transaction that a worker uses, as its role."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from contracts.decode import decode
from contracts.registry import topic_of
from contracts.window import TimeWindow
from persistence.batch import Ledger, Stored, Unit, arrived
from persistence.database import Database
from persistence.roles import WORKER
from persistence.store import prepare, store
from tests.support.events import encoded
from tests.support.records import record_at

WINDOW = TimeWindow(datetime(1971, 1, 1, tzinfo=UTC))


async def store_events(
    url: str, events: Sequence[Mapping[str, Any]], *, first_offset: int = 0, at: datetime | None = None
) -> Stored:
    """Store events as if they came from one partition of each family's topic, from `first_offset` on.

    `at` is the records' Kafka timestamp, now unless given: an event may lie a day ahead of it.
    """
    timestamp_ms = int((at or datetime.now(UTC)).timestamp() * 1000)
    found = []
    for offset, one in enumerate(events, first_offset):
        event = decode(encoded(one), None, (), timestamp_ms, WINDOW)
        found.append(arrived(event, record_at(topic_of(event.type.family), offset)))
    ledgers = {(a.record.topic, 0): Ledger(a.record.topic, 0) for a in found}
    database = Database(url, WORKER)
    try:
        async with database.session() as (connection, info):
            await prepare(connection, info, {a.event.type.log for a in found})
            async with connection.transaction():
                return await store(connection, Unit(found, ledgers, "siltstone.tests", "tests"))
    finally:
        await database.close()
