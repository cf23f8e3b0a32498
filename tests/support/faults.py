"""What tests of faults share: records that flow, exact counts, and topics that are taken away and given back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.support.events import extraction, record
from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import WorkerProcess


class Flow:
    """Extractions published in the background, numbered from 0; `sent` is how many the broker has."""

    def __init__(self) -> None:
        self.sent = 0
        self.enough = asyncio.Event()


@asynccontextmanager
async def flowing(installation: Installation, per_second: int = 400) -> AsyncIterator[Flow]:
    """Publish until the block ends; every record is acknowledged once then, whatever befell the broker."""
    producer = AIOKafkaProducer(
        bootstrap_servers=installation.services.kafka, enable_idempotence=True, request_timeout_ms=90_000
    )
    await producer.start()
    flow = Flow()

    async def publish() -> None:
        number = 0
        while not flow.enough.is_set():
            acknowledged = []
            for _ in range(per_second // 20):
                key, value, headers = record(extraction(number, sessions=9))
                acknowledged.append(await producer.send(installation.topic("extraction"), value, key, headers=headers))
                number += 1
            await asyncio.gather(*acknowledged)
            flow.sent = number
            await asyncio.sleep(1 / 20)  # the pace, not a wait for anything

    publishing = asyncio.create_task(publish())
    try:
        yield flow
        flow.enough.set()
        await publishing
    finally:
        publishing.cancel()
        await producer.stop()


async def stored(installation: Installation, at_least: int, seconds: float = 60) -> None:
    """Wait until so many extractions have rows."""

    async def enough() -> bool:
        return bool(await installation.value("SELECT count(*) >= $1 FROM extraction_event", at_least))

    await until(f"{at_least} rows", enough, seconds)


async def counts(installation: Installation) -> dict[str, int]:
    """Rows, what the sessions counted, letters: what must be exact."""
    return (
        await installation.fetch(
            """
            SELECT (SELECT count(*) FROM extraction_event) AS rows,
                   (SELECT coalesce(sum(extractions), 0)::int FROM session) AS counted,
                   (SELECT count(*) FROM dead_letter) AS letters
            """
        )
    )[0]


async def account(installation: Installation, family: str) -> dict[str, int]:
    """How many offsets of a family's topic the ledger has, by what became of them."""
    rows = await installation.fetch(
        """
        SELECT kind, coalesce(sum(upper(span) - lower(span)), 0)::int AS offsets
        FROM ingest_batch
        CROSS JOIN LATERAL (VALUES ('stored', stored), ('duplicate', duplicate), ('refused', refused),
                                   ('invisible', invisible)) AS k(kind, spans)
        LEFT JOIN LATERAL unnest(spans) AS span ON true
        WHERE topic = $1 GROUP BY kind
        """,
        installation.topic(family),
    )
    return {row["kind"]: row["offsets"] for row in rows}


async def held(worker: WorkerProcess, what: str, seconds: float = 60) -> dict[str, Any]:
    """Wait until the worker says that it holds; its log entry."""

    async def says_so() -> dict[str, Any] | None:
        assert worker.process.poll() is None, worker.log
        return next((entry for entry in worker.events("holding") if entry["what"] == what), None)

    entry = await until(f"the worker holds: {what}", says_so, seconds)
    assert entry is not None
    return entry


@asynccontextmanager
async def administering(installation: Installation) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client of the broker for topics and groups."""
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.services.kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def delete_topic(installation: Installation, topic: str) -> None:
    """Delete a topic, and wait until it is gone."""
    async with administering(installation) as admin:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await until(f"{topic} is gone", gone, 30)


async def create_topics_again(installation: Installation, partitions: int = 4) -> None:
    """Make what is missing; a topic that is still being deleted is waited for."""

    async def made() -> bool:
        try:
            await installation.create_topics(partitions)
        except (KafkaError, KeyError):
            return False
        return True

    await until("the topics are made", made, 30)


def last_words(worker: WorkerProcess) -> list[str]:
    """What a worker says to people when it stops: its lines that are no log entries."""
    return [line for line in worker.log.splitlines() if line and not line.startswith("{")]
