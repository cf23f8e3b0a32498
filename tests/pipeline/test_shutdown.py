"""SIGTERM drains."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.support.events import extraction, record
from tests.support.faults import account, counts, stored
from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import WorkerProcess

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'extraction_event'::regclass"


@asynccontextmanager
async def one_that_waits(installation: Installation, worker: WorkerProcess) -> AsyncIterator[None]:
    """Ten records in flight, which wait for a lock on their table until the block ends."""
    blocker = await asyncpg.connect(installation.dsn)
    try:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE extraction_event IN ACCESS EXCLUSIVE MODE")
            records = [record(extraction(10_000 + i)) for i in range(10)]
            await installation.produce(installation.topic("extraction"), records, partition=0)

            async def waits() -> bool:
                assert worker.process.poll() is None, worker.log
                return bool(await blocker.fetchval(WAITING))

            await until("the worker waits for the lock", waits, 20)
            yield
    finally:
        await blocker.close()


async def test_sigterm_finishes_and_commits_what_is_in_flight(installation: Installation) -> None:
    """SIGTERM while records flow ends with 0 in seconds, and nothing is delivered again afterwards (G1)."""
    await installation.create_topics()
    records = [record(extraction(i)) for i in range(4000)]
    await installation.produce(installation.topic("extraction"), records)
    small = {"SILTSTONE_BATCH_MAX_ROWS": "40"}
    first = installation.worker("--family", "extraction", environment=small, anew=True)
    await stored(installation, 200)
    began = time.monotonic()
    assert await first.stop() == 0
    assert time.monotonic() - began < 10
    done = (await counts(installation))["rows"]
    assert 200 <= done < 4000, "the signal did not come in the middle"
    assert sum((await installation.committed("extraction")).values()) == done
    second = installation.worker("--family", "extraction")
    await installation.settled("extraction")
    async with one_that_waits(installation, second):
        second.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for its batch
            await asyncio.to_thread(second.process.wait, 1)
    assert await second.ended() == 0
    await installation.settled("extraction")
    assert await account(installation, "extraction") == {"stored": 4010, "duplicate": 0, "refused": 0, "invisible": 0}
    assert await counts(installation) == {"rows": 4010, "counted": 4010, "letters": 0}


async def test_sigterm_during_an_outage_does_not_wait_for_its_end(installation: Installation) -> None:
    """A batch that cannot end within the timeout is given up uncommitted, and the next worker stores it (G1, G5)."""
    await installation.create_topics()
    worker = await installation.worker(
        "--family", "extraction", environment={"SILTSTONE_SHUTDOWN_TIMEOUT_SECONDS": "2"}
    ).ready()
    async with one_that_waits(installation, worker):
        began = time.monotonic()
        assert await worker.stop() == 0
        assert 1 < time.monotonic() - began < 12
        assert await installation.committed("extraction") == {}
    second, _ = await asyncio.gather(
        installation.worker("--family", "extraction").ready(), installation.settled("extraction")
    )
    assert await counts(installation) == {"rows": 10, "counted": 10, "letters": 0}
    assert await second.stop() == 0


@pytest.mark.parametrize(
    ("away", "named"),
    [
        ({"DATABASE_URL": "postgresql+asyncpg://siltstone:unused@127.0.0.1:1/siltstone"}, "the database"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "Kafka at 127.0.0.1:1"),
    ],
)
async def test_a_worker_that_waits_to_start_says_for_what(
    installation: Installation, away: dict[str, str], named: str
) -> None:
    """It says what is away and why, once in half a minute; SIGTERM ends it with 0."""
    worker = installation.worker(environment=away)

    async def waits() -> bool:
        assert worker.process.poll() is None, worker.log
        return bool(worker.events("waiting to start"))

    await until("the worker says that it waits", waits, 30)
    assert await worker.stop() == 0
    [said] = worker.events("waiting to start")
    assert (said["waits_for"], said["level"]) == (named, "warning")
    assert said["because"]
    assert "unused" not in worker.log
