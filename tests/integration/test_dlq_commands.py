"""`siltstone dlq list` and `dlq show`, on letters in the index."""

import asyncio
import json
import os
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from persistence.letters import Letter, index
from tests.support.installation import Installation
from tests.support.worker import SILTSTONE
from workers.cli.dlq.show import readable

FIRST = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
VALUES = (
    b'{"id": "e-1", "amount": 99999999999999999999.10, "said": "\\u001b[31m", "none": {}}',
    b"not JSON",
    b"\xff\xfe\x00binary",
    None,
    b"",
)


def _letter(installation: Installation, number: int) -> Letter:
    return Letter(
        id=uuid.UUID(int=number + 1),
        tenant_id=None if number else "acme",
        topic=installation.topic("extraction"),
        partition=number,
        offset=100 + number,
        consumer_group="g.extraction",
        event_type=None,
        event_id=None,
        subject=None,
        reason="schema_registry_framed" if number else "schema_invalid",
        stage="decode",
        error="what was wrong \x1b[31m",
        exception=None,
        sqlstate=None,
        key=b"acme/s-1",
        value=VALUES[number],
        header_names=["content-type", "odd\x1b"],
        header_values=[b"\xff\x00", None],
        record_timestamp=1,
        letter_topic=installation.dlq("extraction"),
        letter_partition=0,
        letter_offset=number,
        failed_at=FIRST + timedelta(minutes=number),
        redrive_count=0,
    )


async def _index(installation: Installation) -> None:
    connection = await asyncpg.connect(installation.dsn)
    try:
        await index(connection, [_letter(installation, number) for number in range(len(VALUES))], 3)
    finally:
        await connection.close()


async def test_list_prints_the_newest_first_in_80_columns(installation: Installation) -> None:
    """Newest first, `--limit` of them, ids whole, topics without the prefix; JSON lines have every field."""
    empty = installation.run("dlq", "list")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "no dead letters\n")
    await _index(installation)
    listed = installation.run("dlq", "list", "--limit", "2")
    assert listed.returncode == 0
    assert [" ".join(line.split()) for line in listed.stdout.splitlines()] == [
        "id / record reason / tenant failed at / status",
        f"{uuid.UUID(int=5)} schema_registry_framed 2026-01-31 12:04",
        "siltstone.extraction/4@104 - dead",
        f"{uuid.UUID(int=4)} schema_registry_framed 2026-01-31 12:03",
        "siltstone.extraction/3@103 - dead",
    ]
    assert max(len(line) for line in listed.stdout.splitlines()) <= 80
    lines = installation.run("dlq", "list", "-o", "jsonl").stdout.splitlines()
    letters: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [one["offset"] for one in letters] == [104, 103, 102, 101, 100]
    assert letters[4]["tenant_id"] == "acme"


async def test_show_prints_a_letter_safely_and_writes_its_bytes(installation: Installation, tmp_path: Path) -> None:
    """JSON indented with its own digits, bytes as hexadecimal, no control character; `--raw` is byte for byte."""
    await _index(installation)
    shown = {n: installation.run("dlq", "show", str(uuid.UUID(int=n + 1))).stdout for n in (0, 2, 3)}
    assert not {c for text in shown.values() for c in text if not c.isprintable() and c != "\n"}
    assert "error             what was wrong \\x1b[31m\n" in shown[0]
    assert "\nheaders (2)\n  content-type: 0xff00\n  odd\\x1b: null\n" in shown[0]
    assert "\nkey (8 bytes)\n  acme/s-1\n" in shown[0]
    assert shown[0].endswith(
        '{\n  "id": "e-1",\n  "amount": 99999999999999999999.10,\n  "said": "\\u001b[31m",\n  "none": {}\n}\n'
    )
    assert shown[2].endswith("000000  ff fe 00 62 69 6e 61 72 79                       ...binary\n")
    assert shown[3].endswith("\nno value (a tombstone)\n")
    place = tmp_path / "value"
    assert installation.run("dlq", "show", str(uuid.UUID(int=3)), "--raw", str(place)).returncode == 0
    assert place.read_bytes() == VALUES[2]
    assert installation.run("dlq", "show", str(uuid.UUID(int=4)), "--raw", str(place)).returncode == 3
    raw = await asyncio.to_thread(
        subprocess.run,
        [str(SILTSTONE), "dlq", "show", str(uuid.UUID(int=3)), "--raw", "-"],
        env=os.environ | installation.environment,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert raw.stdout == VALUES[2]


def test_a_value_is_cut_and_its_control_characters_are_escaped() -> None:
    """Text that is no JSON prints with escapes; more than 4 KiB are cut, with a note of how to get the rest."""
    assert readable(b"not JSON \x1b[2J\x07 at all") == "not JSON \\x1b[2J\\x07 at all"
    assert readable(b"x" * 5000) == "x" * 4096 + "\n… cut at 4096 characters; --raw FILE writes it whole"
    assert readable(b'[1, {"a": [ ]}]') == '[\n  1,\n  {\n    "a": []\n  }\n]'


async def test_show_tells_an_unknown_id_from_a_malformed_one(installation: Installation) -> None:
    """An id that the index does not have is exit 3, one that is no id is exit 2."""
    unknown = installation.run("dlq", "show", str(uuid.UUID(int=99)))
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert str(uuid.UUID(int=99)) in unknown.stderr
    malformed = installation.run("dlq", "show", "1f")
    assert (malformed.returncode, malformed.stdout) == (2, "")
