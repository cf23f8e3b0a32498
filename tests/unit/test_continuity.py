"""Whether a batch begins where the last one ended."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, NodeNotReadyError

from contracts.event_type import Family
from workers.assignment import Assignment
from workers.continuity import MOST_TIMES, Gaps, by_partition, unread
from workers.failure import NotHandedOver, RetryLater, Stop
from workers.hold import Hold
from workers.metrics import Metrics
from workers.pipeline import Pipeline

PARTITION = TopicPartition("topic", 3)


class Log:
    """A partition as a read-committed reader of no group sees it: `visible` offsets, from `beginning` on."""

    def __init__(self, visible: list[int], beginning: int = 0, error: Exception | None = None) -> None:
        self.visible = visible
        self.beginning = beginning
        self.error = error
        self.position = 0

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.error:
            raise self.error
        return dict.fromkeys(partitions, self.beginning)

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [PARTITION]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition == PARTITION
        self.position = offset

    async def getone(self, _partition: TopicPartition) -> Any:
        later = [offset for offset in self.visible if offset >= self.position]
        if not later:
            await asyncio.Event().wait()
        return SimpleNamespace(offset=later[0])


def gaps(log: Log) -> tuple[Gaps, Metrics]:
    metrics = Metrics()
    return Gaps(log, metrics), metrics


def record(offset: int, partition: int = 3) -> Any:
    return SimpleNamespace(topic="topic", partition=partition, offset=offset)


async def test_a_gap_that_holds_nothing_to_read_is_passed() -> None:
    """Markers and aborted records between two batches are invisible offsets, not a loss (G6)."""
    asked, _ = gaps(Log([0, 1, 7, 8]))
    assert await asked.before(PARTITION, 2, 7) == [(2, 7)]


async def test_a_batch_that_was_dropped_is_never_committed_over() -> None:
    """A record that a reader sees in the gap is read again, and a worker that never gets it stops (G1)."""
    asked, _ = gaps(Log([0, 1, 4, 5, 7]))
    for _ in range(MOST_TIMES - 1):
        with pytest.raises(NotHandedOver, match=r"topic\[3\]@4 was not handed over, though the batch at 7 was"):
            await asked.before(PARTITION, 2, 7)
    with pytest.raises(Stop, match=r"topic\[3\]@4 was not handed over.*, 10 times"):
        await asked.before(PARTITION, 2, 7)


@pytest.mark.parametrize(("beginning", "lost", "invisible"), [(5, 3, [(5, 7)]), (7, 5, []), (9, 5, [])])
async def test_what_retention_removed_unread_is_counted_as_lost(
    beginning: int, lost: int, invisible: list[tuple[int, int]]
) -> None:
    """Offsets below the partition's beginning are lost, and never called invisible (G6)."""
    asked, metrics = gaps(Log([7, 8, 9], beginning))
    assert await asked.before(PARTITION, 2, 7) == invisible
    assert metrics.registry.get_sample_value("siltstone_lost_records_total", {"topic": "topic"}) == lost


@pytest.mark.parametrize("error", [OSError("gone"), TimeoutError(), KafkaTimeoutError(), NodeNotReadyError()])
async def test_a_broker_that_is_away_is_waited_for(error: Exception) -> None:
    """The gap cannot be read now: an outage, neither a stop nor a pass (G5)."""
    asked, _ = gaps(Log([], error=error))
    with pytest.raises(RetryLater) as raised:
        await asked.before(PARTITION, 2, 7)
    assert raised.value.kind == "kafka"


@pytest.mark.parametrize(
    ("offsets", "missing"),
    [([4, 5, 6], []), ([4, 6, 9], [(5, 6), (7, 9)]), ([4], []), ([5, 6], [(4, 5)])],
)
def test_offsets_that_the_records_leave_out(offsets: list[int], missing: list[tuple[int, int]]) -> None:
    """From the expected offset to the last record, every offset is a record's or listed as unread."""
    assert unread(4, [record(o) for o in offsets]) == missing


async def test_a_partition_that_goes_back_is_asked_where_it_starts() -> None:
    """Records below the expected offset come of a topic made anew under a running worker: it asks the ledger (G6)."""

    class Anew:
        async def of(self, partitions: list[TopicPartition], _consumer: Any) -> dict[TopicPartition, int]:
            raise Stop(f"{partitions[0].topic} was made anew")

    consumer: Any = SimpleNamespace
    unused: Any = None
    starts: Any = Anew()
    assignment = Assignment(Hold(Metrics()), 1)
    assignment.next_offset[PARTITION] = 30
    pipeline = Pipeline(
        Family.extraction,
        "group",
        consumer=consumer,
        assignment=assignment,
        starts=starts,
        gaps=gaps(Log([0, 1]))[0],
        claims=unused,
        writer=unused,
        dead_letters=unused,
        window=unused,
        batch_max_bytes=1,
        metrics=Metrics(),
    )
    assert await pipeline._look_back({PARTITION: [record(30), record(31)]}) == {}
    with pytest.raises(Stop, match="made anew"):
        await pipeline._look_back({PARTITION: [record(0), record(1)]})


def test_records_are_told_apart_by_partition() -> None:
    """Each partition has its records in the order they came."""
    polled = [record(0, 1), record(5, 2), record(1, 1)]
    found = by_partition(polled)
    assert {p.partition: [r.offset for r in rs] for p, rs in found.items()} == {1: [0, 1], 2: [5]}
