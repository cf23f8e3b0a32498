"""Dead letters: produced with all that an operator needs, and acknowledged before anything is committed."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from contracts import letter as form
from contracts.record import Place, Record, place_of
from contracts.registry import dlq_topic_of
from persistence.batch import Redriven
from persistence.letters import Letter
from workers.decoding import Refused
from workers.failure import RetryLater
from workers.kafka import DLQ_MESSAGE_MAX_BYTES
from workers.letter_index import letter_of
from workers.metrics import Metrics

APP = "siltstone"
HEADROOM_BYTES = 64 * 1024  # for our headers and the frame around a record
DEADLINE_SECONDS = 60
SENDERS = 200  # at a time: all that wait for room in a batch wake for each that is sent, so 4,000 took n², a minute
BATCH_BYTES = 1024 * 1024  # of a partition's letters in one request

Headers = list[tuple[str, bytes | None]]


class DeadLetters:
    """Publishes refused records to their topic's dead-letter topic.

    `make_producer` gives an idempotent producer with acks=all, not started: after a failure another is made, since
    one whose sequence broke fails for ever. `keep` writes a letter into the index at once: for values that no topic
    takes.
    """

    def __init__(
        self,
        make_producer: Callable[[], AIOKafkaProducer],
        keep: Callable[[Letter], Awaitable[None]],
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._make_producer = make_producer
        self._keep = keep
        self._metrics = metrics
        self._now = now
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._senders = asyncio.Semaphore(SENDERS)

    async def publish(self, refused: Sequence[Refused], group: str, claims: Mapping[Place, Redriven]) -> None:
        """Publish all and wait until the broker has every one; raises RetryLater when it has not.

        `claims` gives the letter that a record was redriven from: its id stays. Copies after a retry are harmless:
        the id says that they are one letter.
        """
        if not refused:
            return
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                producer = await self._started()
                results = await asyncio.gather(
                    *(self._send(producer, r, group, claims.get(place_of(r.record))) for r in refused),
                    return_exceptions=True,
                )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise RetryLater(f"the dead-letter topic does not answer: {type(error).__name__}", "kafka") from error
        for r in refused:
            self._metrics.dead_letters.labels(r.refusal.reason.value).inc()

    async def close(self) -> None:
        """Stop the producer; the next publish makes another."""
        async with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(5):
                    await producer.stop()
            except (KafkaError, OSError, TimeoutError):
                return

    async def _started(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = self._make_producer()
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _send(self, producer: AIOKafkaProducer, refused: Refused, group: str, claim: Redriven | None) -> None:
        record = refused.record
        topic = dlq_topic_of(record.topic)
        partitions = await producer.partitions_for(topic)
        partition = record.partition % len(partitions)
        headers = form.with_headers(record.headers, self._our_headers(refused, group, claim))
        size = len(record.value or b"") + len(record.key or b"") + sum(len(v or b"") + len(n) for n, v in headers)
        if size <= DLQ_MESSAGE_MAX_BYTES - HEADROOM_BYTES:
            try:
                async with self._senders:
                    await _deliver(producer, topic, partition, record.key, record.value, headers)
            except (MessageSizeTooLargeError, RecordTooLargeError):
                pass  # the topic takes less than it should: the value moves to the table, like one that is too large
            else:
                return
        moved: Headers = [*headers, (form.VALUE_IN_TABLE, b"true")]
        await self._keep(letter_of(topic, partition, -1, record.key, record.value, moved))
        small = [(name, text) for name, text in moved if form.is_ours(name) and len(text or b"") < HEADROOM_BYTES]
        await _deliver(producer, topic, partition, record.key if size < HEADROOM_BYTES else None, None, small)

    def _our_headers(self, refused: Refused, group: str, claim: Redriven | None) -> dict[str, str]:
        record, refusal = refused
        letter = claim.letter_id if claim else letter_id_of(record)
        headers = {
            form.TOPIC: record.topic,
            form.PARTITION: str(record.partition),
            form.OFFSET: str(record.offset),
            form.GROUP: group,
            form.DELIVERY_COUNT: str(claim.redrive_count + 1 if claim else 1),
            form.MESSAGE: form.cut(refusal.message),
            form.ID: str(letter),
            form.REASON: refusal.reason.value,
            form.STAGE: refusal.stage.value,
            form.EXCEPTION: refusal.exception,
            form.FAILED_AT: self._now().isoformat(timespec="milliseconds"),
            form.ORIGINAL_TIMESTAMP: str(record.timestamp),
            form.REDRIVE_COUNT: str(claim.redrive_count if claim else 0),
            form.APP: APP,
        }
        optional = {
            form.SQLSTATE: refusal.sqlstate,
            form.TENANT: refusal.tenant_id,
            form.EVENT_TYPE: refusal.event_type,
        }
        return headers | {name: form.cut(text) for name, text in optional.items() if text}


def letter_id_of(record: Record) -> uuid.UUID:
    """The id of the letter that a record makes."""
    return form.letter_id(record.topic, record.partition, record.offset, record.timestamp, record.value)


async def _deliver(
    producer: AIOKafkaProducer, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    """Send one record and wait for its acknowledgement; also one without key and value, which send() refuses."""
    if key is None and value is None:
        batch = producer.create_batch()
        batch.append(key=None, value=None, timestamp=None, headers=headers)
        delivered = await producer.send_batch(batch, topic, partition=partition)
    else:
        delivered = await producer.send(topic, value, key=key, partition=partition, headers=headers)
    await delivered
