"""Whether a batch begins where the last one ended, and what lies between: markers, losses, or a dropped batch.

Whoever drops a batch and hands over the next one would have it committed over: a library that failed on it, or a
rebalance that fell between a poll and its settling. So a gap before a batch is read once more, apart from the group.
If it holds a record that a read-committed reader sees, the consumer is put back to it.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.record import Record
from persistence.offsets import Spans, difference, spans_of
from workers.failure import NotHandedOver, RetryLater, Stop
from workers.metrics import Metrics

PROBE_SECONDS = 15
MOST_TIMES = 10  # that one record is read again for: who never hands it over would be asked for ever

log = structlog.get_logger("siltstone.continuity")


def by_partition(records: Sequence[Record]) -> dict[TopicPartition, list[Record]]:
    """The records of each partition, in the order they came."""
    parts: dict[TopicPartition, list[Record]] = {}
    for (topic, partition), run in groupby(records, attrgetter("topic", "partition")):
        parts.setdefault(TopicPartition(topic, partition), []).extend(run)
    return parts


def unread(expected: int, records: Sequence[Record]) -> Spans:
    """The offsets from `expected` to the last record that hold none of the records."""
    offsets = [record.offset for record in records]
    if offsets[0] == expected and offsets[-1] - expected + 1 == len(offsets):
        return []
    return difference([(expected, offsets[-1] + 1)], spans_of(offsets))


class Gaps:
    """Reads again what lies before a batch; `reader` is a started consumer of no group."""

    def __init__(self, reader: AIOKafkaConsumer, metrics: Metrics) -> None:
        self._reader = reader
        self._metrics = metrics
        self._lock = asyncio.Lock()
        self._missed: Counter[tuple[TopicPartition, int]] = Counter()

    async def before(self, partition: TopicPartition, expected: int, first: int) -> Spans:
        """The offsets in [expected, first) that hold nothing to read; those lost to retention are left out.

        Raises NotHandedOver when a record that can be read is there: it was dropped before we saw it. Raises Stop
        when that has happened too often with that record.
        """
        async with self._lock:
            try:
                beginning = (await self._reader.beginning_offsets([partition]))[partition]
                visible = await self._first_visible(partition, max(expected, beginning))
            except (KafkaError, OSError, TimeoutError) as error:
                what = f"cannot read before {_name(partition, first)}: {type(error).__name__}"
                raise RetryLater(what, "kafka") from error
        if visible < first:
            self._missed[partition, visible] += 1
            missed = f"{_name(partition, visible)} was not handed over, though the batch at {first} was"
            if self._missed[partition, visible] < MOST_TIMES:
                raise NotHandedOver(missed)
            raise Stop(
                f"{missed}, {MOST_TIMES} times: committing would lose it. Nothing was committed; start the worker "
                "again, it will read from there."
            )
        if beginning > expected:
            lost = min(beginning, first) - expected
            self._metrics.lost.labels(partition.topic).inc(lost)
            log.error("records were removed by retention before they were read", partition=str(partition), lost=lost)
        return [(max(expected, beginning), first)] if max(expected, beginning) < first else []

    async def _first_visible(self, partition: TopicPartition, at: int) -> int:
        self._reader.assign([partition])
        self._reader.seek(partition, at)
        async with asyncio.timeout(PROBE_SECONDS):
            record = await self._reader.getone(partition)
        offset: int = record.offset
        return offset


def _name(partition: TopicPartition, offset: int) -> str:
    return f"{partition.topic}[{partition.partition}]@{offset}"
