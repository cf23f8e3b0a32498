"""One installation for a test: a database, topics and groups of its own, on the shared services."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from sqlalchemy.engine import make_url

from contracts.event_type import Family
from contracts.registry import dlq_topic_of, topic_of
from persistence import migrate
from persistence.logs import LOGS
from persistence.states import STATES
from tests.support import commands
from tests.support.services import Services
from tests.support.waiting import until
from tests.support.worker import WorkerProcess
from workers import topics
from workers.settings import Settings, load

Header = tuple[str, bytes | None]


class Installation:
    """What a test works with. Made by the fixture `installation`; workers that a test forgot are killed."""

    def __init__(self, services: Services, database_url: str, folder: Path) -> None:
        self.services = services
        self.database_url = database_url
        self.folder = folder
        self.prefix = f"t{uuid.uuid4().hex[:10]}."
        self.environment = {
            "KAFKA_BOOTSTRAP_SERVERS": services.kafka,
            "DATABASE_URL": database_url,
            "SILTSTONE_TOPIC_PREFIX": self.prefix,
            "KAFKA_GROUP_ID": self.prefix.rstrip("."),
        }
        self.workers: list[WorkerProcess] = []

    @property
    def settings(self) -> Settings:
        """The settings that its commands read."""
        return load(self.environment)

    @property
    def dsn(self) -> str:
        """For asyncpg, as the owner's login."""
        return migrate.driver_dsn(self.database_url)

    def topic(self, family: Family | str) -> str:
        """A family's topic."""
        return topic_of(Family(family), self.prefix)

    async def create_topics(self, partitions: int = 4) -> None:
        """Make its topics."""
        await topics.apply(self.settings, partitions=partitions)

    async def create_tenants(self, *tenants: str) -> None:
        """Make tenants."""
        await self.execute(
            "INSERT INTO tenant (tenant_id, name) SELECT t, t FROM unnest($1::text[]) AS t", list(tenants)
        )

    async def fetch(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        """Rows of a query, as the owner's login."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [dict(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def value(self, sql: str, *arguments: object) -> Any:
        """The first value of a query."""
        rows = await self.fetch(sql, *arguments)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run a statement, as the owner's login."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()

    async def produce(
        self,
        topic: str,
        records: Iterable[tuple[bytes | None, bytes | None, Sequence[Header]]],
        *,
        partition: int | None = None,
        compression: str | None = None,
    ) -> None:
        """Publish raw records (key, value, headers) as they are, and wait for the broker."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.services.kafka, acks="all", compression_type=compression, max_request_size=1 << 26
        )
        await producer.start()
        try:
            sent = []
            for key, value, headers in records:
                if key is None and value is None:
                    batch = producer.create_batch()
                    batch.append(key=None, value=None, timestamp=None, headers=list(headers))
                    sent.append(await producer.send_batch(batch, topic, partition=partition or 0))
                else:
                    sent.append(await producer.send(topic, value, key, partition=partition, headers=list(headers)))
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def records(self, topic: str) -> AsyncIterator[ConsumerRecord[Any, Any]]:
        """Every record that a read-committed reader sees in a topic."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.services.kafka,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=1 << 26,
            fetch_max_wait_ms=20,  # a broker answers nothing else on a connection while a fetch of nothing waits
        )
        await consumer.start()
        try:
            parts = [TopicPartition(topic, p) for p in sorted(await consumer_partitions(consumer, topic))]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            await consumer.seek_to_beginning(*parts)
            while any([await consumer.position(p) < ends[p] for p in parts]):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    for record in batch:
                        yield record
        finally:
            await consumer.stop()

    async def read_all(self, topic: str) -> list[ConsumerRecord[Any, Any]]:
        """The same in a list, by partition and offset."""
        return sorted([record async for record in self.records(topic)], key=lambda r: (r.partition, r.offset))

    @asynccontextmanager
    async def _offsets(self, family: Family | str) -> AsyncIterator[Callable[[], Awaitable[dict[int, int]]]]:
        """What asks for the offsets that the family's group committed now, by partition."""
        topic = self.topic(family)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.services.kafka, group_id=f"{self.prefix.rstrip('.')}.{Family(family).value}"
        )
        await consumer.start()
        try:
            parts = [TopicPartition(topic, p) for p in await consumer_partitions(consumer, topic)]

            async def now() -> dict[int, int]:
                offsets = {p.partition: await consumer.committed(p) for p in parts}
                return {p: offset for p, offset in offsets.items() if offset is not None}

            yield now
        finally:
            await consumer.stop()

    async def committed(self, family: Family | str) -> dict[int, int]:
        """The offsets that the family's group committed, by partition; those it never committed are left out."""
        async with self._offsets(family) as now:
            return await now()

    async def settled(self, family: Family | str, seconds: float = 90) -> None:
        """Wait until the group has committed every record that is in the family's topic now."""
        last: dict[int, int] = {}
        for record in await self.read_all(self.topic(family)):
            last[record.partition] = record.offset + 1
        async with self._offsets(family) as now:

            async def caught_up() -> bool:
                committed = await now()
                return all(committed.get(p, 0) >= after for p, after in last.items())

            await until(f"{family} is settled", caught_up, seconds)

    async def letters(self, count: int, seconds: float = 60) -> list[dict[str, Any]]:
        """Wait until the index holds `count` letters, then all of it."""

        async def indexed() -> bool:
            return bool(await self.value("SELECT count(*) >= $1 FROM dead_letter", count))

        await until(f"{count} letters are indexed", indexed, seconds)
        return await self.fetch('SELECT * FROM dead_letter ORDER BY topic, partition, "offset"')

    def dlq(self, family: Family | str) -> str:
        """A family's dead-letter topic."""
        return dlq_topic_of(self.topic(family))

    def worker(
        self, *arguments: str, environment: Mapping[str, str] | None = None, anew: bool = False
    ) -> WorkerProcess:
        """Start a worker, `anew` in an interpreter that imports the program; await `.ready()` on it."""
        log = self.folder / f"worker-{len(self.workers) + 1}.log"
        process = WorkerProcess(self.environment | dict(environment or {}), log, *arguments, anew=anew)
        self.workers.append(process)
        return process

    def run(self, *arguments: str, stdin: bytes | None = None) -> commands.Done:
        """Run a command of the program to its end."""
        return commands.run(arguments, os.environ | self.environment, stdin)

    async def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every log and state as it must be in any order of arrival: without the columns of first delivery."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        first_delivery = {"kafka_topic", "kafka_partition", "kafka_offset", "ingested_at"}
        for name in [*(log.name for log in LOGS), *(state.name for state in STATES)]:
            rows = await self.fetch(f"SELECT * FROM {name}")  # noqa: S608 - our own names
            found[name] = sorted(tuple(str(v) for k, v in row.items() if k not in first_delivery) for row in rows)
        return found

    async def close(self) -> None:
        """Kill the workers that are left."""
        for process in self.workers:
            process.process.kill()
            process.process.wait()


