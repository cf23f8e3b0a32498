"""Finding dead letters: `siltstone dlq list`, `dlq stats` and `dlq export`, on letters in the index."""

import asyncio
import base64
import json
import os
import shlex
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from persistence.letter_reads import Place
from persistence.letters import Letter
from tests.support.installation import Installation
from tests.support.letters import put
from tests.support.worker import SILTSTONE
from workers.cli.dlq.listing import cursor_of, place_of

FIRST = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
STARTED, FINISHED = "siltstone.session.started.v1", "siltstone.run.finished.v2"


def letter(installation: Installation, number: int, **changes: Any) -> Letter:
    """Letter `number`, refused that many minutes after FIRST, of offset 100 + number."""
    one = Letter(
        id=uuid.UUID(int=number + 1),
        tenant_id="acme",
        topic=installation.topic("extraction"),
        partition=0,
        offset=100 + number,
        consumer_group="g.extraction",
        event_type=STARTED,
        event_id=f"e-{number}",
        subject="s-1",
        reason="schema_invalid",
        stage="schema",
        error="Expected `int`, got `str` - at `$.data.line_number`",
        exception=None,
        sqlstate=None,
        key=b"acme/s-1",
        value=b'{"n": %d}' % number,
        header_names=["content-type"],
        header_values=[b"application/json"],
        record_timestamp=1,
        letter_topic=installation.dlq("extraction"),
        letter_partition=0,
        letter_offset=number,
        failed_at=FIRST + timedelta(minutes=number),
        redrive_count=0,
    )
    return one._replace(**changes)


def five(installation: Installation) -> list[Letter]:
    """Letters that differ in everything that can be asked for."""
    return [
        letter(installation, 0),
        letter(installation, 1, tenant_id="globex", subject="s-2", partition=3, event_type=FINISHED),
        letter(installation, 2, tenant_id=None, reason="bad_json", stage="decode", event_type=None, value=b"no JSON"),
        letter(installation, 3, topic=installation.topic("execution"), redrive_count=3),
        letter(installation, 4, failed_at=FIRST + timedelta(hours=26), error="the attribute time is wrong"),
    ]


async def test_every_option_finds_what_it_names(installation: Installation) -> None:
    """Each option alone finds exactly its letters; several together find what meets all of them."""
    await put(installation, five(installation))
    await installation.execute("UPDATE dead_letter SET status = 'resolved' WHERE \"offset\" = 101")
    wanted = {
        f"--id {uuid.UUID(int=2)} --id {uuid.UUID(int=3)}": [102, 101],
        "--reason bad_json": [102],
        "--stage decode": [102],
        "--topic execution": [103],
        "--partition 3": [101],
        "--tenant globex": [101],
        "--tenant globex --tenant acme": [104, 103, 101, 100],
        "--type session.started": [104, 103, 100],
        "--subject s-2": [101],
        "--status parked --status resolved": [103, 101],
        "--since 2026-01-31T12:03:00Z": [104, 103],
        "--until 2026-01-31T12:01:00Z": [100],
        "--text JSON": [102],
        "--text attribute": [104],
        "--tenant acme --topic extraction --until 2026-01-31T13:00:00Z": [100],
        "--tenant acme --reason bad_json": [],
    }
    found = {
        options: [json.loads(line)["offset"] for line in _out(installation, "list", "-o", "jsonl", *options.split())]
        for options in wanted
    }
    assert found == wanted


