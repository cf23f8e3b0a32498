"""Every bad input in docs/dead-letters.md, through one real worker between good neighbours (G1, G4)."""

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.refusal import Reason, Stage
from tests.support.events import encoded, event
from tests.support.installation import Installation
from tests.support.waiting import until

Headers = list[tuple[str, bytes | None]]
Raw = tuple[bytes | None, bytes | None, Headers]

DOC = Path(__file__).parents[2] / "docs" / "dead-letters.md"
STRUCTURED = ("content-type", b"application/cloudevents+json; charset=UTF-8")
KEY = b"acme/r-bad"
TEN_MIB = 10 * 1024 * 1024
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


def finished(data: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """A good event about a run, with what makes it bad."""
    return event("run.finished", "r-bad", {"status": "completed"} | (data or {}), **attributes)


def without(name: str) -> dict[str, Any]:
    """A good event that lacks an attribute."""
    return {n: v for n, v in finished().items() if n != name}


def spliced(text: bytes) -> bytes:
    """A good event with other bytes in the place of a field's value."""
    return encoded(finished({"error_message": "@"})).replace(b'"@"', text)


VALUES: dict[str, Callable[[], bytes | None]] = {
    "no-utf8": lambda: spliced(b'"caf\xe9"'),
    "cut-short": lambda: encoded(finished())[:-5],
    "nan": lambda: encoded(finished({"final_state": {"loss": float("nan")}})),
    "bare-array": lambda: b"[" + encoded(finished()) + b"]",
    "nesting-10-mib": lambda: b"[" * (TEN_MIB // 2) + b"]" * (TEN_MIB // 2),
    "nesting-65": lambda: b"[" * 65 + b"]" * 65,
    "large-compressed": lambda: encoded(finished({"error_message": "x" * TEN_MIB})),
    "lone-surrogate": lambda: spliced(rb'"\ud800"'),
    "nul": lambda: spliced(rb'"a\u0000b"'),
    "registry-frame": lambda: b"\0\0\0\0\x2a" + encoded(finished()),
    "tombstone": lambda: None,
    "missing-id": lambda: encoded(without("id")),
    "empty-id": lambda: encoded(finished(id="")),
    "time-without-offset": lambda: encoded(finished(time="2026-01-31T12:00:00")),
    "time-number": lambda: encoded(finished(time=1_769_860_800)),
    "time-1970": lambda: encoded(finished(time="1970-01-01T00:00:00Z")),
    "time-2200": lambda: encoded(finished(time="2200-01-01T00:00:00Z")),
    "unknown-type": lambda: encoded(finished(type="com.example.build.finished")),
    "wrong-version": lambda: encoded(finished(type="siltstone.run.finished.v9")),
    "required-null": lambda: encoded(finished({"status": None})),
    "integer-too-large": lambda: encoded(finished({"tokens_input": 2**63})),
    "json-number-too-large": lambda: encoded(finished({"final_state": 0})).replace(b": 0}", b': {"a": 1e400000}}'),
    "text-too-long-for-index": lambda: encoded(
        event("run.started", "r-bad", {"kind": "test", "external_ref": secrets.token_hex(20_000)})
    ),
    "no-tenant": lambda: encoded(without("tenantid")),
    "unknown-tenant": lambda: encoded(finished(tenantid="nobody")),
    "tenant-capitals": lambda: encoded(finished(tenantid="Acme")),
    "suspended-tenant": lambda: encoded(finished(tenantid="resting")),
}
KEYS = {
    "no-tenant": b"/r-bad",  # as `siltstone publish --no-check` keys it
    "unknown-tenant": b"nobody/r-bad",
    "tenant-capitals": b"Acme/r-bad",
    "suspended-tenant": b"resting/r-bad",
}
RECORDS: dict[str, Callable[[], Raw]] = {
    "null-header": lambda: (KEY, encoded(finished()), [STRUCTURED, ("x-null", None)]),
    "header-no-utf8": lambda: (KEY, encoded(finished()), [STRUCTURED, ("x-bytes", b"\xff\xfe\x00")]),
    "key-of-another-tenant": lambda: (b"globex/r-bad", encoded(finished()), [STRUCTURED]),
}


def build(name: str) -> Raw:
    """The record of an example."""
    if name in RECORDS:
        return RECORDS[name]()
    return KEYS.get(name, KEY), VALUES[name](), [STRUCTURED, ("x-own", "kept é".encode())]


def documented() -> dict[str, tuple[str, str]]:
    """The examples of the documentation's table, with reason and stage."""
    table = DOC.read_text(encoding="utf-8").partition("## What bad input gets")[2]
    rows = re.findall(r"^\| [^\n]+ \| `(\w+)` \| (\w+) \| ([\w-]+) \|$", table, flags=re.MULTILINE)
    assert len(rows) == len([line for line in table.splitlines() if line.startswith("| ")]) - 1, "a row does not parse"
    return {name: (reason, stage) for reason, stage, name in rows}


def test_the_table_and_the_builders_are_the_same() -> None:
    """Every row of the documentation has a builder, and every builder a row."""
    assert set(documented()) == {*VALUES, *RECORDS}


def test_every_reason_is_documented() -> None:
    """The table of reasons in the documentation is the closed list, with stages that exist."""
    table = DOC.read_text(encoding="utf-8").partition("## Reasons")[2].partition("## What bad input gets")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", table, flags=re.MULTILINE)
    assert [reason for reason, _ in rows] == [reason.value for reason in Reason]
    stages = {reason: set(named.split(", ")) for reason, named in rows}
    assert set().union(*stages.values()) == {stage.value for stage in Stage}
    assert all(stage in stages[reason] for reason, stage in documented().values())


def neighbour(number: int) -> Raw:
    """A good record."""
    return (
        b"acme/r-good",
        encoded(event("node.executed", "r-good", {"node_name": f"n{number}", "status": "completed"})),
        [STRUCTURED],
    )


@pytest.fixture
async def settled(installation: Installation) -> Installation:
    """An installation whose tenant `resting` is suspended."""
    await installation.create_topics(partitions=2)
    await installation.create_tenants("resting")
    await installation.execute("UPDATE tenant SET status = 'suspended' WHERE tenant_id = 'resting'")
    return installation


async def test_each_bad_input_makes_one_letter_and_harms_no_neighbour(settled: Installation) -> None:
    """One letter with its reason, stage and bytes for each bad record; all neighbours are stored (G1, G4, G6)."""
    expected = documented()
    topic = settled.topic("execution")
    bad = {name: build(name) for name in expected}
    names: dict[int, str] = {}
    records: list[Raw] = []
    for number, name in enumerate(bad):
        records += [neighbour(number), bad[name]]
        names[len(records) - 1] = name
    records.append(neighbour(len(bad)))
    await settled.produce(topic, records, partition=1, compression="zstd")
    worker = await settled.worker("--family", "execution").ready()
    await settled.settled("execution")
    index = await settled.letters(len(bad))

    stored = await settled.fetch("SELECT node_name FROM node_execution")
    assert sorted(row["node_name"] for row in stored) == sorted(f"n{n}" for n in range(len(bad) + 1))
    assert await settled.value("SELECT events FROM run WHERE id = 'r-good'") == len(bad) + 1
    assert await settled.value("SELECT count(*) FROM run_event") == 0
    assert (await settled.committed("execution"))[1] == len(records)

    letters = await settled.read_all(settled.dlq("execution"))
    assert [letter.partition for letter in letters] == [1] * len(bad)
    by_offset = {int(dict(letter.headers)["__dlq.errors.offset"] or b""): letter for letter in letters}
    assert sorted(by_offset) == sorted(names)
    assert len(letters) == len(bad)
    written = {record.offset: record for record in await settled.read_all(topic)}
    rows = {row["offset"]: row for row in index}
    assert sorted(rows) == sorted(names)
    for offset, name in names.items():
        check_letter(by_offset[offset], written[offset], expected[name], settled)
        check_row(rows[offset], by_offset[offset], bad[name], expected[name])

    assert worker.process.poll() is None
    assert (await worker.get("/health/live"))[0] == 200
    assert await worker.metric("siltstone_records_total", outcome="refused") == len(bad)
    assert await worker.metric("siltstone_records_total", outcome="stored") == len(bad) + 1
    for reason, count in Counter(reason for reason, _ in expected.values()).items():
        assert (reason, await worker.metric("siltstone_dead_letters_total", reason=reason)) == (reason, count)
    assert await worker.stop() == 0


def check_letter(letter: Any, record: Any, expected: tuple[str, str], installation: Installation) -> None:
    """The letter has the record's bytes and headers, then every header of ours."""
    assert (letter.key, letter.value) == (record.key, record.value)
    own = len(record.headers)
    assert list(letter.headers[:own]) == list(record.headers)
    ours = {name: (text or b"").decode() for name, text in letter.headers[own:]}
    failed_at = datetime.fromisoformat(ours.pop("x-dlq-failed-at"))
    assert failed_at.utcoffset() is not None
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ours.pop("x-dlq-id"))
    assert 0 < len(ours.pop("__dlq.errors.message").encode()) <= 4096
    assert ours.pop("x-dlq-exception")
    sqlstate = ours.pop("x-dlq-sqlstate", None)
    assert (expected[1] == "store") == (sqlstate is not None)
    assert set(ours) - {"x-dlq-tenant", "x-dlq-event-type"} == {
        "__dlq.errors.topic", "__dlq.errors.partition", "__dlq.errors.offset", "__dlq.errors.group",
        "__dlq.errors.delivery.count", "x-dlq-reason", "x-dlq-stage", "x-dlq-original-timestamp",
        "x-dlq-redrive-count", "x-dlq-app",
    }  # fmt: skip
    assert (
        ours
        | {
            "__dlq.errors.topic": record.topic,
            "__dlq.errors.partition": "1",
            "__dlq.errors.offset": str(record.offset),
            "__dlq.errors.group": f"{installation.prefix.rstrip('.')}.execution",
            "__dlq.errors.delivery.count": "1",
            "x-dlq-reason": expected[0],
            "x-dlq-stage": expected[1],
            "x-dlq-original-timestamp": str(record.timestamp),
            "x-dlq-redrive-count": "0",
            "x-dlq-app": "siltstone",
        }
        == ours
    )


def check_row(row: dict[str, Any], letter: Any, sent: Raw, expected: tuple[str, str]) -> None:
    """The index has what was sent, byte for byte, and what became of it."""
    key, value, headers = sent
    assert (row["reason"], row["stage"], row["status"]) == (*expected, "dead")
    assert (row["key"], row["value"]) == (key, value)
    assert list(zip(row["header_names"], row["header_values"], strict=True)) == headers
    ours = dict(letter.headers)
    assert str(row["id"]).encode() == ours["x-dlq-id"]
    assert row["error"].encode() == ours["__dlq.errors.message"]
    assert row["sqlstate"] == ((ours.get("x-dlq-sqlstate") or b"").decode() or None)


async def test_a_header_that_is_no_utf8_loses_no_record(settled: Installation) -> None:
    """Batches with such a header are settled like others: FastStream's own parser raises on it and drops them (G1)."""
    topic = settled.topic("execution")
    worker = await settled.worker("--family", "execution").ready()
    bad = build("header-no-utf8")
    for first in range(0, 9, 3):
        # One poll after the other, so that a dropped batch would be committed over by the next good one.
        await settled.produce(topic, [neighbour(first), bad, neighbour(first + 1)], partition=0)
        await settled.produce(topic, [neighbour(first + 2)], partition=0)
        await settled.settled("execution", seconds=30)
    assert await settled.value("SELECT count(*) FROM node_execution") == 9
    assert [letter["reason"] for letter in await settled.letters(3)] == ["bad_utf8"] * 3
    assert await worker.stop() == 0


async def test_every_codec_is_read(settled: Installation) -> None:
    """Records compressed with none, gzip, snappy, lz4 and zstd are stored alike."""
    topic = settled.topic("execution")

    async def produce(number: int, codec: str | None) -> None:
        records: Sequence[Raw] = [neighbour(number * 10 + n) for n in range(10)]
        await settled.produce(topic, records, partition=number % 2, compression=codec)

    await asyncio.gather(*(produce(number, codec) for number, codec in enumerate(CODECS)))
    worker = await settled.worker("--family", "execution").ready()

    async def all_stored() -> bool:
        return bool(await settled.value("SELECT count(*) = $1 FROM node_execution", 10 * len(CODECS)))

    await until("records of every codec are stored", all_stored, 60)
    assert await settled.value("SELECT count(DISTINCT node_name) FROM node_execution") == 10 * len(CODECS)
    assert await worker.stop() == 0