async def consumer_partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """The partitions of a topic; waits for its metadata."""
    await consumer._client.add_topic(topic)

    async def known() -> set[int]:
        found = set(consumer.partitions_for_topic(topic) or ())
        if not found:
            await consumer._client.force_metadata_update()
        return found

    return await until(f"{topic} has partitions", known, 30)


async def make_database(services: Services, template: str | None = None) -> str:
    """A new database; the URL of its owner's login."""
    url = make_url(services.database_url)
    name = f"t_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(migrate.driver_dsn(services.database_url))
    try:
        await connection.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
    finally:
        await connection.close()
    return url.set(database=name).render_as_string(hide_password=False)


async def drop_database(services: Services, url: str) -> None:
    """Drop a database, whoever is connected."""
    connection = await asyncpg.connect(migrate.driver_dsn(services.database_url))
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')
    finally:
        await connection.close()


class Databases:
    """Copies of a migrated database; the next one is made while a test works with the one before."""

    def __init__(self, services: Services, template: str) -> None:
        self._services = services
        self._template = template
        self._next = self._making()

    async def take(self) -> str:
        """A database that nobody has had: the URL of its owner's login."""
        url = await self._next
        self._next = self._making()
        return url

    async def close(self) -> None:
        """Drop the one that nobody took."""
        await drop_database(self._services, await self._next)

    def _making(self) -> asyncio.Task[str]:
        return asyncio.create_task(make_database(self._services, self._template))
