"""The barrier between a batch in flight and a rebalance: a revoke waits for the batch, then fences it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from workers.failure import GivenUp
from workers.hold import Hold

log = structlog.get_logger("siltstone.assignment")


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """What one consumer may do with its partitions, now.

    aiokafka awaits the listener between "rejoin needed" and JoinGroup, while heartbeats go on and polls wait.
    Invariants: one batch in flight; nothing is committed by a batch of an earlier generation.
    """

    def __init__(self, hold: Hold, drain_seconds: float) -> None:
        self.hold = hold
        self._drain_seconds = drain_seconds
        self.generation = 0
        self.partitions: frozenset[TopicPartition] = frozenset()
        self.next_offset: dict[TopicPartition, int] = {}
        self.busy_since: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = asyncio.Event()  # no batch begins any more
        self.has_joined = False

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        """Wait for the batch in flight, bounded; a batch that waits for an outage to end is given up at once."""
        if self.hold.is_holding:
            self.hold.give_up()
        await self._drain(self._drain_seconds)
        self.generation += 1
        self.partitions = frozenset()
        self.next_offset.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin a generation: positions are what the group committed."""
        self.partitions = frozenset(assigned)
        self.has_joined = True
        self.next_offset.clear()
        if not self.closed.is_set():
            self.hold.renew()

    async def close(self, seconds: float) -> None:
        """Take no more batches; let the one in flight finish, but not wait for an outage to end."""
        self.closed.set()
        if self.hold.is_holding:
            self.hold.give_up()
        await self._drain(seconds)
        self.hold.give_up()

    async def _drain(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._idle.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                log.warning("the batch in flight was fenced: it took too long", seconds=seconds)
                self.hold.give_up()
                return
            if self.hold.is_holding:
                self.hold.give_up()
            try:
                await asyncio.wait_for(self._idle.wait(), min(left, 0.2))
            except TimeoutError:
                continue

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[int]:
        """The batch in flight; yields its generation. Raises GivenUp when no batch may begin."""
        if self.closed.is_set():
            raise GivenUp("the worker is stopping")
        self._idle.clear()
        self.busy_since = time.monotonic()
        try:
            yield self.generation
        finally:
            self.busy_since = None
            self._idle.set()

    def check(self, generation: int) -> None:
        """Raise GivenUp unless the batch of this generation may still commit."""
        if generation != self.generation:
            raise GivenUp("the partitions were revoked while the batch was in flight")
