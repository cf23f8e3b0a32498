"""Workers that share the work, come and go."""

import asyncio

from tests.support.events import extraction, record
from tests.support.faults import account, counts, flowing, stored
from tests.support.installation import Installation

SMALL = {"SILTSTONE_BATCH_MAX_ROWS": "50"}


async def test_workers_that_join_and_leave_while_records_flow_end_nobody(installation: Installation) -> None:
    """Two join a second apart, a third joins and leaves: none ends by itself, each record once (G2, G3)."""
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
    await installation.settled("extraction")
    assert [first.process.poll(), second.process.poll()] == [None, None]
    total = 3000 + flow.sent
    assert await counts(installation) == {"rows": total, "counted": total, "letters": 0}
    assert (await account(installation, "extraction"))["stored"] == total
    workers = await installation.fetch("SELECT DISTINCT worker FROM ingest_batch WHERE topic LIKE '%.extraction'")
    assert len(workers) >= 2, "the work was not shared"
    assert await asyncio.gather(first.stop(), second.stop()) == [0, 0]
