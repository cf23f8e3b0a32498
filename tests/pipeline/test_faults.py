"""Faults that a worker lives through, and the one library fault that it must not."""

import asyncio
import os
import random
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts import letter as form
from tests.support.events import encoded, extraction, record
from tests.support.faults import (
    account,
    administering,
    counts,
    create_topics_again,
    delete_topic,
    flowing,
    held,
    last_words,
    stored,
)
from tests.support.installation import Installation
from tests.support.waiting import until

END_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
WAITING = "FROM pg_locks WHERE NOT granted AND relation = 'extraction_event'::regclass"
CANCEL_WAITING = "SELECT bool_or(pg_cancel_backend(pid)) " + WAITING  # 57014, as by a statement timeout
END_WAITING = "SELECT bool_or(pg_terminate_backend(pid)) " + WAITING


async def test_cut_connections_and_cancelled_statements_are_retried(installation: Installation) -> None:
    """Connections ended, statements cancelled, a table locked, under load: held, counted by class, exact (G5)."""
    await installation.create_topics()
    worker = await installation.worker("--family", "extraction").ready()
    connection = await asyncpg.connect(installation.dsn)
    async with flowing(installation) as flow:
        for _ in range(3):
            await stored(installation, flow.sent + 1)
            assert await connection.fetchval(END_ALL) > 0
        for statement in (CANCEL_WAITING, END_WAITING):
            async with connection.transaction():
                await connection.execute("LOCK TABLE extraction_event IN ACCESS EXCLUSIVE MODE")

                async def ended(statement: str = statement) -> bool:
                    return bool(await connection.fetchval(statement))

                await until("the worker waits for the lock", ended, 20)
    await connection.close()
    await installation.settled("extraction")
    assert await counts(installation) == {"rows": flow.sent, "counted": flow.sent, "letters": 0}
    # An ended backend is seen as 57P01, or as a line that closed before the answer was read.
    assert await worker.metric("siltstone_retries_total", kind="57") >= 1
    assert await worker.metric("siltstone_retries_total") >= 2
    assert (await worker.get("/health/live"))[0] == 200
    assert await worker.stop() == 0


async def take_at_most(installation: Installation, max_bytes: int) -> None:
    """Have the dead-letter topic refuse larger messages."""
    configs = {"max.message.bytes": str(max_bytes)}
    async with administering(installation) as admin:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, installation.dlq("extraction"), configs=configs)]
        )


