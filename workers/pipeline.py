"""The whole pipeline, for one consumer: fetch -> decode -> one transaction -> dead letters -> commit.

FastStream fetches and calls settle() with each poll; what happens to the records is all here.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError

from contracts.event_type import Family
from contracts.record import Record
from contracts.window import TimeWindow
from persistence.offsets import Spans
from workers.assignment import Assignment
from workers.claims import Claims
from workers.continuity import Gaps, by_partition, unread
from workers.dead_letters import DeadLetters
from workers.decoding import Decoded, decode_batch
from workers.failure import NotHandedOver
from workers.metrics import Metrics
from workers.offsets import commit
from workers.starts import Starts
from workers.writer import Batch, Settled, Writer

Parts = Mapping[TopicPartition, Sequence[Record]]

log = structlog.get_logger("siltstone.pipeline")
SLICE = 200  # records decoded before the event loop turns to others: a few milliseconds


class Pipeline:
    """Settles one consumer's records, one batch at a time.

    `consumer` gives the running consumer of the group, `starts` where a partition begins after an assignment,
    `gaps` what lies between two batches, `claims` which letters redriven records come from.
    """

    def __init__(
        self,
        family: Family,
        group: str,
        *,
        consumer: Callable[[], AIOKafkaConsumer],
        assignment: Assignment,
        starts: Starts,
        gaps: Gaps,
        claims: Claims,
        writer: Writer,
        dead_letters: DeadLetters,
        window: TimeWindow,
        batch_max_bytes: int,
        metrics: Metrics,
    ) -> None:
        self.family = family
        self.group = group
        self.consumer = consumer
        self.assignment = assignment
        self._starts = starts
        self._gaps = gaps
        self._claims = claims
        self._writer = writer
        self._dead_letters = dead_letters
        self._window = window
        self._batch_max_bytes = batch_max_bytes
        self._metrics = metrics

    async def settle(self, polled: Sequence[Record]) -> None:
        """Settle everything that was polled. GivenUp: it is another's now. Stop: the process must end.

        After any error nothing more of what was polled may be settled or committed.
        """
        generation = self.assignment.generation
        for records in chunks(polled, self._batch_max_bytes):
            self.assignment.check(generation)
            await self.settle_batch(records)

    async def settle_batch(self, records: Sequence[Record]) -> None:
        """The pipeline: what is decoded is stored, what is not is a dead letter, and only then offsets move."""
        hold = self.assignment.hold
        async with self.assignment.batch() as generation:
            parts = by_partition(records)
            invisible = await hold.until_done("look back", lambda: self._look_back(parts))
            with self._timed("decode"):
                decoded = await self._decode(records)
            claims = await hold.until_done("confirm redriven letters", lambda: self._claims.confirmed(decoded))
            with self._timed("store"):
                batch = Batch(decoded, parts, claims, invisible)
                settled = await hold.until_done("store", lambda: self._writer.write(batch))
            with self._timed("dead_letters"):
                refused = settled.refused
                await hold.until_done("dead letters", lambda: self._dead_letters.publish(refused, self.group, claims))
            self.assignment.check(generation)
            with self._timed("commit"):
                await commit(self.consumer(), self._move_on(parts), hold)
        self._count(decoded, settled)

    async def _decode(self, records: Sequence[Record]) -> Decoded:
        """Decode in slices, so that meanwhile the other consumers' answers from Postgres are not kept waiting."""
        decoded = Decoded()
        for at in range(0, len(records), SLICE):
            decode_batch(records[at : at + SLICE], self._window, decoded)
            await asyncio.sleep(0)
        return decoded

    async def _look_back(self, parts: Parts) -> Mapping[TopicPartition, Spans]:
        """The offsets before and between the records that hold nothing to read.

        When a record that can be read lies there, the consumer is put back to it, and the batch is given up.
        """
        invisible: dict[TopicPartition, Spans] = {}
        expecting = dict(self.assignment.next_offset)  # a copy: a fence clears the other meanwhile
        # An offset goes back when the topic is made anew while we read it.
        if new := [p for p, run in parts.items() if p not in expecting or run[0].offset < expecting[p]]:
            expecting.update(await self._starts.of(new, self.consumer()))
        for partition, of_partition in parts.items():
            expected, first = expecting[partition], of_partition[0].offset
            try:
                spans = await self._gaps.before(partition, expected, first) if expected < first else []
            except NotHandedOver as missed:
                log.warning("records are read again", because=str(missed))
                self._put_back(parts, expecting)
                raise
            spans = [*spans, *unread(first, of_partition)]
            if spans:
                invisible[partition] = spans
        return invisible

    def _put_back(self, parts: Parts, expecting: Mapping[TopicPartition, int]) -> None:
        """Have the consumer go on where each partition of the batch is expected to; not where it is another's now."""
        for partition, run in parts.items():
            with suppress(IllegalStateError):
                self.consumer().seek(partition, min(expecting[partition], run[0].offset))

    def _move_on(self, parts: Parts) -> dict[TopicPartition, int]:
        """The next offset of each partition, from now on expected first."""
        offsets = {partition: run[-1].offset + 1 for partition, run in parts.items()}
        self.assignment.next_offset.update(offsets)
        return offsets

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._metrics.stage_seconds.labels(self.family.value, stage).observe(time.perf_counter() - began)

    def _count(self, decoded: Decoded, settled: Settled) -> None:
        topic = (decoded.readable or decoded.refused)[0].record.topic
        records = self._metrics.records
        records.labels(topic, "stored").inc(settled.stored.stored)
        records.labels(topic, "duplicate").inc(settled.stored.duplicate)
        records.labels(topic, "refused").inc(len(settled.refused))
        self._metrics.batch_records.labels(self.family.value).observe(len(decoded.readable) + len(decoded.refused))
        if decoded.readable:
            newest = max(r.event.time_us for r in decoded.readable)
            self._metrics.visible_seconds.labels(self.family.value).observe(max(0.0, time.time() - newest / 1e6))


def chunks(records: Sequence[Record], max_bytes: int) -> Iterator[Sequence[Record]]:
    """The records in runs of at most `max_bytes` of values, each of one record at least."""
    if sum(len(record.value or b"") for record in records) <= max_bytes:
        yield records
        return
    begin, held = 0, 0
    for at, record in enumerate(records):
        size = len(record.value or b"")
        if held + size > max_bytes and at > begin:
            yield records[begin:at]
            begin, held = at, 0
        held += size
    yield records[begin:]
