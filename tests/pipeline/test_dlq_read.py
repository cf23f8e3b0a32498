"""`siltstone dlq read`: dead-letter topics read into the index by hand (docs/dead-letters.md)."""

import asyncio
import json
import os
import re
import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete

from tests.support import commands
from tests.support.events import encoded, extraction, record
from tests.support.faults import administering
from tests.support.installation import Header, Installation
from tests.support.waiting import until
from tests.support.worker import SILTSTONE

Raw = tuple[bytes | None, bytes | None, list[Header]]

TABLES = ("dead_letter", "dead_letter_trip", "dead_letter_action")
LATER = "later"  # a tenant that does not exist at first

OWN: list[Header] = [("trace", b"\xff\x00"), ("content-type", b"application/json"), ("empty", None)]
CONNECT: list[Header] = [
    ("__connect.errors.topic", b"orders"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"9"),
    ("__connect.errors.stage", b"VALUE_CONVERTER"),
    ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
    ("__connect.errors.exception.message", "not é\0".encode()),
]
SPRING: list[Header] = [
    ("kafka_dlt-original-topic", b"orders"),
    ("kafka_dlt-original-partition", b"\x00\x00\x00\x07"),
    ("kafka_dlt-original-offset", b"\x00\x00\x00\x01\x00\x00\x00\x00"),
    ("kafka_dlt-original-consumer-group", b"billing"),
    ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
    ("kafka_dlt-exception-message", b"not today"),
]
ARROYO: list[Header] = [("original_partition", b"3"), ("original_offset", b"4")]
FOREIGN: list[Raw] = [
    (b"acme/s-1", encoded(extraction(1, id="e-1")), [*OWN, *CONNECT]),
    (None, b"\x00\xff no text", [*SPRING, *OWN]),
    (b"\xff", None, [*OWN, *ARROYO]),
    (None, b"{}", []),
]
SAID = [
    ("connect", "orders", 3, 9, "VALUE_CONVERTER", "not é\ufffd", "acme", "e-1", OWN),
    ("spring", "orders", 7, 1 << 32, "unknown", "not today", None, None, OWN),
    ("arroyo", "unknown", 3, 4, "unknown", "unknown", None, None, OWN),
    ("unknown", "unknown", -1, -1, "unknown", "unknown", None, None, []),
]


async def create(installation: Installation, name: str, partitions: int = 1) -> str:
    """A topic of another system, with a name of this test's own."""
    topic = installation.prefix + name
    async with administering(installation) as admin:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    return topic


def read(installation: Installation, *topics: str) -> list[dict[str, Any]]:
    """What `dlq read` counts, for topics that it can read."""
    named = [argument for topic in topics for argument in ("--topic", topic)]
    done = installation.run("dlq", "read", *named, "-o", "json")
    assert done.returncode == 0, done.stderr
    counted: list[dict[str, Any]] = json.loads(done.stdout)
    return counted


def counts(topic: str, new: int = 0, refused_again: int = 0, known: int = 0) -> dict[str, Any]:
    """What it counts of one topic."""
    total = new + refused_again + known
    return {"topic": topic, "read": total, "new": new, "refused_again": refused_again, "known": known}


async def whole_index(installation: Installation) -> dict[str, list[dict[str, Any]]]:
    """Every column of every row of letters, refusals and actions."""
    return {name: await installation.fetch(f"SELECT * FROM {name} ORDER BY 1, 2") for name in TABLES}  # noqa: S608


async def test_letters_of_other_systems_are_read_once(installation: Installation) -> None:
    """Each from the topic that is named, byte for byte, without a group; a second run changes no row."""
    extra = await create(installation, "connect-dlq", 3)
    other = await create(installation, "spring-dlt")
    await installation.produce(extra, [FOREIGN[0]], partition=2)
    await installation.produce(other, FOREIGN[1:], partition=0)
    assert read(installation, extra, other, extra) == [counts(extra, new=1), counts(other, new=3)]

    rows = await installation.fetch("SELECT * FROM dead_letter ORDER BY letter_topic, letter_offset")
    columns = ("source", "topic", "partition", "offset", "stage", "error", "tenant_id", "event_id")
    headers = [list(zip(row["header_names"], row["header_values"], strict=True)) for row in rows]
    assert [(*(row[c] for c in columns), own) for row, own in zip(rows, headers, strict=True)] == SAID
    assert [(row["key"], row["value"], row["status"]) for row in rows] == [(k, v, "dead") for k, v, _ in FOREIGN]
    lie = [(row["letter_topic"], row["letter_partition"], row["letter_offset"]) for row in rows]
    assert lie == [(extra, 2, 0), (other, 0, 0), (other, 0, 1), (other, 0, 2)]

    before = await whole_index(installation)
    assert read(installation, extra, other) == [counts(extra, known=1), counts(other, known=3)]
    assert await whole_index(installation) == before
    await installation.produce(other, [FOREIGN[3]], partition=0)
    table = installation.run("dlq", "read", "--topic", other)
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["topic", "read", "new", "refused", "again", "known"],
        [other, "4", "1", "0", "3"],
    ]
    async with administering(installation) as admin:
        groups = [group for group, *_ in await admin.list_consumer_groups()]
    assert [group for group in groups if group.startswith(installation.prefix.rstrip("."))] == []


