"""Letters that other systems wrote, through a real worker into the index, and the gauges that alerts are made of."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete
from sqlalchemy.engine import make_url

from contracts import letter as form
from persistence import migrate
from tests.support.events import encoded, extraction
from tests.support.faults import administering
from tests.support.installation import Header, Installation
from tests.support.waiting import until
from workers import letter_gauges
from workers.database import database
from workers.letter_gauges import LetterGauges
from workers.metrics import Metrics

Raw = tuple[bytes | None, bytes | None, list[Header]]

OWN: list[Header] = [("content-type", b"application/json"), ("trace", None)]
EVENT = encoded(extraction(1, id="e-1"))
FORGED = "11111111-1111-1111-1111-111111111111"
BAD: Raw = (b"acme/x", b"no JSON", [])


def foreign(claimed: str) -> list[Raw]:
    """A letter of each system; some say that they are of the record at offset 0 of partition 0 of `claimed`."""
    connect: list[Header] = [
        ("__connect.errors.topic", claimed.encode()),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"0"),
        ("__connect.errors.stage", b"TASK_PUT"),
        ("__connect.errors.exception.class.name", b"java.lang.IllegalStateException"),
        ("__connect.errors.exception.message", b"no\0 table"),
    ]
    spring: list[Header] = [
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", b"\x00\x07"),  # malformed
        ("kafka_dlt-original-offset", b"\x00\x00\x00\x00\x00\x00\x00\x07"),
        ("kafka_dlt-original-timestamp", b"\x00\x00\x00\x00\x00\x00\x00\x01"),
        ("kafka_dlt-original-consumer-group", b"billing"),
        ("kafka_dlt-exception-stacktrace", b"x" * 100_000),
    ]
    streams: list[Header] = [("__streams.errors.exception", b"a.B: c"), ("__streams.errors.message", None)]
    arroyo: list[Header] = [("original_partition", b"3"), ("original_offset", b"4")]
    siltstone: list[Header] = [
        *claim(claimed),
        ("x-dlq-id", FORGED.encode()),
        ("x-dlq-reason", b"bad_json"),
        ("x-dlq-redrive-count", b"9"),
    ]
    return [
        (b"acme/session-1", EVENT, [*OWN, *connect]),
        (None, b"not JSON", [*spring, *OWN]),
        (b"k", b"3", streams),
        (None, None, claim(claimed)),
        (None, b"[1]", [*OWN, *arroyo]),
        (b"k", b"", siltstone),
        (b"k", b"", OWN),
    ]


def claim(topic: str) -> list[Header]:
    """KIP-1191's headers, as a share group writes them."""
    return [
        ("__dlq.errors.topic", topic.encode()),
        ("__dlq.errors.partition", b"0"),
        ("__dlq.errors.offset", b"0"),
        ("__dlq.errors.group", b"share"),
    ]


def expected(claimed: str) -> list[dict[str, Any]]:
    """The columns of each of these letters that tell it from one of which nothing is known."""
    nothing = {
        "source": "unknown", "topic": "unknown", "partition": -1, "offset": -1, "consumer_group": "unknown",
        "reason": "unknown", "stage": "unknown", "error": "unknown", "exception": None, "record_timestamp": -1,
        "tenant_id": None, "event_type": None, "event_id": None, "subject": None, "sqlstate": None,
        "header_names": [], "header_values": [], "redrive_count": 0, "status": "dead",
    }  # fmt: skip
    own = {"header_names": ["content-type", "trace"], "header_values": [b"application/json", None]}
    claims = {"topic": claimed, "partition": 0, "offset": 0}
    event = {
        "tenant_id": "acme", "event_type": "siltstone.extraction.recorded.v1", "event_id": "e-1",
        "subject": "session-1",
    }  # fmt: skip
    connect = {"stage": "TASK_PUT", "exception": "java.lang.IllegalStateException", "error": "no\ufffd table"}
    spring = {"topic": "orders", "offset": 7, "record_timestamp": 1, "consumer_group": "billing"}
    return [
        nothing | own | claims | event | connect | {"source": "connect"},
        nothing | own | spring | {"source": "spring"},
        nothing | {"source": "streams", "exception": "a.B"},
        nothing | claims | {"source": "share-group", "consumer_group": "share"},
        nothing | own | {"source": "arroyo", "partition": 3, "offset": 4},
        nothing | claims | {"source": "siltstone", "consumer_group": "share", "reason": "bad_json"},
        nothing | own,
    ]


