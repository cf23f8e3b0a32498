"""The barrier between a batch in flight and a rebalance."""

import asyncio
import time

import pytest
from aiokafka import TopicPartition

from tests.support.waiting import until
from workers.assignment import Assignment
from workers.failure import GivenUp, RetryLater
from workers.hold import Hold
from workers.metrics import Metrics

PARTITION = TopicPartition("topic", 0)


def make(drain_seconds: float = 5) -> Assignment:
    return Assignment(Hold(Metrics()), drain_seconds)


async def test_a_revoke_waits_for_the_batch_in_flight() -> None:
    """Partitions are given back only when the batch has ended, and it may still commit until then (G1)."""
    assignment = make()
    await assignment.on_partitions_assigned({PARTITION})
    async with assignment.batch() as generation:
        revoke = asyncio.create_task(assignment.on_partitions_revoked({PARTITION}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert revoke.done() is False
        assignment.check(generation)
        assert assignment.partitions == {PARTITION}
    await asyncio.wait_for(revoke, 1)
    assert assignment.partitions == frozenset()
    assert assignment.next_offset == {}


async def test_a_batch_that_takes_too_long_is_fenced() -> None:
    """After the drain's seconds the revoke goes on, and the batch of the old generation may not commit (G1)."""
    assignment = make(drain_seconds=0.05)
    assignment.next_offset[PARTITION] = 7
    async with assignment.batch() as generation:
        await asyncio.wait_for(assignment.on_partitions_revoked({PARTITION}), 2)
        await assignment.on_partitions_assigned({PARTITION})
        with pytest.raises(GivenUp):
            assignment.check(generation)
        assert assignment.next_offset == {}


@pytest.mark.parametrize("begins", ["before", "during"])
async def test_a_batch_that_waits_for_an_outage_is_given_up_at_once(begins: str) -> None:
    """A revoke does not wait for an outage to end, whether it began before the revoke or during it (G5)."""
    assignment = make(drain_seconds=60)
    outage = asyncio.Event()
    if begins == "before":
        outage.set()

    async def store() -> None:
        await outage.wait()
        raise RetryLater("away", "08")

    async def settle() -> None:
        async with assignment.batch():
            await assignment.hold.until_done("store", store)

    batch = asyncio.create_task(settle())

    async def is_there() -> bool:
        return assignment.hold.is_holding if begins == "before" else assignment.busy_since is not None

    await until("the batch is there", is_there, 5)
    revoke = asyncio.create_task(assignment.on_partitions_revoked({PARTITION}))
    await asyncio.sleep(0)
    outage.set()
    began = time.monotonic()
    await asyncio.wait_for(revoke, 5)
    assert time.monotonic() - began < 3
    with pytest.raises(GivenUp):
        await batch


async def test_after_a_new_assignment_it_holds_again() -> None:
    """What was given up in one assignment is held in the next."""
    assignment = make()
    assignment.hold.give_up()
    await assignment.on_partitions_assigned({PARTITION})
    failed = False

    async def store() -> str:
        nonlocal failed
        if not failed:
            failed = True
            raise RetryLater("away", "08")
        return "stored"

    assert await assignment.hold.until_done("store", store) == "stored"


async def test_once_closed_no_batch_begins() -> None:
    """After SIGTERM the batch in flight ends, and none begins, not even after another assignment."""
    assignment = make()
    async with assignment.batch():
        closing = asyncio.create_task(assignment.close(5))
        await asyncio.sleep(0)
        assert closing.done() is False
    await asyncio.wait_for(closing, 1)
    await assignment.on_partitions_assigned({PARTITION})
    with pytest.raises(GivenUp):
        async with assignment.batch():
            pass


async def test_busy_since_tells_a_batch_in_flight() -> None:
    """It is a time while a batch is in flight, and None between batches, after an error too."""
    assignment = make()

    async def fail() -> None:
        async with assignment.batch():
            assert assignment.busy_since is not None
            raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        await fail()
    assert assignment.busy_since is None
    await asyncio.wait_for(assignment.on_partitions_revoked({PARTITION}), 1)