async def worked_on(installation: Installation) -> None:
    """Six letters: one refused again, one resolved, one resolved and purged, one discarded, one parked, one dead."""
    await installation.create_topics(1)
    poison: list[Raw] = [
        record(extraction(1, tenant=LATER)),
        record(extraction(2, tenant=LATER)),
        (b"k", b"no JSON", []),
        (b"k", b"\xff", []),
        record(extraction(3, id="")),
        record(extraction(4, time="yesterday")),
    ]
    worker = await installation.worker("--family", "extraction").ready()
    await installation.produce(installation.topic("extraction"), poison, partition=0)
    letters = [str(row["id"]) for row in await installation.letters(6)]
    await installation.create_tenants(LATER)

    async def do(*arguments: str, code: int = 0) -> None:
        done = await asyncio.to_thread(installation.run, "dlq", *arguments)
        assert done.returncode == code, done.stderr

    await do("redrive", "--id", letters[0], "--yes", "--wait")
    await do("purge", "--before", datetime.now(UTC).isoformat(), "--yes")
    await do("redrive", "--id", letters[1], "--id", letters[2], "--yes", "--wait", code=4)
    await do("discard", letters[3], "--why", "not wanted")
    await do("park", letters[4])
    assert await worker.stop() == 0


async def test_reading_our_own_topic_again_revives_nothing(installation: Installation) -> None:
    """From its start, by the family's name: resolved, purged, discarded and parked letters stay; no row changes."""
    await worked_on(installation)
    before = await whole_index(installation)
    statuses = ["resolved", "dead", "discarded", "parked", "dead"]
    assert [r["status"] for r in sorted(before["dead_letter"], key=lambda r: r["offset"])] == [
        *statuses[:1], *statuses[2:], statuses[1]
    ]  # fmt: skip
    assert read(installation, "extraction") == [counts(installation.dlq("extraction"), known=7)]
    assert await whole_index(installation) == before


async def test_an_index_is_filled_from_our_own_topics(installation: Installation) -> None:
    """One of an old backup gets the refusal that it lacks; one that was lost gets all rows and refusals again."""
    await worked_on(installation)
    dlq = installation.dlq("extraction")
    before = await whole_index(installation)
    await installation.execute(
        """
        DELETE FROM dead_letter_trip WHERE redrive_count = 1;
        UPDATE dead_letter SET redrive_count = 0 WHERE redrive_count = 1 AND status = 'dead'
        """
    )
    assert read(installation, dlq) == [counts(dlq, refused_again=1, known=6)]
    assert await whole_index(installation) == before

    await installation.execute("DELETE FROM dead_letter; DELETE FROM dead_letter_trip")
    assert read(installation, dlq) == [counts(dlq, new=6, refused_again=1)]
    after = await whole_index(installation)
    assert after["dead_letter_trip"] == before["dead_letter_trip"]
    assert {row["status"] for row in after["dead_letter"]} == {"dead"}
    assert sorted(row["redrive_count"] for row in after["dead_letter"]) == [0, 0, 0, 0, 0, 1]
    # What operators did, and what was stored, is in no topic.
    elsewhere = {"status", "phase", "redrive_count", "job", "batch", "sent_tenant_id"}
    elsewhere |= {"resolved_at", "resolution", "resolved_log", "event_uid"}
    was, became = (
        {row["id"]: {name: row[name] for name in row.keys() - elsewhere} for row in index["dead_letter"]}
        for index in (before, after)
    )
    assert len(was) == 5
    assert {letter: became[letter] for letter in was} == was


