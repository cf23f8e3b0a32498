"""Services that go away under load: the worker holds, and goes on by itself."""

import asyncio
import json
import math
import os
import time
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic

from localstack import stack
from tests.support import commands
from tests.support.events import encoded, extraction, record
from tests.support.faults import account, administering, counts, flowing, held, stored
from tests.support.installation import Header, Installation
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


async def test_letters_wait_in_their_topics_while_postgres_is_away(installation: Installation, folder: Path) -> None:
    """New ones and copies of known ones: no offset is committed before their rows are, and each is one row (G1, G5)."""
    await installation.create_topics(1)
    extra, dlq = await connect_topic(installation), installation.dlq("extraction")
    worker = installation.worker("--family", "extraction", environment={"SILTSTONE_DLQ_EXTRA_TOPICS": extra})
    await worker.ready()
    await installation.produce(
        installation.topic("extraction"), [(b"key", b"%d is no event" % i, []) for i in range(3)]
    )
    known = await installation.letters(3)
    await until("their offsets are committed", lambda: committed_are(installation, {dlq: 3}))
    copies = [(one.key, one.value, list(one.headers)) for one in await installation.read_all(dlq)]
    stage: list[Header] = [("__connect.errors.stage", b"TASK_PUT")]

    await asyncio.to_thread(stack.stop_postgres, folder, "immediate")
    await installation.produce(extra, [(None, b"letter %d" % i, stage) for i in range(30)])
    await installation.produce(dlq, copies)
    await held(worker, "index dead letters")
    await installation.produce(extra, [(None, b"letter %d" % i, stage) for i in range(30, 40)])
    assert (await worker.get("/health/live"))[0] == 200
    assert await committed(installation, extra, dlq) == {dlq: 3}
    await asyncio.to_thread(stack.start_postgres, folder)

    await until("all are settled", lambda: committed_are(installation, {extra: 40, dlq: 6}))
    rows = await installation.fetch("SELECT * FROM dead_letter ORDER BY letter_topic, letter_offset")
    assert rows[:3] == known
    foreign = [(row["letter_topic"], row["letter_offset"], row["value"], row["status"]) for row in rows[3:]]
    assert foreign == [(extra, i, b"letter %d" % i, "dead") for i in range(40)]
    assert await installation.value("SELECT count(*) FROM dead_letter_trip") == 43
    assert worker.events("batch given up") == []
    assert await worker.stop() == 0


POISON: tuple[tuple[bytes, bytes, list[Header]], ...] = (
    (b"key", b"no JSON", []),
    record(extraction(0, tenant="nobody")),  # what only the database can say
    (
        b"acme/s",
        encoded(extraction(0, sessions=1)).replace(b'"line_number": 0', b'"line_number": 0, "n": 1e400000'),
        [],
    ),
)


async def test_poison_that_came_while_postgres_was_away_has_its_letters(
    installation: Installation, folder: Path
) -> None:
    """Nothing is committed until Postgres is back; then each bad record is one letter, each good one a row (G1, G5)."""
    await installation.create_topics()
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction").ready()
    for partition in range(4):  # what a worker asks of a partition before its first batch is not what this is about
        await installation.produce(topic, [record(extraction(partition))], partition=partition)
    await installation.settled("extraction")
    await asyncio.to_thread(stack.stop_postgres, folder, "immediate")
    mixed = [[*(record(extraction(i * 5 + n)) for n in range(5)), POISON[i % 3]] for i in range(60)]
    await installation.produce(topic, [one for some in mixed for one in some])
    await held(worker, "store")
    assert await installation.committed("extraction") == dict.fromkeys(range(4), 1)
    await asyncio.to_thread(stack.start_postgres, folder)

    await installation.settled("extraction")
    letters = await installation.letters(60)
    assert await counts(installation) == {"rows": 304, "counted": 304, "letters": 60}
    bad = [
        (r.partition, r.offset)
        for r in await installation.read_all(topic)
        if (r.key, r.value, list(r.headers)) in POISON
    ]
    assert [(letter["partition"], letter["offset"]) for letter in letters] == bad
    assert sorted(letter["reason"] for letter in letters) == [
        *["bad_json"] * 20, *["numeric_out_of_range"] * 20, *["tenant_unknown"] * 20
    ]  # fmt: skip
    checked = await asyncio.to_thread(installation.run, "verify")
    assert checked.returncode == 0, checked.stdout + checked.stderr
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


