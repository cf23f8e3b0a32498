"""`siltstone verify` after a real worker: what is whole, and each kind of damage found where it was done."""

import asyncio
import json
import signal
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from tests.support.events import encoded, event, extraction, record
from tests.support.installation import Header, Installation

BAD: tuple[bytes, bytes, list[Header]] = (b"acme/x", b"no JSON", [])


def verified(installation: Installation, *arguments: str) -> tuple[int, list[tuple[Any, ...]], dict[str, Any]]:
    """The exit code, each discrepancy (topic, partition, first, last, kind), and the totals by topic."""
    done = installation.run("verify", "-o", "jsonl", *arguments)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows, done.stderr
    keys = ("topic", "partition", "first", "last", "kind")
    found = [tuple(row[k] for k in keys) for row in rows if row["kind"] != "totals"]
    return done.returncode, found, {row["topic"]: row for row in rows if row["kind"] == "totals"}


async def produce_in_transactions(installation: Installation, topic: str, partition: int) -> None:
    """10 records, a marker (10), 5 aborted (11 to 15), a marker (16), 10 records (17 to 26), a marker (27)."""
    producer = AIOKafkaProducer(bootstrap_servers=installation.services.kafka, transactional_id=installation.prefix)
    await producer.start()
    try:
        for count, commits in ((10, True), (5, False), (10, True)):
            await producer.begin_transaction()
            for i in range(count):
                await producer.send_and_wait(topic, encoded(extraction(i)), b"acme/x", partition=partition)
            await (producer.commit_transaction() if commits else producer.abort_transaction())
    finally:
        await producer.stop()


async def remove_records(installation: Installation, topic: str, partition: int, before: int) -> None:
    """Remove what lies below an offset, as Kafka's retention does; -1 is the end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.services.kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before)})
    finally:
        await admin.close()


async def commit_by_hand(installation: Installation, topic: str, offsets: dict[int, int]) -> None:
    """Set the offsets of the extraction family's group, which must have no member."""
    group = f"{installation.environment['KAFKA_GROUP_ID']}.extraction"
    consumer = AIOKafkaConsumer(bootstrap_servers=installation.services.kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for p in offsets])
        await consumer.commit({TopicPartition(topic, p): offset for p, offset in offsets.items()})
    finally:
        await consumer.stop()