def refused(installation: Installation, *topics: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code and what is said of topics that cannot be read."""
    named = [argument for topic in topics for argument in ("--topic", topic)]
    given = os.environ | installation.environment | (environment or {})
    done = commands.run(["dlq", "read", *named], given)
    assert done.stdout == ""
    return done.returncode, done.stderr.rstrip()


async def test_what_holds_no_letters_is_refused_before_anything_is_read(installation: Installation) -> None:
    """An unknown topic is 3, one of our events 2, no topic 2, no Kafka 5; no row is made of a topic named beside it."""
    await installation.create_topics(1)
    extra = await create(installation, "dlq")
    await installation.produce(extra, FOREIGN)
    events, missing = installation.topic("execution"), installation.prefix + "missing"
    assert refused(installation, extra, missing) == (3, f"there is no topic {missing}; nothing was read")
    assert refused(installation, extra, events) == (
        2,
        f"{events} holds events, not dead letters; theirs are in dlq.{events}",
    )
    assert refused(installation)[0] == 2
    away = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    why = "KafkaConnectionError; is it running? siltstone stack up"
    line = f"Kafka at 127.0.0.1:1 does not answer ({why}); nothing was read"
    assert refused(installation, extra, environment=away) == (5, line)
    assert await installation.value("SELECT count(*) FROM dead_letter") == 0
    async with administering(installation) as admin:
        assert missing not in await admin.list_topics()


@pytest.mark.timeout(120)
async def test_topics_without_a_last_record_end(installation: Installation) -> None:
    """Empty, cut off, or ending in marks, aborted records or an open transaction: committed letters alone are read."""
    topics = {n: await create(installation, n) for n in ("empty", "deleted", "committed", "aborted", "all-aborted")}
    open_topic = await create(installation, "open")
    await installation.produce(topics["deleted"], FOREIGN)
    async with administering(installation) as admin:
        await admin.delete_records({TopicPartition(topics["deleted"], 0): RecordsToDelete(-1)})
    producer = AIOKafkaProducer(
        bootstrap_servers=installation.services.kafka, transactional_id=f"{installation.prefix}transactions"
    )
    await producer.start()
    for name, letters, commit in (
        ("committed", 2, True),
        ("committed", 1, True),
        ("aborted", 1, True),
        ("aborted", 3, False),
        ("all-aborted", 2, False),
    ):
        await producer.begin_transaction()
        for number in range(letters):
            await (await producer.send(topics[name], b"%d" % number, headers=OWN))
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    await installation.produce(open_topic, [(None, b"before", [])])
    await producer.begin_transaction()
    await (await producer.send(open_topic, b"open"))
    await installation.produce(open_topic, [(None, b"behind", [])])
    started = asyncio.get_running_loop().time()
    found = await asyncio.to_thread(read, installation, *topics.values(), open_topic)
    seconds = asyncio.get_running_loop().time() - started
    await producer.abort_transaction()
    await producer.stop()
    assert {one["topic"]: one["read"] for one in found} == {
        topics["empty"]: 0, topics["deleted"]: 0, topics["committed"]: 3, topics["aborted"]: 1,
        topics["all-aborted"]: 0, open_topic: 1,
    }  # fmt: skip
    values = await installation.fetch("SELECT value FROM dead_letter ORDER BY letter_topic, letter_offset")
    assert [row["value"] for row in values] == [b"0", b"0", b"1", b"0", b"before"]
    assert seconds < 20
    assert read(installation, open_topic) == [counts(open_topic, new=1, known=1)]


LETTERS = 10_000


async def test_a_reading_that_is_stopped_keeps_what_it_read_and_is_run_again(installation: Installation) -> None:
    """Ctrl-C in the middle leaves whole batches; the same command adds exactly the rest."""
    extra = await create(installation, "large")
    await installation.produce(extra, ((None, b"%d" % number, OWN) for number in range(LETTERS)))
    process = await asyncio.create_subprocess_exec(
        # After whoever stops it, where the processor is scarce: it would be done before.
        *("nice", "-n", "10", str(SILTSTONE), "dlq", "read", "--topic", extra),
        env=os.environ | installation.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    async def begun() -> bool:
        return bool(await installation.value("SELECT count(*) > 500 FROM dead_letter"))

    await until("a batch is indexed and counted, for another is too", begun, 60)
    process.send_signal(signal.SIGINT)
    printed, said = await asyncio.wait_for(process.communicate(), 30)
    indexed = await installation.value("SELECT count(*)::int FROM dead_letter")
    assert (process.returncode, printed, indexed % 500) == (130, b"", 0)
    assert 0 < indexed < LETTERS
    sentence = r"stopped; (\d+) letters were read and are in the index; the same command reads again from the start\n"
    stopped = re.match(sentence, said.decode())
    assert stopped
    assert indexed - int(stopped.group(1)) in {0, 500}  # the transaction that it was committing may have been done
    assert read(installation, extra) == [counts(extra, new=LETTERS - indexed, known=indexed)]
    assert await installation.value("SELECT count(DISTINCT letter_offset) FROM dead_letter") == LETTERS
