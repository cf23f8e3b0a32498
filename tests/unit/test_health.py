"""Liveness by progress, with the clock moved by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import TopicPartition

from persistence.database import COMMAND_TIMEOUT_SECONDS
from workers.assignment import Assignment
from workers.health import Health, Stream
from workers.hold import Hold
from workers.metrics import Metrics

PARTITION = TopicPartition("topic", 0)


class Consumer:
    """A consumer at a position, of a partition that ends at a high watermark."""

    def __init__(self) -> None:
        self.at = 0
        self.end: int | None = 0

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    async def position(self, _partition: TopicPartition) -> int:
        return self.at

    def highwater(self, _partition: TopicPartition) -> int | None:
        return self.end


class Watched:
    """One stream, its consumer and its health, and a clock that stands until it is moved."""

    def __init__(self, stopped: Callable[[], str | None] = lambda: None) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        self.assignment = Assignment(Hold(self.metrics), 1)
        self.stream = Stream("extraction-1", self.assignment, stopped)
        self.consumer = Consumer()
        subscriber: Any = type("Subscriber", (), {"consumer": self.consumer})()
        self.stream.subscriber = subscriber
        self.health = Health([self.stream], self.metrics)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched()
    monkeypatch.setattr("workers.health.time", made)
    monkeypatch.setattr("workers.assignment.time", made)
    made.stream._moved_at = made.now
    return made


async def test_a_position_that_stands_with_records_to_read_is_a_problem(watched: Watched) -> None:
    """After 180 s without a move, and lag, the process is to be restarted; one move and it is well again."""
    watched.consumer.at, watched.consumer.end = 5, 9
    assert await watched.health.problems() == []
    watched.now += 180
    assert await watched.health.problems() == []
    watched.now += 1
    assert await watched.health.problems() == ["extraction-1 has not moved for 181 s, with records to read"]
    watched.consumer.at = 6
    assert await watched.health.problems() == []


@pytest.mark.parametrize("end", [5, None])
async def test_with_nothing_to_read_a_standing_position_is_well(watched: Watched, end: int | None) -> None:
    """An idle worker is alive for ever, also before it has heard where its partitions end."""
    watched.consumer.at, watched.consumer.end = 5, end
    await watched.health.problems()
    watched.now += 100_000
    assert await watched.health.problems() == []
    watched.consumer.end = 9  # the first records after a long silence are not a stall
    watched.now += 179
    assert await watched.health.problems() == []


async def test_a_batch_in_flight_too_long_is_a_problem(watched: Watched) -> None:
    """A wedged handler is found by the time that its batch has been in flight."""
    async with watched.assignment.batch():
        watched.now += 180
        assert await watched.health.problems() == []
        watched.now += 1
        assert await watched.health.problems() == ["extraction-1 has had one batch in flight for 181 s"]
    assert await watched.health.problems() == []


async def test_a_line_to_postgres_that_went_silent_is_no_problem_before_it_is_held_for(watched: Watched) -> None:
    """A command on it ends after its own limit, and then the batch is held: the probe waits for that (G5)."""
    async with watched.assignment.batch():
        watched.now += COMMAND_TIMEOUT_SECONDS + 1
        assert await watched.health.problems() == []


async def test_an_outage_makes_it_unready_but_never_dead(watched: Watched) -> None:
    """While a batch is held no time is too long; readiness says why (G5)."""
    await watched.assignment.on_partitions_assigned({PARTITION})
    watched.consumer.at, watched.consumer.end = 5, 9
    async with watched.assignment.batch():
        watched.assignment.hold.is_holding = True
        watched.now += 100_000
        assert await watched.health.problems() == []
        assert watched.health.unready() == ["extraction-1 holds a batch until an outage is over"]
        await watched.health.refresh()
        assert watched.metrics.registry.get_sample_value("siltstone_holding") == 1.0
    watched.assignment.hold.is_holding = False
    assert watched.health.unready() == []


async def test_it_is_ready_once_every_consumer_has_joined(watched: Watched) -> None:
    """An assignment, even of nothing, is what readiness waits for: a standby worker is ready."""
    assert watched.health.unready() == ["extraction-1 has not joined its group"]
    await watched.assignment.on_partitions_assigned(set())
    assert watched.health.unready() == []


async def test_a_consumer_that_stopped_by_itself_is_a_problem() -> None:
    """The letter index stops alone when a letter cannot be indexed, and the probe says so."""
    found = Watched(stopped=lambda: "dead letters cannot be indexed: SQLSTATE 42P01")
    assert await found.health.problems() == ["extraction-1 stopped: dead letters cannot be indexed: SQLSTATE 42P01"]


async def test_lag_counts_from_the_position_and_what_is_in_flight_as_unread(watched: Watched) -> None:
    """Lag is end less position; while a batch is in flight, end less what is settled; it reaches 0."""

    async def lag() -> float | None:
        await watched.health.refresh()
        return watched.metrics.registry.get_sample_value("siltstone_lag_records", {"topic": "topic", "partition": "0"})

    watched.consumer.at, watched.consumer.end = 5, 9
    assert await lag() == 4.0
    watched.consumer.at = 9
    watched.assignment.next_offset[PARTITION] = 5
    async with watched.assignment.batch():
        assert await lag() == 4.0
    assert await lag() == 0.0