async def test_what_a_group_committed_is_known_while_kafka_comes_back(installation: Installation, folder: Path) -> None:
    """A broker that is started again never says "nothing was committed": it would be taken for the topic's start."""
    await installation.create_topics()
    partition = TopicPartition(installation.topic("extraction"), 0)
    groups = [f"{installation.environment['KAFKA_GROUP_ID']}.{number}" for number in range(12)]
    consumers = [
        AIOKafkaConsumer(
            partition.topic, bootstrap_servers=installation.services.kafka, group_id=group, enable_auto_commit=False
        )
        for group in groups
    ]
    seen: Counter[int | str | None] = Counter()
    stop_at = math.inf

    async def ask(consumer: AIOKafkaConsumer) -> None:
        while time.monotonic() < stop_at:
            try:
                async with asyncio.timeout(2):
                    seen[await consumer.committed(partition)] += 1
            except TimeoutError:
                seen["no answer"] += 1
            await asyncio.sleep(0.005)

    async with AsyncExitStack() as stopping:
        for consumer in consumers:
            await consumer.start()
            stopping.push_async_callback(consumer.stop)
            await until("the partition is assigned", partial(_has, consumer, partition), 30)
            for offset in (*range(40), 7):  # what a coordinator has to load
                await consumer.commit({partition: offset})
        await asyncio.to_thread(stack.stop_kafka, folder, kill=True)
        async with asyncio.TaskGroup() as asking:
            for consumer in consumers:
                asking.create_task(ask(consumer))
            await asyncio.to_thread(stack.start_kafka, folder)
            await until("they answer again", lambda: _is_above(seen, 10 * len(consumers)), 60)
            stop_at = time.monotonic()
    assert set(seen) <= {7, "no answer"}


async def _is_above(seen: Counter[int | str | None], count: int) -> bool:
    return seen[7] > count


async def _has(consumer: AIOKafkaConsumer, partition: TopicPartition) -> bool:
    return partition in consumer.assignment()


async def members(installation: Installation) -> list[str]:
    """The members of the group that settles extractions."""
    group = f"{installation.environment['KAFKA_GROUP_ID']}.extraction"
    async with administering(installation) as admin:
        answer = (await admin.describe_consumer_groups([group]))[0]
    (described,) = answer.groups
    return [member[0] for member in described[5]]


async def test_reading_letters_says_that_kafka_went_away(installation: Installation, folder: Path) -> None:
    """Killed in the middle of `dlq read`: exit 5, what was read is in the index, and a second run adds the rest."""
    extra, letters = await connect_topic(installation), 4_000
    await installation.produce(extra, ((b"%d" % i, b"x" * 1000, []) for i in range(letters)))
    impatient = partial(exec, "from workers.cli.dlq import reading; reading.ANSWER_SECONDS = 3")
    environment, command = os.environ | installation.environment, ["dlq", "read", "--topic", extra, "-o", "json"]
    reading = asyncio.create_task(asyncio.to_thread(commands.run, command, environment, first=impatient))
    await installation.letters(1)
    await asyncio.to_thread(stack.stop_kafka, folder, kill=True)
    done = await reading
    indexed = await installation.value("SELECT count(*)::int FROM dead_letter")
    assert 0 < indexed < letters
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.rstrip() == (
        f"Kafka at {installation.services.kafka} does not answer (TimeoutError; is it running? siltstone stack up); "
        f"{indexed} letters were read and are in the index; the same command reads again from the start"
    )
    await asyncio.to_thread(stack.start_kafka, folder)
    again = await asyncio.to_thread(installation.run, *command)
    assert (again.returncode, json.loads(again.stdout)) == (
        0,
        [{"topic": extra, "read": letters, "new": letters - indexed, "refused_again": 0, "known": indexed}],
    )


async def connect_topic(installation: Installation) -> str:
    """A dead-letter topic of another system."""
    topic = installation.prefix + "connect-dlq"
    async with administering(installation) as admin:

        async def made() -> bool:
            await admin.create_topics([NewTopic(topic, 1, 1)])  # a broker that is not ready only says so in its answer
            return topic in await admin.list_topics()

        await until(f"{topic} is made", made)
    return topic


async def committed(installation: Installation, *topics: str) -> dict[str, int]:
    """What the group that indexes letters committed of partition 0 of these topics; nothing of some is left out."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=installation.services.kafka, group_id=f"{installation.environment['KAFKA_GROUP_ID']}.dlq"
    )
    await consumer.start()
    try:
        offsets = {topic: await consumer.committed(TopicPartition(topic, 0)) for topic in topics}
    finally:
        await consumer.stop()
    return {topic: offset for topic, offset in offsets.items() if offset is not None}


async def committed_are(installation: Installation, offsets: dict[str, int]) -> bool:
    """Whether these are what it committed."""
    return await committed(installation, *offsets) == offsets
