"""A worker that dies between any two steps of its work: those that follow make the tables what the model says."""

import asyncio
import os
import random
from datetime import UTC, datetime
from functools import partial

import pytest

from contracts.event_type import Family
from tests.storm.compare import differences
from tests.storm.model import Model
from tests.storm.publishing import Publisher, see_topics
from tests.storm.traffic import Traffic
from tests.support import commands
from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker_that_dies import KILLED, POINTS, REBALANCE, die_at

RECORDS = 1000  # published before each death
SMALL = {"SILTSTONE_BATCH_MAX_ROWS": "60"}


class Crash:
    """An installation with traffic in its topics, for workers that die and for the one that ends the work."""

    def __init__(self, installation: Installation) -> None:
        seed = random.randrange(1 << 32)
        print("seed", seed)  # noqa: T201 - pytest shows it when the test fails
        self.installation = installation
        self.traffic = Traffic(seed, datetime.now(UTC))
        self.topics = {family.value: installation.topic(family) for family in Family}
        self.kafka = installation.services.kafka
        self.published = 0

    async def publish(self) -> None:
        """So many records more."""
        publisher = Publisher(self.traffic, self.topics, self.kafka)
        await publisher.run(lambda: RECORDS, lambda: True)
        self.published += publisher.sent

    async def batches(self) -> int:
        """How many batches were stored so far."""
        return int(await self.installation.value("SELECT count(*) FROM ingest_batch"))

    async def has_more_than(self, batches: int) -> bool:
        return await self.batches() > batches

    async def die(self, point: str, instance: str = "one") -> int:
        """Run a worker that dies at a point; its exit code."""
        environment = self.installation.environment | SMALL | {"SILTSTONE_HTTP_PORT": "0"}
        # A static member: its successor has its partitions at once, without a session to wait for.
        environment |= {"KAFKA_GROUP_INSTANCE_ID": instance}
        done = await asyncio.to_thread(
            commands.run, ["worker"], os.environ | environment, seconds=120, first=partial(die_at, point)
        )
        return done.returncode

    async def differs(self) -> list[str]:
        """What differs from the model when a worker has ended the work."""
        installation = self.installation
        worker = installation.worker(environment=SMALL | {"KAFKA_GROUP_INSTANCE_ID": "one"})
        model = Model(self.traffic.poison)
        await see_topics(model, installation)
        for family in Family:
            await installation.settled(family)
        await installation.letters(len(model.letters))
        found = await differences(installation.dsn, model)
        assert model.records == self.published
        assert await worker.stop() == 0
        verified = await asyncio.to_thread(installation.run, "verify")
        return found if verified.returncode == 0 else [*found, verified.stdout]


@pytest.fixture
async def crash(installation: Installation) -> Crash:
    """Topics, tenants and traffic."""
    made = Crash(installation)
    await installation.create_topics(2)
    await installation.execute(
        "INSERT INTO tenant (tenant_id, name, status) SELECT t, t, CASE WHEN t = ANY($2) THEN 'suspended' "
        "ELSE 'active' END FROM unnest($1::text[]) AS t ON CONFLICT DO NOTHING",
        [*Traffic.tenants, *Traffic.suspended, *Traffic.late],
        list(Traffic.suspended),
    )
    return made


async def test_workers_that_die_at_each_point_lose_and_double_nothing(crash: Crash) -> None:
    """One after another dies at its point, each goes on where the one before left; the last one ends it (G1, G2)."""
    for point in POINTS:
        await crash.publish()
        assert (point, await crash.die(point)) == (point, KILLED)
    assert await crash.differs() == []


async def test_workers_that_die_in_a_rebalance_lose_and_double_nothing(crash: Crash) -> None:
    """Each is killed while another worker's coming takes its partitions away: before its batch drains, and after."""
    for point in REBALANCE:
        known = await crash.batches()
        await crash.publish()
        dying = asyncio.create_task(crash.die(point, "other"))
        await until("the first one stores", partial(crash.has_more_than, known))
        assert await crash.differs() == []
        assert (point, await dying) == (point, KILLED)