async def test_verify_finds_what_was_damaged_and_nothing_else(installation: Installation) -> None:
    """Whatever workers, markers, retention and a lagging index do is accounted for; each damage is named (G6)."""
    await installation.create_topics()
    topic, runs = installation.topic("extraction"), installation.topic("execution")
    good = [record(extraction(i)) for i in range(100)]
    await installation.produce(topic, good, partition=0)
    await installation.produce(topic, [*good[:40], BAD, BAD, *good[:10], BAD], partition=1)  # bad: 40, 41 and 52
    await produce_in_transactions(installation, topic, 2)
    others = [record(extraction(i)) for i in range(20)]
    await installation.produce(topic, others, partition=3)
    started = [event("run.started", f"run-{i}", {"kind": "test"}) for i in range(5)]
    await installation.produce(runs, [record(e) for e in started], partition=0)

    worker = await installation.worker("--family", "extraction", "--family", "execution").ready()
    code, found, _ = verified(installation)  # in the middle of it all
    assert (code, found) == (0, [])
    await installation.settled("extraction")
    await installation.settled("execution")
    await installation.letters(3)
    assert await worker.stop() == 0

    code, found, totals = verified(installation)
    assert (code, found) == (0, [])
    assert totals[runs]["stored"] == 5
    of_topic = totals[topic]
    # Which of two deliveries was stored first is not fixed: 50 of partitions 0 and 1 are the same events.
    assert of_topic["stored"] + of_topic["duplicate"] == 100 + 50 + 20 + 20
    assert of_topic["duplicate"] == 50
    assert (of_topic["refused"], of_topic["invisible"], of_topic["lost"]) == (3, 7, 0)
    assert (of_topic["partitions"], of_topic["checked"]) == (4, 100 + 53 + 27 + 20)

    # A month that retention dropped is no discrepancy, nor is a letter that only its topic has.
    await installation.execute("SELECT siltstone_maintain('run_event', 1, now() + interval '1 year')")
    assert await installation.value("SELECT count(*) FROM run_event") == 0
    await installation.execute('DELETE FROM dead_letter_trip WHERE partition = 1 AND "offset" = 41')
    code, found, totals = verified(installation)
    assert (code, found, totals[runs]["stored"]) == (0, [], 5)

    # Now damage. Letters 40 and 52 stay in the index, and partition 2 is committed over nothing but a marker.
    await remove_records(installation, installation.dlq("extraction"), 1, -1)
    doomed = "FROM extraction_event WHERE kafka_partition = 3 AND kafka_offset = ANY ($1)"
    await installation.execute(f"DELETE {doomed}", [5, 6, 9])
    await installation.execute(
        "UPDATE extraction_event SET kafka_offset = 1000 WHERE kafka_partition = 3 AND kafka_offset = 12"
    )
    await installation.produce(topic, [record(extraction(i)) for i in range(200, 206)], partition=0)  # 100 to 105
    await remove_records(installation, topic, 0, 104)
    await installation.produce(topic, [record(extraction(i)) for i in range(300, 310)], partition=3)  # 20 to 29
    await commit_by_hand(installation, topic, {2: 28, 3: 25})
    code, found, totals = verified(installation)
    assert found == [
        (topic, 0, 100, 103, "lost"),
        (topic, 1, 41, 41, "missing_letter"),
        (topic, 3, 5, 6, "missing_row"),
        (topic, 3, 9, 9, "missing_row"),
        (topic, 3, 12, 12, "missing_row"),
        (topic, 3, 20, 24, "unaccounted"),
        (topic, 3, 1000, 1000, "unledgered_row"),
    ]
    assert code == 6
    assert (totals[topic]["lost"], totals[topic]["discrepancies"]) == (4, 1 + 4 + 5 + 1)
    assert verified(installation, "--family", "execution")[:2] == (0, [])

    text = installation.run("verify")
    assert text.returncode == 6
    assert "11 offsets do not agree, and 4 were lost" in text.stderr


async def test_verify_is_right_while_workers_run_and_are_killed(installation: Installation) -> None:
    """Snapshots taken while a batch is in flight, after SIGKILL and during the second worker's catch-up all agree."""
    await installation.create_topics()
    topic = installation.topic("extraction")
    await installation.produce(topic, [record(extraction(i)) for i in range(4000)] + [BAD] * 50)
    small = {"SILTSTONE_BATCH_MAX_ROWS": "50"}
    first = await installation.worker("--family", "extraction", environment=small).ready()
    during = asyncio.create_task(asyncio.to_thread(verified, installation))
    await first.stop(signal.SIGKILL)
    assert (await during)[:2] == (0, [])
    assert verified(installation)[:2] == (0, [])
    await installation.worker("--family", "extraction", environment=small).ready()
    assert verified(installation)[:2] == (0, [])
    await installation.settled("extraction")
    code, found, totals = verified(installation)
    assert (code, found) == (0, [])
    assert totals[topic]["stored"] == 4000
    assert totals[topic]["refused"] == 50


async def test_the_table_of_totals_fits_80_columns(installation: Installation) -> None:
    """A line for each topic, without the prefix of all; the other formats have every number."""
    await installation.create_topics(1)
    done = installation.run("verify")
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines), max(map(len, lines)) <= 80) == (0, 4, True)
    assert lines[0].split() == ["topic", "checked", "stored", "duplicate", "refused", "lost", "discrepancies"]
    assert [line.split()[0] for line in lines[1:]] == [
        f"siltstone.{f}" for f in ("exception", "execution", "extraction")
    ]
    assert "invisible" in json.loads(installation.run("verify", "-o", "json").stdout)[0]
