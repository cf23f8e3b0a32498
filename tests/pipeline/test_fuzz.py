"""Thousands of mutated messages through a running worker: each is stored or a letter, and no neighbour is harmed."""

import asyncio
import base64
import json
import struct
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from contracts.event import Event
from contracts.event_type import Family
from contracts.record import Message, Place
from contracts.refusal import Reason, Refusal, Stage
from contracts.window import TimeWindow
from persistence.logs import LOGS
from tests.support.events import encoded, event, record
from tests.support.faults import account
from tests.support.installation import Installation
from tests.support.mutations import CANARY, NOISE, TENANTS, drawn_seed, mutants
from workers.admission import judge, refusal_of

MUTANTS = 10_000
EVERY = 20  # records, of which one is a good neighbour
PARTITIONS = 2
SOURCE = "/neighbours"


def neighbour(number: int) -> Message:
    """A good event of its own identity."""
    data = {"node_name": f"n{number}", "status": "completed"}
    key, value, headers = record(event("node.executed", f"run-{number % 7}", data, source=SOURCE))
    return Message(key, value, tuple(headers))


def poison() -> list[Message]:
    """What a mutation seldom hits: each is stored or a letter like any other."""
    key, value, headers = record(event("run.started", "run-1", {"kind": "test"}))
    claims = [
        (("x-dlq-id", str(uuid.uuid4()).encode()), ("x-dlq-redrive-count", count.encode()))
        for count in ("2147483648", "-2147483649", "9" * 40, "9" * 5_000)
    ]
    long_tenant = {"specversion": "1.0", "id": "a", "source": "/a", "type": NOISE, "tenantid": NOISE}
    far_off = {"actor_type": "user", "set": {"sla_deadline": "2026-02-02T17:00:00+23:59"}}
    return [
        *(Message(key, b"no JSON", claim) for claim in claims),
        *(Message(key, value, (*headers, *claim)) for claim in claims),
        Message(None, encoded(long_tenant), tuple(headers)),
        Message(None, encoded(event("exception.updated", "e-1", far_off)), tuple(headers)),
        Message(None, b"[" * 65 + b'"' + b'\\"' * 500_000, ()),
    ]


