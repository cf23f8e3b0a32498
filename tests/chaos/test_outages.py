"""Services that go away under load: the worker holds, and goes on by itself."""

import asyncio
import time
from pathlib import Path

from localstack import stack
from tests.support.faults import account, administering, counts, flowing, held, stored
from tests.support.installation import Installation
from tests.support.waiting import until

OUTAGE_SECONDS = 20


async def test_postgres_away_is_held_through_without_letters_or_losses(
    installation: Installation, folder: Path
) -> None:
    """Postgres crashed for 20 s under load: unready, alive, in its group; then every record once (G2, G5)."""
    await installation.create_topics()
    worker = await installation.worker("--family", "extraction").ready()
    async with flowing(installation) as flow:
        await stored(installation, 400)
        await asyncio.to_thread(stack.stop_postgres, folder, "immediate")
        until_then = time.monotonic() + OUTAGE_SECONDS
        await held(worker, "store", 15)

        async def is_unready() -> bool:
            return (await worker.get("/health/ready"))[0] == 503

        await until("the worker is unready", is_unready, 5)
        lives = []
        while time.monotonic() < until_then:  # the outage itself: nothing is waited for
            lives.append((await worker.get("/health/live"))[0])
            await asyncio.sleep(0.5)
        assert set(lives) == {200}
        assert await worker.metric("siltstone_holding") == 1
        assert await worker.metric("siltstone_retries_total") >= 3
        assert len(await members(installation)) == 2
        await asyncio.to_thread(stack.start_postgres, folder)
    await worker.ready()
    await installation.settled("extraction")
    assert await counts(installation) == {"rows": flow.sent, "counted": flow.sent, "letters": 0}
    assert worker.events("batch given up") == []
    assert await worker.stop() == 0


async def test_a_killed_broker_is_waited_for(installation: Installation, folder: Path) -> None:
    """Kafka killed and started under load: the worker goes on by itself, every record once, no letter (G1, G2)."""
    await installation.create_topics()
    worker = await installation.worker("--family", "extraction").ready()
    async with flowing(installation) as flow:
        await stored(installation, 400)
        await asyncio.to_thread(stack.stop_kafka, folder, kill=True)
        await asyncio.to_thread(stack.start_kafka, folder)
        before = flow.sent
        await stored(installation, before + 200)
    await installation.settled("extraction")
    assert await counts(installation) == {"rows": flow.sent, "counted": flow.sent, "letters": 0}
    assert (await account(installation, "extraction"))["stored"] == flow.sent
    assert await worker.stop() == 0


async def members(installation: Installation) -> list[str]:
    """The members of the group that settles extractions."""
    group = f"{installation.environment['KAFKA_GROUP_ID']}.extraction"
    async with administering(installation) as admin:
        answer = (await admin.describe_consumer_groups([group]))[0]
    (described,) = answer.groups
    return [member[0] for member in described[5]]
