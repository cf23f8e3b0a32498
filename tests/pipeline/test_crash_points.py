"""A worker that dies between any two steps of its work: the next one makes the tables what the model says."""

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
from tests.support.worker_that_dies import KILLED, POINTS, REBALANCE, die_at

RECORDS = 1000
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

    async def publish(self) -> None:
        publisher = Publisher(self.traffic, self.topics, self.kafka)
        await publisher.run(lambda: RECORDS, lambda: True)

    async def die(self, point: str, instance: str = "one") -> int:
        """Run a worker that dies at a point; its exit code."""
        environment = self.installation.environment | SMALL | {"SILTSTONE_HTTP_PORT": "0"}
        # A static member: its successor has its partitions at once, without a session to wait for.
        environment |= {"KAFKA_GROUP_INSTANCE_ID": instance}
        done = await asyncio.to_thread(
            commands.run, ["worker"], os.environ | environment, seconds=60, first=partial(die_at, point)
        )
        return done.returncode

    async def differs(self) -> list[str]:
        """What differs from the model when a worker has ended the work."""
        installation = self.installation
        worker = installation.worker(environment=SMALL | {"KAFKA_GROUP_INSTANCE_ID": "one"})
        model = Model(self.traffic.poison)
        await see_topics(model, self.topics, self.kafka)
        for family in Family:
            await installation.settled(family)
        await installation.letters(len(model.letters))
        found = await differences(installation.dsn, model)
        assert model.records == RECORDS
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
    await made.publish()
    return made


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_dies_there_loses_and_doubles_nothing(crash: Crash, point: str) -> None:
    """When another went on, every row and letter is as the model says, and every offset accounted for (G1, G2)."""
    assert await crash.die(point) == KILLED
    assert await crash.differs() == []


@pytest.mark.parametrize("point", REBALANCE)
async def test_a_worker_that_dies_in_a_rebalance_loses_and_doubles_nothing(crash: Crash, point: str) -> None:
    """Killed while its partitions are taken away by another worker's coming."""
    dying = asyncio.create_task(crash.die(point, "other"))
    found = await crash.differs()
    assert await dying == KILLED
    assert found == []