def with_neighbours(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages, and before each 19 of them a neighbour."""
    for number, message in enumerate(messages):
        if number % (EVERY - 1) == 0:
            yield neighbour(number // (EVERY - 1))
        yield message


async def published(installation: Installation, random: Random) -> dict[Place, Message]:
    """The messages in the topics of all families, by the places at which they lie."""
    parts = [(installation.topic(family), partition) for family in Family for partition in range(PARTITIONS)]
    lying: dict[tuple[str, int], list[Message]] = {part: [] for part in parts}
    for number, message in enumerate(with_neighbours([*poison(), *mutants(random, MUTANTS)])):
        lying[parts[number % len(parts)]].append(message)
    await asyncio.gather(
        *(
            installation.produce(topic, messages, partition=partition, compression=random.choice((None, "zstd")))
            for (topic, partition), messages in lying.items()
        )
    )
    return {
        (topic, partition, offset): message
        for (topic, partition), messages in lying.items()
        for offset, message in enumerate(messages)
    }


def check_letter(letter: dict[str, Any], message: Message, judged: Event | Refusal) -> None:
    """A letter has what was sent, byte for byte; its reason is the decoder's, or Postgres' where that accepted it."""
    own = [(name.replace("\0", "\ufffd"), value) for name, value in message.headers if "dlq" not in name]
    assert (letter["key"], letter["value"]) == (message.key, message.value)
    assert list(zip(letter["header_names"], letter["header_values"], strict=True)) == own
    assert CANARY not in f"{letter['error']} {letter['exception']}"
    refusal = refusal_of(judged, dict.fromkeys(TENANTS, "active"))
    if refusal is not None:
        assert (letter["reason"], letter["stage"]) == (refusal.reason, refusal.stage), message
    else:
        # With its SQLSTATE: the row went to Postgres, and no encoder of the client's failed on it.
        found = (letter["reason"], letter["stage"], letter["sqlstate"])
        assert found == (Reason.numeric_out_of_range, Stage.store, "22003"), message


async def test_every_mutated_message_is_stored_or_a_letter(installation: Installation) -> None:
    """The worker goes on, every offset is accounted for, letters say what decode said, neighbours are stored (G4)."""
    random = Random(drawn_seed())
    await installation.create_topics(partitions=PARTITIONS)
    messages = await published(installation, random)
    window = TimeWindow(installation.settings.oldest_time)
    judged = {place: judge(message, window) for place, message in messages.items()}
    worker = await installation.worker().ready()
    await asyncio.gather(*(installation.settled(family, seconds=150) for family in Family))
    accounts = [await account(installation, family) for family in Family]
    counted = {kind: sum(of_family[kind] for of_family in accounts) for kind in ("stored", "duplicate", "refused")}
    index = await installation.letters(counted["refused"])
    letters = {(row["topic"], row["partition"], row["offset"]): row for row in index}

    assert await worker.stop() == 0, worker.log
    assert sum(counted.values()) == len(messages)
    assert len(letters) == counted["refused"]
    print(counted, Counter(letter["reason"] for letter in letters.values()))  # noqa: T201 - pytest shows it
    for place, letter in letters.items():
        check_letter(letter, messages[place], judged[place])

    accepted = {place: one for place, one in judged.items() if place not in letters}
    assert [one for one in accepted.values() if isinstance(one, Refusal)] == []
    keys = " UNION ALL ".join(f"SELECT event_uid FROM {log.name}" for log in LOGS)  # noqa: S608 - our own names
    stored = [row["event_uid"].bytes for row in await installation.fetch(keys)]
    assert sorted(stored) == sorted({one.uid for one in accepted.values() if isinstance(one, Event)})
    assert len(stored) == counted["stored"]
    rows = await installation.fetch("SELECT node_name FROM node_execution WHERE event_source = $1", SOURCE)
    neighbours = sum(SOURCE.encode() in (message.value or b"") for message in messages.values())
    assert neighbours > MUTANTS // EVERY
    assert sorted(row["node_name"] for row in rows) == sorted(f"n{n}" for n in range(neighbours))
    assert installation.run("verify").returncode == 0


async def test_a_burst_of_bad_records_becomes_letters(installation: Installation) -> None:
    """4,000 bad records in one partition, a whole batch, are letters within a minute: none waits for the others."""
    await installation.create_topics(partitions=1)
    bad = Message(b"acme/x", b"no JSON" * 40, tuple((f"x-own-{n}", b"v" * 60) for n in range(16)))
    await installation.produce(installation.topic("execution"), [bad] * 4_000, partition=0)
    worker = await installation.worker("--family", "execution").ready()
    await installation.settled("execution", seconds=60)
    assert worker.events("holding") == []
    assert (await account(installation, "execution"))["refused"] == 4_000
    assert await worker.stop() == 0


async def produce_with_a_header_name(installation: Installation, message: Message, name: bytes) -> None:
    """Publish a record with one more header, whose name is any 8 bytes, as clients of other languages can."""
    producer = AIOKafkaProducer(bootstrap_servers=installation.services.kafka)
    await producer.start()
    batch = producer.create_batch()
    batch.append(key=message.key, value=message.value, timestamp=None, headers=[*message.headers, ("@" * 8, b"")])
    build = batch._build

    def renamed() -> bytearray:
        built = bytearray(bytes(build()).replace(b"@" * 8, name))
        struct.pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))  # Kafka protocol, record batch
        batch._buffer = built
        return built

    batch._build = renamed
    try:
        await (await producer.send_batch(batch, installation.topic("execution"), partition=0))
    finally:
        await producer.stop()


async def test_a_header_whose_name_is_no_utf8_harms_only_its_record(installation: Installation) -> None:
    """Such a record is a letter with the bytes of the name, those behind it are stored; a redrive stores it (G4)."""
    await installation.create_topics(partitions=1)
    name = b"\xff\xc3(\0\xed\xa0\x80!"
    message = neighbour(0)
    await produce_with_a_header_name(installation, message, name)
    await installation.produce(installation.topic("execution"), [neighbour(1)])
    worker = await installation.worker("--family", "execution").ready()
    await installation.settled("execution", seconds=30)
    (row,) = await installation.letters(1)
    (letter,) = await installation.read_all(installation.dlq("execution"))
    stored = "SELECT node_name FROM node_execution ORDER BY node_name"
    assert [found["node_name"] for found in await installation.fetch(stored)] == ["n1"]
    assert (row["offset"], row["reason"], row["stage"]) == (0, Reason.bad_utf8, Stage.envelope)
    assert row["error"] == "the name of the record's header number 2 is no UTF-8"
    assert row["value"] == letter.value == message.value
    assert row["header_names"][1:] == ["\\xff\\xc3(\ufffd\\xed\\xa0\\x80!"]
    assert letter.headers[1] == ("\\xff\\xc3(\0\\xed\\xa0\\x80!", b"")
    assert json.loads(dict(letter.headers)["x-dlq-header-names"] or b"") == {"2": base64.b64encode(name).decode()}

    done = await asyncio.to_thread(installation.run, "dlq", "redrive", str(row["id"]), "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert [found["node_name"] for found in await installation.fetch(stored)] == ["n0", "n1"]
    assert len(await installation.read_all(installation.dlq("execution"))) == 1
    assert await worker.stop() == 0
    assert installation.run("verify").returncode == 0