async def test_a_letter_that_its_topic_refuses_is_held_or_moves_to_the_table(
    installation: Installation, tmp_path: Path
) -> None:
    """Refused whole it stops the commit; refused for its value, it lies in the table, and can be mended (G1)."""
    await installation.create_topics(1)
    await take_at_most(installation, 100)
    value = random.Random(1).randbytes(20_000)
    good = [record(extraction(i)) for i in range(4)]
    worker = installation.worker("--family", "extraction")
    await installation.produce(installation.topic("extraction"), [*good[:2], (b"key", value, []), *good[2:]])
    await held(worker, "dead letters")
    assert await installation.committed("extraction") == {}
    await take_at_most(installation, 4000)
    await installation.settled("extraction")
    (letter,) = await installation.letters(1)
    assert (letter["offset"], letter["reason"], letter["key"], letter["value"]) == (2, "bad_utf8", b"key", value)
    (copy,) = await installation.read_all(installation.dlq("extraction"))
    assert copy.value is None
    assert (form.VALUE_IN_TABLE, b"true") in copy.headers
    assert await counts(installation) == {"rows": 4, "counted": 4, "letters": 1}

    # Sent back as it is, it is refused again, and its value is still there; mended it lands like any other.
    again = await asyncio.to_thread(installation.run, "dlq", "redrive", "--all", "--yes", "--wait")
    assert again.returncode == 4, again.stderr
    (letter,) = await installation.letters(1)
    assert (letter["redrive_count"], letter["status"], letter["value"]) == (1, "dead", value)
    mended = tmp_path / "mended.json"
    mended.write_bytes(encoded(extraction(4)))
    edited = installation.run("dlq", "edit", str(letter["id"]), "--file", str(mended), "--key-from-event")
    assert edited.returncode == 0, edited.stderr
    done = await asyncio.to_thread(installation.run, "dlq", "redrive", "--all", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert await counts(installation) == {"rows": 5, "counted": 5, "letters": 1}
    assert await installation.value("SELECT value FROM dead_letter WHERE status = 'resolved'") == value
    assert await worker.stop() == 0


async def test_nothing_is_committed_while_the_dead_letter_topic_is_away(installation: Installation) -> None:
    """With no topic for its letter a batch is held, unready and alive; with the topic back all goes on (G1, G5)."""
    await installation.create_topics(1)
    worker = await installation.worker("--family", "extraction").ready()
    await delete_topic(installation, installation.dlq("extraction"))
    good = [record(extraction(i)) for i in range(4)]
    await installation.produce(installation.topic("extraction"), [*good[:2], (b"key", b"{", []), *good[2:]])
    await held(worker, "dead letters", 45)
    assert [(await worker.get(f"/health/{probe}"))[0] for probe in ("ready", "live")] == [503, 200]
    assert await installation.committed("extraction") == {}
    await create_topics_again(installation, 1)
    await installation.settled("extraction")
    await installation.letters(1)
    assert await counts(installation) == {"rows": 4, "counted": 4, "letters": 1}
    assert await account(installation, "extraction") == {"stored": 4, "duplicate": 0, "refused": 1, "invisible": 0}
    assert await worker.stop() == 0


# What Python runs first: the library then loses the first polls that begin at two offsets of a topic of events.
DROPPING = """
from aiokafka import AIOKafkaConsumer
getmany, lost = AIOKafkaConsumer.getmany, []

async def lossy(self, *partitions, **options):
    polled = await getmany(self, *partitions, **options)
    begins = {r[0].offset for p, r in polled.items() if ".siltstone." in p.topic[:22]}
    if len(lost) < {times} and begins & {40, 200}:
        lost.append(polled)
        return {}
    return polled

AIOKafkaConsumer.getmany = lossy
"""


async def test_a_batch_that_a_library_dropped_is_never_committed_over(
    installation: Installation, tmp_path: Path
) -> None:
    """Polls lost before we saw them are read again; where they are lost for ever, the worker stops (G1)."""
    (tmp_path / "sitecustomize.py").write_text(DROPPING.replace("{times}", "2"))
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    # Polls of 20 records from the first one on, for which the bytes must be as many.
    environment = {"PYTHONPATH": path, "SILTSTONE_BATCH_MAX_ROWS": "20", "SILTSTONE_BATCH_MAX_BYTES": str(32 << 20)}
    worker = installation.worker("--family", "extraction", environment=environment, anew=True)
    await installation.produce(topic, [record(extraction(i)) for i in range(200)])
    await installation.settled("extraction")
    assert [entry["because"] for entry in worker.events("records are read again")] == [
        f"{topic}[0]@40 was not handed over, though the batch at 60 was"
    ] * 2
    assert await account(installation, "extraction") == {"stored": 200, "duplicate": 0, "refused": 0, "invisible": 0}
    assert await worker.stop() == 0

    (tmp_path / "sitecustomize.py").write_text(DROPPING.replace("{times}", "999"))
    await installation.produce(topic, [record(extraction(i)) for i in range(200, 240)])
    worker = installation.worker("--family", "extraction", environment=environment, anew=True)
    assert await worker.ended() == 1
    (line,) = last_words(worker)
    assert f"{topic}[0]@200 was not handed over, though the batch at 220 was, 10 times" in line
    assert await installation.committed("extraction") == {0: 200}
    assert (await counts(installation))["rows"] == 200
    healthy = installation.worker("--family", "extraction")
    await installation.settled("extraction")
    assert await account(installation, "extraction") == {"stored": 240, "duplicate": 0, "refused": 0, "invisible": 0}
    assert await healthy.stop() == 0


async def test_transactions_and_what_they_aborted_are_no_gap(installation: Installation) -> None:
    """Markers and aborted records between batches are invisible in the ledger, no stop, and no lag (G6)."""
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction", "--consumers", "1").ready()
    producer = AIOKafkaProducer(
        bootstrap_servers=installation.services.kafka, transactional_id=f"{installation.prefix}transactions"
    )
    await producer.start()
    for number in range(6):  # each of 3 records and a marker; every other one is aborted
        await producer.begin_transaction()
        for i in range(3):
            key, value, headers = record(extraction(number * 3 + i))
            await (await producer.send(topic, value, key, headers=headers))
        if number % 2:
            await producer.abort_transaction()
        else:
            await producer.commit_transaction()
            await installation.settled("extraction")
    await producer.stop()
    assert await counts(installation) == {"rows": 9, "counted": 9, "letters": 0}
    # Below the last visible record (offset 18) lie 2 aborted transactions of 4 offsets and 2 committed ones' markers.
    assert await account(installation, "extraction") == {"stored": 9, "duplicate": 0, "refused": 0, "invisible": 10}

    async def caught_up() -> bool:
        _, body = await worker.get("/metrics")
        return f'siltstone_lag_records{{partition="0",topic="{topic}"}} 0.0' in body

    await until("the lag is 0", caught_up, 20)
    assert await worker.stop() == 0
