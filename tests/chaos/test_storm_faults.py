"""The storm's faults, some of each kind, each seen to strike: the storm itself asks only whether all is exact."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tests.storm import faults
from tests.storm.field import Field, progress
from tests.support.faults import administering, counts, flowing
from tests.support.waiting import until

SEED = random.randrange(1 << 32)


@pytest.fixture(scope="module")
async def field(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Field]:
    """Two workers on a stack of their own."""
    made = await Field.open(tmp_path_factory.mktemp("field"), workers=2, tenants=["acme"])
    print("seed", SEED)  # noqa: T201 - pytest shows it when a test fails
    yield made
    await made.close()


async def test_faults_inside_of_postgres_and_on_its_line_are_held_through(field: Field) -> None:
    """Each one reaches a worker as the SQLSTATE that it is about, and batches are stored again; every row is exact."""
    async with flowing(field.installation) as flow:
        for name, said in (
            ("statements timed out", "SQLSTATE 57014 (QueryCanceledError)"),
            ("disk full said", "SQLSTATE 53100 (DiskFullError)"),
            ("deadlock", "SQLSTATE 40P01 (DeadlockDetectedError)"),
            ("Postgres line cut", "for the connection"),
        ):
            with heard(field, said):
                await strike(field, name)
                await stored_again(field)
    await field.installation.settled("extraction")
    field.check()
    assert await counts(field.installation) == {"rows": flow.sent, "counted": flow.sent, "letters": 0}


async def test_a_suspended_worker_loses_its_partitions_and_comes_back(field: Field) -> None:
    """While it sleeps the other's two consumers are alone in the group; then all four are in it, and rows are exact."""
    before = (await counts(field.installation))["rows"]
    async with flowing(field.installation) as flow:
        assert await members(field) == 4
        striking = asyncio.create_task(strike(field, "worker suspended"))

        async def are_alone() -> bool:
            return await members(field) == 2

        async def are_together() -> bool:
            return await members(field) == 4

        await until("the sleeper is out", are_alone, 20)
        assert not striking.done()
        await striking
        await until("it is back", are_together, 30)
        await stored_again(field)
    await field.installation.settled("extraction")
    field.check()
    rows = before + flow.sent
    assert await counts(field.installation) == {"rows": rows, "counted": rows, "letters": 0}


async def test_a_worker_that_ends_by_itself_is_noticed(field: Field) -> None:
    """One that a fault ended on purpose is passed over. The last test: afterwards one worker is left, and starting."""
    await strike(field, "worker killed")
    field.check()
    gone = field.workers[0]
    gone.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(gone.process.wait)
    with pytest.raises(AssertionError, match=r"a worker ended by itself with -9:\n.*/worker-\d+\.log\n"):
        field.check()
    field.check()


async def strike(field: Field, name: str) -> None:
    """One fault, by its name."""
    fault = next(fault for fault in faults.FAULTS if fault.name == name)
    print(await faults.strike(field, random.Random(SEED), fault))  # noqa: T201


async def stored_again(field: Field) -> None:
    """Wait for a batch that began after now."""
    now = datetime.now(UTC)

    async def settled() -> bool:
        field.check()
        return "extraction" in await progress(field, now)

    await until("a batch is stored", settled, 60)


@contextmanager
def heard(field: Field, said: str) -> Iterator[None]:
    """Some worker holds meanwhile, and says why."""

    def times() -> int:
        return sum(said in entry["error"] for worker in field.workers for entry in worker.events("holding"))

    before = times()
    yield
    assert times() > before, [worker.log for worker in field.workers]


async def members(field: Field) -> int:
    """How many there are in the group that settles extractions."""
    group = f"{field.installation.environment['KAFKA_GROUP_ID']}.extraction"
    async with administering(field.installation) as admin:
        answer = (await admin.describe_consumer_groups([group]))[0]
    (described,) = answer.groups
    return len(described[5])
