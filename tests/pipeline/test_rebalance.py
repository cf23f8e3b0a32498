"""Workers that share the work, come and go, and stand still."""

import asyncio
import signal

from tests.support.events import extraction, record
from tests.support.faults import account, counts, flowing, stored
from tests.support.installation import Installation
from tests.support.waiting import until

SMALL = {"SILTSTONE_BATCH_MAX_ROWS": "50"}


async def test_workers_that_join_leave_and_stand_still_lose_and_double_nothing(installation: Installation) -> None:
    """Two join a second apart, a third joins and leaves, one stands still beyond its session: counts are exact (G2)."""
    await installation.create_topics()
    backlog = [record(extraction(i, sessions=9)) for i in range(3000)]
    await installation.produce(installation.topic("extraction"), backlog)
    async with flowing(installation) as flow:
        first = installation.worker("--family", "extraction", environment=SMALL)
        await stored(installation, 1)
        second = installation.worker("--family", "extraction", environment=SMALL)
        await asyncio.sleep(1)  # the distance between the two, not a wait for anything
        third = installation.worker("--family", "extraction", environment=SMALL)
        await asyncio.gather(second.ready(), third.ready())
        assert await third.stop() == 0
        await stored(installation, 3000)
        first.process.send_signal(signal.SIGSTOP)
        at = flow.sent

        async def more_came() -> bool:
            return flow.sent > at + 100

        await until("records come that it does not see", more_came, 30)
    total = 3000 + flow.sent
    await installation.settled("extraction")  # by the second: after the session timeout it has all partitions
    assert (await counts(installation))["rows"] == total
    first.process.send_signal(signal.SIGCONT)

    async def is_back() -> bool:
        return await shares_of(installation, first.process.pid) > before

    before = await shares_of(installation, first.process.pid)
    async with flowing(installation, 200) as more:
        await until("the worker that stood still settles again", is_back, 30)
    await installation.settled("extraction")
    total += more.sent
    assert await counts(installation) == {"rows": total, "counted": total, "letters": 0}
    assert (await account(installation, "extraction"))["stored"] == total
    assert list(await asyncio.gather(first.stop(), second.stop())) == [0, 0]


async def shares_of(installation: Installation, pid: int) -> int:
    """How many batches a worker has settled."""
    return int(await installation.value("SELECT count(*) FROM ingest_batch WHERE worker LIKE $1", f"%-{pid}"))