async def test_a_list_goes_on_with_the_command_that_it_says(installation: Installation) -> None:
    """Following the command on stderr page by page gives every letter once, also those refused at one instant."""
    await put(installation, [letter(installation, n, failed_at=FIRST + timedelta(minutes=n // 4)) for n in range(7)])
    command = ["dlq", "list", "--limit", "3", "--tenant", "acme", "-o", "jsonl"]
    pages = []
    while command:
        listed = installation.run(*command)
        assert listed.returncode == 0
        pages.append([json.loads(line)["offset"] for line in listed.stdout.splitlines()])
        said = listed.stderr.removeprefix("there are more: siltstone ") if listed.stderr else ""
        command = shlex.split(said)
    assert pages == [[106, 105, 104], [103, 102, 101], [100]]


def test_a_cursor_is_a_place_or_is_refused(installation: Installation) -> None:
    """A cursor gives its place back to the microsecond; one with a character changed is exit 2, with what to do."""
    place = Place(datetime(1969, 7, 20, 20, 17, 40, 123457, tzinfo=UTC), uuid.UUID(int=2**128 - 1))
    cursor = cursor_of(place)
    assert (len(cursor), place_of(cursor)) == (36, place)
    for wrong in (cursor[:10] + ("A" if cursor[10] != "A" else "B") + cursor[11:], cursor[:-4], "", "é", "A" * 36):
        refused = installation.run("dlq", "list", "--after", wrong)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "is no cursor: copy the command" in refused.stderr


@pytest.mark.parametrize("command", [("list", "-o", "jsonl"), ("stats", "-o", "jsonl"), ("export",)])
async def test_with_one_tenant_a_command_reads_as_that_tenant(
    installation: Installation, command: tuple[str, ...]
) -> None:
    """It needs no right of the operator's, and sees no letter of another tenant nor one whose tenant is unknown."""
    await put(installation, five(installation))
    await installation.execute("REVOKE SELECT ON dead_letter FROM siltstone_operator")
    own = installation.run("dlq", *command, "--tenant", "acme")
    assert own.returncode == 0
    rows = [json.loads(line) for line in own.stdout.splitlines()]
    assert {row["value"] for row in rows if row.get("by") == "tenant"} <= {"acme"}
    assert {row["tenant_id"] for row in rows if "tenant_id" in row} <= {"acme"}
    assert sum(row.get("count", 1) for row in rows if row.get("by", "tenant") == "tenant") == 3
    assert installation.run("dlq", *command, "--tenant", "acme", "--tenant", "globex").returncode == 5


async def test_stats_count_by_everything(installation: Installation) -> None:
    """A table of 80 columns: statuses, the oldest, and the unresolved letters by each kind, the most first."""
    letters = five(installation)
    await put(installation, letters)
    await installation.execute("UPDATE dead_letter SET status = 'resolved' WHERE \"offset\" = 101")
    lines = _out(installation, "stats")
    assert max(len(line) for line in lines) <= 80
    text = [" ".join(line.split()) for line in lines]
    assert text[0] == "dead 3 resolved 1 parked 1"
    assert text[1].startswith("oldest not resolved: ")
    assert text[1].endswith(", since 2026-01-31 12:00")
    assert text[3:] == [
        "by reason count first seen last seen",
        "schema_invalid 3 2026-01-31 12:00 2026-02-01 14:00 ████████",
        "bad_json 1 2026-01-31 12:02 2026-01-31 12:02 ███",
        "",
        "by topic count first seen last seen",
        "siltstone.extraction 3 2026-01-31 12:00 2026-02-01 14:00 ████████",
        "siltstone.execution 1 2026-01-31 12:03 2026-01-31 12:03 ███",
        "",
        "by type count first seen last seen",
        "session.started 3 2026-01-31 12:00 2026-02-01 14:00 ████████",
        "- 1 2026-01-31 12:02 2026-01-31 12:02 ███",
        "",
        "by tenant count first seen last seen",
        "acme 3 2026-01-31 12:00 2026-02-01 14:00 ████████",
        "- 1 2026-01-31 12:02 2026-01-31 12:02 ███",
        "",
        "by hour count first seen last seen",
        "2026-02-01 14:00 1 2026-02-01 14:00 2026-02-01 14:00 ███",
        "2026-01-31 12:00 3 2026-01-31 12:00 2026-01-31 12:03 ████████",
    ]


async def test_stats_of_a_status_and_of_one_kind_as_json(installation: Installation) -> None:
    """--status counts that one alone, --by shows one kind; JSON lines have the times in full."""
    await put(installation, five(installation))
    await installation.execute("UPDATE dead_letter SET status = 'resolved' WHERE \"offset\" = 101")
    rows = [
        json.loads(line) for line in _out(installation, "stats", "--status", "resolved", "--by", "type", "-o", "jsonl")
    ]
    at = "2026-01-31 12:01:00+00:00"
    assert rows == [
        {"by": "status", "value": "resolved", "count": 1, "first_seen": at, "last_seen": at},
        {"by": "unresolved", "value": None, "count": 0, "first_seen": None, "last_seen": None},
        {"by": "type", "value": FINISHED, "count": 1, "first_seen": at, "last_seen": at},
    ]


async def test_stats_fail_over_a_number_of_unresolved_letters(installation: Installation) -> None:
    """Exit 6 after printing when more than N of the selection are dead, redriving or parked; exit 0 at N."""
    await put(installation, [letter(installation, n) for n in range(5)])
    for offset, status in ((101, "redriving"), (102, "parked"), (103, "resolved"), (104, "discarded")):
        await installation.execute('UPDATE dead_letter SET status = $1 WHERE "offset" = $2', status, offset)
    assert installation.run("dlq", "stats", "--fail-over", "3").returncode == 0
    over = installation.run("dlq", "stats", "--fail-over", "2")
    assert over.returncode == 6
    assert over.stdout.startswith("dead 1  redriving 1  resolved 1  parked 1  discarded 1\n")
    assert over.stderr == "3 letters are not resolved, more than 2\n"
    assert installation.run("dlq", "stats", "--fail-over", "0", "--status", "resolved").returncode == 0


async def test_an_export_has_all_that_puts_a_record_back(installation: Installation, tmp_path: Path) -> None:
    """Oldest first, bytes as they were, what was edited beside them, every trip; a file is whole or not there."""
    binary = letter(
        installation, 0, key=None, value=b"\xff\x00", header_names=["a", "a"], header_values=[b"\xfe", None]
    )
    tombstone = letter(installation, 1, value=None)
    again = letter(installation, 0, redrive_count=1, reason="bad_json", failed_at=FIRST + timedelta(hours=1))
    await put(installation, [binary, tombstone])
    await put(installation, [again])
    await installation.execute(
        "UPDATE dead_letter SET is_mended = true, mended_value = '{}', mended_header_names = '{b}', "
        "mended_header_values = ARRAY['c'::bytea] WHERE \"offset\" = 100"
    )
    place = tmp_path / "letters.jsonl"
    said = installation.run("dlq", "export", "--all", "--to", str(place))
    assert (said.returncode, said.stdout, said.stderr) == (0, "", f"2 letters exported to {place}\n")
    assert _names(tmp_path, "letters*") == ["letters.jsonl"]
    first, second = (json.loads(line) for line in place.read_text().splitlines())
    assert (first["offset"], first["value_base64"], first["is_mended"]) == (101, None, False)
    assert (second["key_base64"], base64.b64decode(second["value_base64"])) == (None, b"\xff\x00")
    assert second["headers"] == [["a", "/g=="], ["a", None]]
    assert (second["mended_key_base64"], second["mended_value_base64"]) == (None, "e30=")
    assert second["mended_headers"] == [["b", "Yw=="]]
    assert [(trip["redrive_count"], trip["reason"], trip["failed_at"]) for trip in second["trips"]] == [
        (0, "schema_invalid", "2026-01-31T12:00:00+00:00"),
        (1, "bad_json", "2026-01-31T13:00:00+00:00"),
    ]
    printed = installation.run("dlq", "export", "--reason", "bad_json")
    assert (printed.returncode, [json.loads(printed.stdout)]) == (0, [second])
    refused = installation.run("dlq", "export")
    assert (refused.returncode, refused.stdout) == (2, "")
    nowhere = installation.run("dlq", "export", "--all", "--to", str(tmp_path / "none" / "x"))
    assert (nowhere.returncode, nowhere.stderr) == (
        2,
        f"{tmp_path / 'none' / 'x.part'} cannot be written: No such file or directory\n",
    )


async def test_an_export_ends_quietly_when_its_reader_has_gone(installation: Installation) -> None:
    """A closed pipe is exit 1 without a word, and is not taken for a fault of the database."""
    await put(installation, [letter(installation, 0)])
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [str(SILTSTONE), "dlq", "export", "--all"],
            env=os.environ | installation.environment,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def _names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


def _out(installation: Installation, *arguments: str) -> list[str]:
    """What a command of `siltstone dlq` that succeeds prints."""
    done = installation.run("dlq", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()
