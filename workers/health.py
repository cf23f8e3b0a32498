"""Health by progress: alive while positions move or there is nothing to read; never by whether others answer."""

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka.subscriber.usecase import BatchSubscriber as SubscriberUsecase

from persistence.database import COMMAND_TIMEOUT_SECONDS
from workers.assignment import Assignment
from workers.metrics import Metrics

STALLED_SECONDS = COMMAND_TIMEOUT_SECONDS + 30.0  # a Postgres that went silent is held for by then
POSITION_SECONDS = 1.0


class Stream:
    """One consumer under watch. `stopped` says why it stopped by itself, if it did."""

    def __init__(self, name: str, assignment: Assignment, stopped: Callable[[], str | None] = lambda: None) -> None:
        self.name = name
        self.assignment = assignment
        self.stopped = stopped
        self.subscriber: SubscriberUsecase | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._moved_at = time.monotonic()

    def consumer(self) -> AIOKafkaConsumer:
        """The running consumer; only a batch, which it has polled, may ask."""
        if self.subscriber is None or self.subscriber.consumer is None:
            raise RuntimeError(f"{self.name} has not started")
        return self.subscriber.consumer

    @property
    def is_holding(self) -> bool:
        """Whether an outage is being waited for."""
        return self.assignment.hold.is_holding

    async def behind(self) -> dict[TopicPartition, int]:
        """For each assigned partition, its end less the position: a transaction's marker counts as read."""
        positions = await self._read_positions()
        settled = self.assignment.next_offset if self.assignment.busy_since is not None else {}
        lag: dict[TopicPartition, int] = {}
        for partition, position in positions.items():
            end = self.consumer().highwater(partition)
            if end is not None:
                lag[partition] = max(0, end - settled.get(partition, position))
        return lag

    async def stalled_seconds(self) -> float:
        """For how long positions have stood still although there was something to read."""
        now = time.monotonic()
        positions = await self._read_positions()
        ends = {p: self.consumer().highwater(p) for p in positions}
        has_more = any((ends.get(p) or 0) > at for p, at in positions.items())
        if positions != self._positions or not has_more or self.is_holding:
            self._positions, self._moved_at = positions, now
        return now - self._moved_at

    async def _read_positions(self) -> dict[TopicPartition, int]:
        positions: dict[TopicPartition, int] = {}
        if self.subscriber is None or self.subscriber.consumer is None:
            return positions
        for partition in self.consumer().assignment():
            try:
                async with asyncio.timeout(POSITION_SECONDS):
                    positions[partition] = await self.consumer().position(partition)
            except (TimeoutError, KafkaError):
                continue  # just revoked, or its offsets are still being asked for: it has no position now
        return positions


class Health:
    """What the probes answer. An outage makes a worker unready, never dead: a restart would mend nothing."""

    def __init__(
        self, streams: Sequence[Stream], metrics: Metrics, *, most_stalled_seconds: float = STALLED_SECONDS
    ) -> None:
        self._streams = streams
        self._metrics = metrics
        self._most_seconds = most_stalled_seconds

    async def problems(self) -> list[str]:
        """Why this process should be restarted; empty while it makes progress."""
        found: list[str] = []
        for stream in self._streams:
            busy = stream.assignment.busy_since
            if reason := stream.stopped():
                found.append(f"{stream.name} stopped: {reason}")
            elif stream.is_holding:
                continue
            elif busy is not None and time.monotonic() - busy > self._most_seconds:
                found.append(f"{stream.name} has had one batch in flight for {time.monotonic() - busy:.0f} s")
            elif busy is None and (seconds := await stream.stalled_seconds()) > self._most_seconds:
                found.append(f"{stream.name} has not moved for {seconds:.0f} s, with records to read")
        return found

    def unready(self) -> list[str]:
        """Why no work can be counted on now; empty when every consumer has joined and none holds a batch."""
        joining = [f"{s.name} has not joined its group" for s in self._streams if not s.assignment.has_joined]
        return joining + [f"{s.name} holds a batch until an outage is over" for s in self._streams if s.is_holding]

    async def refresh(self) -> None:
        """Bring the gauges up to date, for a scrape."""
        self._metrics.lag.clear()  # partitions that went to another worker are its to report
        self._metrics.holding.set(float(any(s.is_holding for s in self._streams)))
        for stream in self._streams:
            for partition, behind in (await stream.behind()).items():
                self._metrics.lag.labels(partition.topic, str(partition.partition)).set(behind)
