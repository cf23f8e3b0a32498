"""Sending dead letters back to the topic that they came from: each once, also when it is killed at any moment.

A batch is claimed in Postgres, then sent in one Kafka transaction that also commits the batch's number in the group
of the job. Whoever goes on starts the same transactional producer, which ends what the dead one left open, and reads
that number: batches up to it were sent, and later ones were not.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts import letter as form
from contracts.event_type import Family
from contracts.window import TimeWindow
from persistence import redrives
from persistence.redrives import BEFORE_ALL, Job, Position, Sendable, Wanted
from workers import kafka
from workers.admission import judge
from workers.cancellation import raise_if_cancelled
from workers.settings import Settings

BATCH = 1_000  # letters in one transaction of Postgres, and in one of Kafka
HEADROOM_BYTES = 64 * 1024  # for the key, headers and frame around a value


class Redrive:
    """One run of `siltstone dlq redrive`: `connection` holds its job, and lives as long as it runs."""

    def __init__(
        self, settings: Settings, connection: asyncpg.Connection, actor: str, advance: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._actor = actor
        self._advance = advance
        self._window = TimeWindow(settings.oldest_time, settings.retention_months)

    async def run(
        self, wanted: Wanted, selection: str, *, limit: int | None = None, rate: int | None = None
    ) -> uuid.UUID:
        """Send what interrupted jobs had claimed, then every letter that is wanted; the job that did it.

        A job of the same `selection` text that was interrupted goes on, and what it had claimed counts for `limit`.
        """
        job = None
        for interrupted in await redrives.unfinished(self._connection):
            if not await redrives.hold(self._connection, interrupted.id):
                continue  # it runs elsewhere
            if job is None and interrupted.selection == selection:
                job = interrupted
                continue
            async with self._sending(interrupted):
                await redrives.finish(self._connection, interrupted.id)
            await redrives.release(self._connection, interrupted.id)
        if job is None:
            job = await redrives.begin(self._connection, self._actor, selection)
            await redrives.hold(self._connection, job.id)
        async with self._sending(job) as (producer, batch):
            left = None if limit is None else limit - job.claimed
            await self._send_all(job, producer, batch, wanted, left, rate)
            await redrives.finish(self._connection, job.id)
        return job.id

    async def _send_all(
        self, job: Job, producer: AIOKafkaProducer, batch: int, wanted: Wanted, left: int | None, rate: int | None
    ) -> None:
        """Send in batches numbered from `batch` on, until none is left; the next one is claimed meanwhile."""

        async def claim(batch: int, left: int | None, after: Position) -> list[Sendable]:
            most = min(n for n in (BATCH, left, rate) if n is not None)
            if most <= 0:
                return []
            return await redrives.claim(
                self._connection, job.id, batch, self._actor, wanted, most, after, self._tenant_of
            )

        began, count = time.monotonic(), 0
        letters = await claim(batch, left, BEFORE_ALL)
        while letters:
            raise_if_cancelled()
            count += len(letters)
            still = None if left is None else left - count
            claiming = asyncio.create_task(claim(batch + 1, still, letters[-1].position))
            try:
                await self._send(producer, job.id, batch, letters)
            finally:
                following = await claiming  # the connection is free again, also when sending failed
            await redrives.note_sent(self._connection, job.id, batch)
            letters, batch = following, batch + 1
            if rate:
                await asyncio.sleep(max(0.0, began + count / rate - time.monotonic()))

    @asynccontextmanager
    async def _sending(self, job: Job) -> AsyncIterator[tuple[AIOKafkaProducer, int]]:
        """The job's producer, when all that was claimed before is sent, and the number of its next batch."""
        producer = kafka.producer(self._settings, transactional_id=str(job.id), linger_ms=5)
        try:
            await producer.start()  # ends what a dead producer of the same id left open, and shuts it out
            first = 1
            if job.claimed:
                sent = max(job.sent_batch, await self._sent_batch(job.id))
                first = max(sent, job.last_batch) + 1
                for batch in range(sent + 1, first):
                    if letters := await redrives.of_batch(self._connection, job.id, batch):
                        await self._send(producer, job.id, batch, letters)
                        await redrives.note_sent(self._connection, job.id, batch)
            yield producer, first
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, job: uuid.UUID, batch: int, letters: Sequence[Sendable]) -> None:
        """One batch in one transaction, whose commit says that the batch was sent."""
        async with producer.transaction():
            waiting = [await _send(producer, letter) for letter in letters]
            await asyncio.gather(*waiting)
            await producer.send_offsets_to_transaction({self._marker: batch}, group_of(job))
        self._advance(len(letters))

    async def _sent_batch(self, job: uuid.UUID) -> int:
        """The last batch that Kafka committed; 0 when none was."""
        consumer = AIOKafkaConsumer(
            **kafka.connection(self._settings), group_id=group_of(job), enable_auto_commit=False
        )
        try:
            await consumer.start()
            return await consumer.committed(self._marker) or 0
        finally:
            await consumer.stop()

    @property
    def _marker(self) -> TopicPartition:
        """A partition that is always there: the number of a batch is committed as if it were an offset of it."""
        return TopicPartition(kafka.dlq_topics(self._settings)[Family.extraction], 0)

    def _tenant_of(self, letter: Sendable) -> str | None:
        return judge(letter.message, self._window).tenant_id


def group_of(job: uuid.UUID) -> str:
    """The consumer group in which a job's sent batches are committed; nobody ever joins it."""
    return f"siltstone-redrive-{job}"


async def _send(producer: AIOKafkaProducer, letter: Sendable) -> Any:
    """Hand a letter to the producer, with its id and count in place of any earlier ones; its acknowledgement, to come.

    It goes to the partition of its key, as from its own producer; without a key, to where it came from.
    """
    ours = {form.ID: str(letter.id), form.REDRIVE_COUNT: str(letter.redrive_count)}
    key, value, own = letter.message
    headers = form.with_headers(own, ours)
    if key is not None:
        return await producer.send(letter.topic, value, key=key, headers=headers)
    partition = letter.partition % len(await producer.partitions_for(letter.topic))
    if value is not None:
        return await producer.send(letter.topic, value, partition=partition, headers=headers)
    batch = producer.create_batch()  # send() refuses a record of neither key nor value
    batch.append(key=None, value=None, timestamp=None, headers=headers)
    return await producer.send_batch(batch, letter.topic, partition=partition)