@asynccontextmanager
async def dlq_group(installation: Installation, topics: list[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the group that indexes dead letters, which joins no rebalance."""
    group = f"{installation.environment['KAFKA_GROUP_ID']}.dlq"
    consumer = AIOKafkaConsumer(bootstrap_servers=installation.services.kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0) for topic in topics])
        yield consumer
    finally:
        await consumer.stop()


async def test_letters_of_other_systems_are_indexed_and_account_for_nothing(installation: Installation) -> None:
    """Each has its source and what can be read of it; reading again changes nothing; verify misses a lost letter."""
    await installation.create_topics(partitions=1)
    topic, dlq = installation.topic("extraction"), installation.dlq("extraction")
    extra, missing = installation.prefix + "connect-dlq", installation.prefix + "missing"
    async with administering(installation) as admin:
        await admin.create_topics([NewTopic(extra, 1, 1)])
    await installation.produce(topic, [BAD], partition=0)
    await installation.produce(extra, foreign(topic), partition=0)
    await installation.produce(dlq, [(b"k", b"{}", OWN)], partition=0)  # no letter of ours, in a topic of ours
    named = {"SILTSTONE_DLQ_EXTRA_TOPICS": f"{extra}, {missing},{extra}"}
    arguments = ("--family", "extraction", "--consumers", "1")
    first = await installation.worker(*arguments, environment=named).ready()
    written = await installation.read_all(extra)
    index = {(row["letter_topic"], row["letter_offset"]): row for row in await installation.letters(len(written) + 2)}

    wanted = expected(topic)
    for letter, columns in zip(written, wanted, strict=True):
        row = index.pop((extra, letter.offset))
        assert {name: row[name] for name in columns} == columns
        assert (row["key"], row["value"], row["letter_partition"]) == (letter.key, letter.value, 0)
        assert row["id"] == form.letter_id(extra, 0, letter.offset, letter.timestamp, letter.value)
        assert row["first_failed_at"] == datetime.fromtimestamp(letter.timestamp / 1000, tz=UTC)
    assert sorted((row["source"], row["reason"], row["topic"]) for row in index.values()) == [
        ("siltstone", "bad_json", topic),
        ("unknown", "unknown", "unknown"),
    ]
    ours = 'SELECT topic, "offset", reason FROM dead_letter_trip WHERE topic = $1'
    assert await installation.fetch(ours, topic) == [{"topic": topic, "offset": 0, "reason": "bad_json"}]
    warned = [json.loads(line) for line in first.log.splitlines() if "extra topics" in line]
    assert [line["topics"] for line in warned] == [[missing]]

    assert await first.stop() == 0
    before = await installation.fetch("SELECT * FROM dead_letter ORDER BY id")
    async with dlq_group(installation, [extra, dlq]) as group:
        await group.commit({TopicPartition(extra, 0): 0, TopicPartition(dlq, 0): 0})
        second = await installation.worker(*arguments, environment=named).ready()

        async def has_read_again() -> bool:
            at = [await group.committed(TopicPartition(name, 0)) for name in (extra, dlq)]
            return at == [len(written), 2]

        await until("all letters were read again", has_read_again)
    assert await installation.fetch("SELECT * FROM dead_letter ORDER BY id") == before

    unresolved = {
        reason: await second.metric("siltstone_letters_unresolved", reason=reason)
        for reason in ("bad_json", "unknown", "bad_utf8")
    }
    assert unresolved == {"bad_json": 2, "unknown": len(written), "bad_utf8": 0}
    oldest = min(row["first_failed_at"] for row in before).timestamp()
    age = await second.metric("siltstone_letters_oldest_seconds")
    assert 0 < age <= datetime.now(UTC).timestamp() - oldest
    assert await second.stop() == 0

    assert installation.run("verify", "--family", "extraction").returncode == 0
    await installation.execute("DELETE FROM dead_letter_trip")
    async with administering(installation) as admin:
        await admin.delete_records({TopicPartition(dlq, 0): RecordsToDelete(-1)})
    lost = installation.run("verify", "--family", "extraction", "-o", "jsonl")
    assert lost.returncode == 6
    assert json.loads(lost.stdout.splitlines()[0])["kind"] == "missing_letter"


async def test_a_topic_of_events_is_no_topic_of_letters(installation: Installation) -> None:
    """A worker does not start when an extra topic is one of ours that holds events: each would become a letter."""
    await installation.create_topics(partitions=1)
    topic = installation.topic("execution")
    worker = installation.worker("--family", "extraction", environment={"SILTSTONE_DLQ_EXTRA_TOPICS": topic})
    assert await asyncio.to_thread(worker.process.wait, 60) != 0
    assert f"SILTSTONE_DLQ_EXTRA_TOPICS names {topic}, which holds events, not dead letters" in worker.log


async def put(installation: Installation, *letters: tuple[str, str, int]) -> None:
    """Letters (reason, status, hours since the first refusal) in place of all."""
    await installation.execute("DELETE FROM dead_letter")
    await installation.execute(
        """
        INSERT INTO dead_letter (id, topic, partition, "offset", consumer_group, reason, stage, error, header_names,
          header_values, record_timestamp, letter_topic, letter_partition, letter_offset, first_failed_at,
          last_failed_at, status)
        SELECT gen_random_uuid(), 't', 0, 0, 'g', reason, '', '', '{}', '{}', 0, 'dlq.t', 0, 0,
               now() - make_interval(hours => hours), now(), status
        FROM unnest($1::text[], $2::text[], $3::int[]) AS l(reason, status, hours)
        """,
        *map(list, zip(*letters, strict=True)),
    )


def unresolved(metrics: Metrics) -> dict[str, float]:
    """The gauge by reason."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {s.labels["reason"]: s.value for s in samples if s.name == "siltstone_letters_unresolved"}


def oldest_hours(metrics: Metrics) -> float:
    """The age of the oldest, in whole hours."""
    return (metrics.registry.get_sample_value("siltstone_letters_oldest_seconds") or 0.0) // 3600


async def test_gauges_count_what_is_unresolved_by_reason(installation: Installation) -> None:
    """Dead, redriving and parked ones; the age is of the first refusal; a reason that vanished is 0, as is no age."""
    metrics = Metrics()
    opened = database(installation.settings, "test")
    gauges = LetterGauges(opened, metrics)
    try:
        await gauges.refresh()
        assert (unresolved(metrics), oldest_hours(metrics)) == ({}, 0)
        await put(
            installation,
            ("bad_json", "dead", 1),
            ("bad_json", "redriving", 5),
            ("bad_json", "resolved", 9),
            ("unknown", "parked", 3),
            ("bad_time", "discarded", 9),
        )
        await gauges.refresh()
        assert (unresolved(metrics), oldest_hours(metrics)) == ({"bad_json": 2, "unknown": 1}, 5)
        await put(installation, ("bad_json", "resolved", 9), ("unknown", "dead", 3))
        await gauges.refresh()
        assert (unresolved(metrics), oldest_hours(metrics)) == ({"bad_json": 0, "unknown": 1}, 3)
        await put(installation, ("unknown", "discarded", 3))
        await gauges.refresh()
        assert (unresolved(metrics), oldest_hours(metrics)) == ({"bad_json": 0, "unknown": 0}, 0)
    finally:
        await opened.close()


class Counted(LetterGauges):
    """Counts how often it tried."""

    tries = 0

    async def refresh(self) -> None:
        self.tries += 1
        await super().refresh()


async def test_gauges_keep_their_values_through_an_outage(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away they stay, and one line is logged for all tries; afterwards they go on."""
    monkeypatch.setattr(letter_gauges, "EVERY_SECONDS", 0.01)
    metrics = Metrics()
    opened = database(installation.settings, "test")
    gauges = Counted(opened, metrics)
    name = make_url(installation.database_url).database
    server = await asyncpg.connect(migrate.driver_dsn(installation.services.database_url))
    await put(installation, ("bad_json", "dead", 1))
    with structlog.testing.capture_logs() as logged:
        task = asyncio.create_task(gauges.periodically())
        try:
            await until("they are set", lambda: says(metrics, {"bad_json": 1}), 10)
            await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            tried = gauges.tries
            await until("they were tried often", lambda: tried_more(gauges, tried + 5), 30)
            assert [line["event"] for line in logged] == ["dead letters were not counted"]
            assert (unresolved(metrics), oldest_hours(metrics)) == ({"bad_json": 1}, 1)
            await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await put(installation, ("bad_time", "dead", 1))
            await until("they go on", lambda: says(metrics, {"bad_json": 0, "bad_time": 1}), 10)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await opened.close()
            await server.close()


async def says(metrics: Metrics, counts: dict[str, float]) -> bool:
    """Whether the gauge has exactly these."""
    return unresolved(metrics) == counts


async def tried_more(gauges: Counted, often: int) -> bool:
    """Whether it tried so often."""
    return gauges.tries >= often
