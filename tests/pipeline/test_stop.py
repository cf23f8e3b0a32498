"""Faults that every record shares end the worker, with one clear line and nothing dead-lettered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.support.events import event, extraction, record
from tests.support.faults import create_topics_again, delete_topic, last_words
from tests.support.installation import Installation, drop_database, make_database
from tests.support.storing import database_of
from tests.support.worker import WorkerProcess
from workers.starts import Starts


async def stopped(worker: WorkerProcess) -> str:
    """The one line that a worker ended with; it did not end well."""
    assert await worker.ended(40) == 1
    assert "Traceback" not in worker.log
    assert '"level": "error"' not in worker.log
    (line,) = last_words(worker)
    return line


async def test_what_is_missing_at_the_start_is_named_with_its_remedy(installation: Installation) -> None:
    """A database never migrated, topics that are not there: one line each, with the command that mends it."""
    await installation.create_topics()
    empty = await make_database(installation.services)
    try:
        unmigrated, no_topics, no_database = await asyncio.gather(
            stopped(installation.worker(environment={"DATABASE_URL": empty})),
            stopped(installation.worker(environment={"SILTSTONE_TOPIC_PREFIX": "nowhere."}, anew=True)),
            stopped(installation.worker(environment={"DATABASE_URL": installation.database_url + "_gone"})),
        )
    finally:
        await drop_database(installation.services, empty)
    assert "was never migrated" in unmigrated
    assert "run `siltstone db upgrade`" in unmigrated
    assert "nowhere.siltstone.extraction" in no_topics
    assert "run `siltstone topics apply`" in no_topics
    assert "3D000" in no_database
    assert '_gone" does not exist; create it, or correct DATABASE_URL' in no_database


FAULTS = {
    "extraction": ("ALTER TABLE extraction_event RENAME TO elsewhere", "42P01", 'relation "extraction_event"'),
    "execution": ("REVOKE INSERT ON run_event FROM siltstone_worker", "42501", "table run_event"),
    "exception": ("ALTER TABLE exception RENAME COLUMN severity TO elsewhere", "42703", "severity"),
}
MENDING = [
    "ALTER TABLE elsewhere RENAME TO extraction_event",
    "GRANT INSERT ON run_event TO siltstone_worker",
    "ALTER TABLE exception RENAME COLUMN elsewhere TO severity",
]


def one_of(family: str) -> dict[str, Any]:
    """An event of each family."""
    if family == "extraction":
        return extraction(1)
    if family == "execution":
        return event("run.started", "run-1", {"kind": "test"})
    made = {"domain": "d", "type": "t", "severity": "low", "source_system": "s"}
    return event("exception.created", "exception-1", {"actor_type": "system", "set": made})


async def test_a_missing_table_privilege_or_column_stops_the_worker(installation: Installation) -> None:
    """Each ends its worker with its SQLSTATE and its name; no letter, no offset; mended, all is stored (G1, G5)."""
    await installation.create_topics()
    workers = {family: installation.worker("--family", family) for family in FAULTS}
    await asyncio.gather(*(worker.ready() for worker in workers.values()))
    for family, (damage, _, _) in FAULTS.items():
        await installation.execute(damage)
        await installation.produce(installation.topic(family), [record(one_of(family))])
    lines = dict(zip(workers, await asyncio.gather(*map(stopped, workers.values())), strict=True))
    for family, (_, sqlstate, name) in FAULTS.items():
        assert sqlstate in lines[family]
        assert name in lines[family]
        assert "is it migrated? `siltstone db status` tells" in lines[family]
        assert await installation.committed(family) == {}
        assert await installation.read_all(installation.dlq(family)) == []
    for repair in MENDING:
        await installation.execute(repair)
    await installation.worker().ready()
    for family in FAULTS:
        await installation.settled(family)
    assert await installation.fetch(
        """
        SELECT (SELECT count(*) FROM extraction_event) AS extractions, (SELECT count(*) FROM run_event) AS runs,
               (SELECT count(*) FROM exception_event) AS exceptions, (SELECT count(*) FROM dead_letter) AS letters
        """
    ) == [{"extractions": 1, "runs": 1, "exceptions": 1, "letters": 0}]


async def test_a_topic_made_anew_stops_the_worker(installation: Installation) -> None:
    """A topic that ends below its ledger is another of that name, before a start or under a running worker (G6)."""
    await installation.create_topics(1)
    families = ["extraction", "execution"]
    workers = {family: installation.worker("--family", family, "--consumers", "1") for family in families}
    for family in families:
        await installation.produce(installation.topic(family), [record(one_of(family)) for _ in range(30)])
    await asyncio.gather(*(installation.settled(family) for family in families))
    rows = await installation.tables()
    assert await workers["execution"].stop() == 0
    for family in families:
        await delete_topic(installation, installation.topic(family))
    await create_topics_again(installation, 1)
    workers["execution"] = installation.worker("--family", "execution", "--consumers", "1")
    for family in families:
        await installation.produce(installation.topic(family), [record(one_of(family)) for _ in range(3)])
    for family, line in zip(families, await asyncio.gather(*map(stopped, workers.values())), strict=True):
        topic = installation.topic(family)
        assert f"{topic}[0] ends at 3, but 30 offsets of it were settled: the topic was made anew" in line
        assert await installation.committed(family) == {}
        assert await installation.read_all(installation.dlq(family)) == []
    assert await installation.tables() == rows
    assert len(rows["extraction_event"]) == len(rows["run_event"]) == 30


class SuspendedReader(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka has no types
    """Stands still after it was told where partitions end, while others go on."""

    meanwhile: Callable[[], Awaitable[None]]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The ends, as they were before."""
        ends: dict[TopicPartition, int] = await super().end_offsets(partitions)
        await self.meanwhile()
        return ends


async def test_a_worker_that_was_suspended_takes_no_topic_for_a_new_one(installation: Installation) -> None:
    """What others settled after it had asked where a partition ends is no sign that the topic was made anew."""
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    await installation.worker("--family", "extraction").ready()
    await installation.produce(topic, [record(extraction(n)) for n in range(10)])
    await installation.settled("extraction")

    async def others_go_on() -> None:
        await installation.produce(topic, [record(extraction(n)) for n in range(10, 15)])
        await installation.settled("extraction")

    group = f"{installation.settings.kafka_group_id}.extraction"
    reader = SuspendedReader(bootstrap_servers=installation.services.kafka)
    reader.meanwhile = others_go_on
    member = AIOKafkaConsumer(bootstrap_servers=installation.services.kafka, group_id=group, enable_auto_commit=False)
    database = database_of(installation.database_url)
    try:
        await asyncio.gather(reader.start(), member.start())
        place = TopicPartition(topic, 0)
        assert await Starts(database, reader, group).of([place], member) == {place: 10}
        assert await installation.committed("extraction") == {0: 15}
    finally:
        await asyncio.gather(reader.stop(), member.stop(), database.close())
