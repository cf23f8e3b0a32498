"""Workers that are killed or stand still in the middle of their work."""

import asyncio
import random
import signal

from tests.support.events import extraction, record
from tests.support.faults import account, counts, flowing, stored
from tests.support.installation import Installation
from tests.support.waiting import until

KILLS = 3
SMALL = {"SILTSTONE_BATCH_MAX_ROWS": "50"}


async def test_a_worker_killed_again_and_again_loses_and_doubles_nothing(installation: Installation) -> None:
    """SIGKILL three times while small batches flow, bad records among them: rows, counts and letters are exact."""
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - pytest shows it when the test fails
    draw = random.Random(seed)
    await installation.create_topics()
    records = [record(extraction(i, sessions=7)) for i in range(6000)]
    for _ in range(60):
        records.insert(draw.randrange(len(records)), (b"bad", draw.randbytes(8), []))
    await installation.produce(installation.topic("extraction"), records)
    # A static member: its successor has its partitions at once, without a session to wait for.
    environment = SMALL | {"KAFKA_GROUP_INSTANCE_ID": "one"}
    for _ in range(KILLS):
        worker = installation.worker("--family", "extraction", environment=environment)
        before = (await counts(installation))["rows"]
        await stored(installation, min(before + draw.randrange(1, 1200), 5900))
        assert await worker.stop(signal.SIGKILL) == -signal.SIGKILL
    worker = installation.worker("--family", "extraction", environment=environment)
    await installation.settled("extraction")
    await installation.letters(60)
    assert await counts(installation) == {"rows": 6000, "counted": 6000, "letters": 60}
    assert (await account(installation, "extraction"))["stored"] == 6000
    assert await worker.stop() == 0


async def test_a_worker_that_stood_still_while_another_took_over_doubles_nothing(installation: Installation) -> None:
    """SIGSTOP beyond the session timeout, another takes over, SIGCONT: both go on, and counts are exact (G2)."""
    await installation.create_topics()
    frozen = await installation.worker("--family", "extraction", environment=SMALL).ready()
    other = await installation.worker("--family", "extraction", environment=SMALL).ready()
    async with flowing(installation, 600) as flow:
        await stored(installation, 600)
        frozen.process.send_signal(signal.SIGSTOP)
        stood_still_at = flow.sent
    sent = flow.sent
    await installation.settled("extraction")  # by the other: after the session timeout it has all partitions
    assert sent >= stood_still_at
    assert (await counts(installation))["rows"] == sent
    frozen.process.send_signal(signal.SIGCONT)

    async def joined_again() -> bool:
        body = (await frozen.get("/health/ready"))[0]
        return body == 200 and await frozen.metric("siltstone_lag_records") == 0

    await until("the worker that stood still is back", joined_again, 30)
    more = [record(extraction(i, sessions=9)) for i in range(500)]
    await installation.produce(installation.topic("extraction"), more)
    await installation.settled("extraction")
    assert await counts(installation) == {"rows": sent + 500, "counted": sent + 500, "letters": 0}
    assert (await account(installation, "extraction"))["stored"] == sent + 500
    assert await asyncio.gather(frozen.stop(), other.stop()) == [0, 0]
