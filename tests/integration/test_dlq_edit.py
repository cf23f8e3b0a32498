"""`siltstone dlq edit`, `park`, `discard`, `restore` and `purge`, on letters in the index."""

import getpass
import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from persistence.letters import Letter
from tests.pipeline.test_bad_input import build, finished
from tests.support.events import encoded
from tests.support.installation import Installation
from tests.support.letters import put
from tests.support.worker import SILTSTONE

FIRST = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
BAD_UTF8, NO_ID, NULL_HEADER, FIRST_FREE = 1, 2, 3, 10
TRACED = (
    "action, actor, why, key_before, key_after, value_before, value_after, "
    "header_names_before, header_values_before, header_names_after, header_values_after"
)


def _letter(installation: Installation, number: int, example: str, reason: str) -> Letter:
    key, value, headers = build(example)
    return Letter(
        id=uuid.UUID(int=number),
        tenant_id="acme",
        topic=installation.topic("execution"),
        partition=0,
        offset=number,
        consumer_group="g.execution",
        event_type=None,
        event_id=None,
        subject=None,
        reason=reason,
        stage="decode",
        error="what was wrong",
        exception=None,
        sqlstate=None,
        key=key,
        value=value,
        header_names=[name for name, _ in headers],
        header_values=[text for _, text in headers],
        record_timestamp=int(time.time() * 1000),
        letter_topic=installation.dlq("execution"),
        letter_partition=0,
        letter_offset=number,
        failed_at=FIRST + timedelta(minutes=number),
        redrive_count=0,
    )


@pytest.fixture
async def indexed(installation: Installation) -> Installation:
    """An installation with three letters of three reasons."""
    await put(
        installation,
        [
            _letter(installation, BAD_UTF8, "no-utf8", "bad_utf8"),
            _letter(installation, NO_ID, "missing-id", "missing_id"),
            _letter(installation, NULL_HEADER, "null-header", "not_cloudevent"),
        ],
    )
    return installation


def _id(number: int) -> str:
    return str(uuid.UUID(int=number))


async def _row(installation: Installation, number: int) -> dict[str, Any]:
    return (await installation.fetch("SELECT * FROM dead_letter WHERE id = $1", uuid.UUID(int=number)))[0]


async def _statuses(installation: Installation) -> dict[int, str]:
    rows = await installation.fetch("SELECT id, status FROM dead_letter ORDER BY id")
    return {uuid.UUID(str(row["id"])).int: row["status"] for row in rows}


async def _actions(installation: Installation) -> list[tuple[int, str, str, str | None]]:
    rows = await installation.fetch("SELECT dead_letter_id, action, actor, why FROM dead_letter_action ORDER BY id")
    return [(uuid.UUID(str(r["dead_letter_id"])).int, r["action"], r["actor"], r["why"]) for r in rows]


async def _set_status(installation: Installation, number: int, status: str) -> None:
    await installation.execute("UPDATE dead_letter SET status = $2 WHERE id = $1", uuid.UUID(int=number), status)


def _quiet(installation: Installation, *arguments: str, code: int = 0, stdin: bytes | None = None) -> str:
    """Run a `dlq` command that prints no data; what it says."""
    done = installation.run("dlq", *arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, ""), done
    return done.stderr


async def test_an_edit_lies_beside_the_original_with_its_history(indexed: Installation) -> None:
    """The bytes that came stay; the mended ones, and an action with before and after, are written in one go."""
    came = await _row(indexed, BAD_UTF8)
    say = _quiet(indexed, "edit", "--reason", "bad_utf8", "--decode-as", "latin-1", "--as", "ada", "--why", "old agent")
    assert say == "1 letter changed\n"
    row = await _row(indexed, BAD_UTF8)
    value = came["value"].decode("latin-1").encode()
    mended = {
        "is_mended": True,
        "mended_key": came["key"],
        "mended_value": value,
        "mended_header_names": came["header_names"],
        "mended_header_values": came["header_values"],
    }
    assert row == came | mended
    headers = (came["header_names"], came["header_values"])
    action = (await indexed.fetch(f"SELECT {TRACED} FROM dead_letter_action"))[0]  # noqa: S608 - our own names
    first = ("edit", "ada", "old agent", came["key"], came["key"], came["value"], value, *headers, *headers)
    assert tuple(action.values()) == first

    # The next edit starts from what the first one made, and --original brings back what came.
    assert _quiet(indexed, "edit", _id(BAD_UTF8), "--no-key", "--header", "x-own=new") == "1 letter changed\n"
    again = await _row(indexed, BAD_UTF8)
    assert (again["mended_key"], again["mended_value"]) == (None, value)
    assert again["mended_header_values"] == [came["header_values"][0], b"new"]
    assert _quiet(indexed, "edit", _id(BAD_UTF8), "--original", "--no-check") == "1 letter changed\n"
    assert await _row(indexed, BAD_UTF8) == came
    last = (await indexed.fetch(f"SELECT {TRACED} FROM dead_letter_action ORDER BY id"))[-1]  # noqa: S608
    back = ("edit", getpass.getuser(), None, None, came["key"], value, came["value"])
    assert tuple(last.values()) == (*back, headers[0], [headers[1][0], b"new"], *headers)
    same = "0 letters changed\n1 letter unchanged: there was nothing to change\n"
    assert _quiet(indexed, "edit", _id(BAD_UTF8), "--original") == same
    assert len(await _actions(indexed)) == 3


async def test_what_would_still_be_refused_is_not_kept(indexed: Installation) -> None:
    """One line for each distinct reason, with a count and an example, exit 4; `--no-check` keeps it all the same."""
    await put(indexed, [_letter(indexed, FIRST_FREE + number, "time-number", "bad_time") for number in range(3)])
    say = _quiet(indexed, "edit", "--all", "--drop-bad-headers", "--set", "data.kept=1", code=4)
    bad_time = "the attribute time is no RFC 3339 time with an offset, such as 2026-01-31T12:00:00.000Z"
    missing_id = "the attribute id is missing or empty: a producer sets it once"
    assert [re.sub("byte [0-9]+", "byte #", line) for line in say.splitlines()] == [
        "1 letter changed",
        f"3 letters not changed: bad_time: {bad_time} (such as {_id(FIRST_FREE)})",
        f"1 letter not changed: bad_utf8: the value is no UTF-8 at byte # (such as {_id(BAD_UTF8)})",
        f"1 letter not changed: missing_id: {missing_id} (such as {_id(NO_ID)})",
        "5 letters would still be refused; --no-check keeps such changes",
    ]
    assert [number for number, *_ in await _actions(indexed)] == [NULL_HEADER]
    assert _quiet(indexed, "edit", _id(NO_ID), "--set", "data.kept=1", "--no-check") == "1 letter changed\n"
    assert json.loads((await _row(indexed, NO_ID))["mended_value"])["data"]["kept"] == 1


async def test_changes_are_made_in_the_order_of_the_help(installation: Installation) -> None:
    """Bytes, then text, then places (a copy before what it copied is unset), then headers, then the key."""
    letter = _letter(installation, NO_ID, "missing-id", "schema_registry_framed")
    text = (letter.value or b"").replace(b'"completed"', b'"failed", "error": "caf\xe9\\u0000", "loss": NaN')
    timestamp = 1_769_860_800_123
    await put(installation, [letter._replace(value=b"\0\0\0\0\xff" + text, record_timestamp=timestamp)])
    await installation.execute("UPDATE dead_letter SET tenant_id = NULL")
    say = _quiet(
        installation, "edit", _id(NO_ID), "--key-from-event", "--drop-header", "x-own", "--unset", "data.error",
        "--set-text", "specversion=1.0", "--set", "tenantid=globex", "--set", "data.final_state.loss=0.10",
        "--time-from-record", "--copy", "data.error=data.error_message", "--copy", "subject=id",
        "--replace-nan", "null", "--replace-nul", "?", "--decode-as", "latin-1", "--strip-frame", "--no-check",
    )  # fmt: skip
    assert say == "1 letter changed\n"
    row = await _row(installation, NO_ID)
    assert (row["mended_key"], row["mended_header_names"]) == (b"globex/r-bad", ["content-type"])
    assert row["mended_value"].decode() == (
        '{"specversion":"1.0","source":"/tests","type":"siltstone.run.finished.v1","time":"2026-01-31T12:00:00.123+00:00",'
        '"subject":"r-bad","tenantid":"globex","datacontenttype":"application/json",'
        '"data":{"status":"failed","loss":null,"error_message":"café?","final_state":{"loss":0.10}},"id":"r-bad"}'
    )


async def test_the_tenant_is_checked(indexed: Installation) -> None:
    """A result whose tenant is unknown or suspended is refused; with an active one it is kept."""
    await indexed.execute("UPDATE tenant SET status = 'suspended' WHERE tenant_id = 'globex'")
    for tenant, reason in (("nobody", "tenant_unknown"), ("globex", "tenant_suspended")):
        say = _quiet(
            indexed, "edit", _id(NULL_HEADER), "--drop-bad-headers", "--set", f"tenantid={tenant}",
            "--key-from-event", code=4,
        )  # fmt: skip
        assert say.splitlines()[1].startswith(f"1 letter not changed: {reason}: ")
    assert (await _row(indexed, NULL_HEADER))["is_mended"] is False


async def test_a_dry_run_shows_the_change_and_keeps_nothing(indexed: Installation) -> None:
    """A unified diff of key, headers and pretty-printed value; nothing is written, and nothing is locked."""
    done = indexed.run(
        "dlq", "edit", _id(NO_ID), "--set", "id=e-1", "--set", "data.n=1e400000", "--key", "k", "--dry-run"
    )
    assert (done.returncode, done.stderr) == (0, "1 letter would be changed\n")
    assert [line for line in done.stdout.splitlines() if line[0] in "+-"] == [
        f"--- {_id(NO_ID)} now",
        f"+++ {_id(NO_ID)} then",
        "-key: acme/r-bad",
        "+key: k",
        '-    "status": "completed"',
        "-  }",
        '+    "status": "completed",',
        '+    "n": 1e400000',
        "+  },",
        '+  "id": "e-1"',
    ]
    refused = indexed.run("dlq", "edit", "--all", "--set", "data.n=1", "--dry-run")
    assert refused.returncode == 4
    assert refused.stdout.count("\nstill refused: ") == 3
    assert await indexed.value("SELECT count(*) FROM dead_letter WHERE is_mended") == 0
    assert await _actions(indexed) == []


async def test_letters_that_are_not_dead_or_parked_are_left_out(indexed: Installation) -> None:
    """Of a selection they are counted; one that was named is exit 4, one that is not there exit 3."""
    for number, status in ((BAD_UTF8, "resolved"), (NO_ID, "parked"), (NULL_HEADER, "redriving")):
        await _set_status(indexed, number, status)
    left_out = "2 letters left out (1 redriving, 1 resolved): only dead or parked letters can be edited\n"
    assert _quiet(indexed, "edit", "--all", "--id-from-letter") == left_out + "1 letter changed\n"
    assert [number for number, *_ in await _actions(indexed)] == [NO_ID]
    assert json.loads((await _row(indexed, NO_ID))["mended_value"])["id"] == _id(NO_ID)
    named = _quiet(indexed, "edit", _id(BAD_UTF8), "--id-from-letter", code=4)
    assert named == "1 letter cannot be edited (1 resolved): only dead or parked letters can be edited\n"
    assert _quiet(indexed, "edit", _id(99), "--no-key", code=3).startswith(f"there is no dead letter {_id(99)}; ")
    assert _quiet(indexed, "edit", "--reason", "too_large", "--no-key") == "no letter matches; nothing is changed\n"


async def test_letters_that_another_command_holds_are_skipped(indexed: Installation) -> None:
    """A locked letter is neither waited for nor changed; it is counted."""
    connection = await asyncpg.connect(indexed.dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM dead_letter WHERE id = $1 FOR UPDATE", uuid.UUID(int=NO_ID))
            skipped = "1 letter skipped: another command works on them; run this again\n"
            say = _quiet(indexed, "edit", "--all", "--no-check", "--key", "k")
            assert say == "2 letters changed\n" + skipped
            assert _quiet(indexed, "park", _id(NO_ID), code=4) == "0 letters parked\n" + skipped
            assert _quiet(indexed, "park", "--all", "--yes") == "2 letters parked\n" + skipped
    finally:
        await connection.close()
    assert await _statuses(indexed) == {BAD_UTF8: "parked", NO_ID: "dead", NULL_HEADER: "parked"}


def _editor(installation: Installation, script: str) -> None:
    """`$EDITOR` is a script that gets the file as its first argument."""
    place = installation.folder / "editor"
    place.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    place.chmod(0o755)
    installation.environment |= {"EDITOR": str(place), "VISUAL": "", "TMPDIR": str(installation.folder)}


def _left_behind(installation: Installation) -> list[Path]:
    return list(installation.folder.glob("siltstone-letter-*"))


async def test_an_editor_opens_the_value(indexed: Installation) -> None:
    """JSON with a member a line, kept compact; unchanged, empty or failed, nothing is kept."""
    _editor(indexed, """cp "$1" "$1.seen"; sed -i 's/^{$/{"id": "e-1", "n": 1e400000,/' "$1" """)
    assert _quiet(indexed, "edit", _id(NO_ID)) == "1 letter changed\n"
    (seen,) = _left_behind(indexed)
    assert seen.read_text().startswith('{\n  "specversion": "1.0",\n  "source": "/tests",\n')
    came, row = json.loads(build("missing-id")[1] or b""), await _row(indexed, NO_ID)
    start = b'{"id":"e-1","n":1e400000,"specversion":"1.0",'
    assert row["mended_value"].startswith(start)
    assert row["mended_value"].endswith(b',"data":{"status":"completed"}}')
    assert json.loads(row["mended_value"]).keys() == came.keys() | {"id", "n"}
    seen.unlink()
    for script in ("true", 'echo > "$1"'):
        _editor(indexed, script)
        assert _quiet(indexed, "edit", _id(NO_ID)) == "unchanged or empty: nothing is kept\n"
    assert _left_behind(indexed) == []
    _editor(indexed, "exit 3")
    assert "ended with 3: nothing is changed" in _quiet(indexed, "edit", _id(NO_ID), code=4)
    assert await _row(indexed, NO_ID) == row


async def test_what_was_written_in_an_editor_is_never_lost(indexed: Installation) -> None:
    """A result that is still refused stays in its file, which `--file` takes; a letter that changed is left alone."""
    _editor(indexed, """sed -i 's/completed/nonsense/' "$1" """)
    say = _quiet(indexed, "edit", _id(NULL_HEADER), code=4)
    (written,) = _left_behind(indexed)
    assert f"; {written} has what you wrote: --file goes on from it" in say
    kept = _quiet(indexed, "edit", _id(NULL_HEADER), "--file", str(written), "--no-check")
    assert kept == "1 letter changed\n"
    assert json.loads((await _row(indexed, NULL_HEADER))["mended_value"])["data"] == {"status": "nonsense"}
    assert _quiet(indexed, "edit", _id(BAD_UTF8), "--file", "-", stdin=encoded(finished())) == "1 letter changed\n"
    _editor(indexed, f"""{SILTSTONE} dlq edit {_id(BAD_UTF8)} --key k; sed -i 's/completed/failed/' "$1" """)
    say = _quiet(indexed, "edit", _id(BAD_UTF8), code=4)
    assert "1 letter not changed: cannot be changed so: another command changed the letter meanwhile" in say
    row = await _row(indexed, BAD_UTF8)
    assert (row["mended_key"], json.loads(row["mended_value"])["data"]) == (b"k", {"status": "completed"})


async def test_options_that_make_no_sense_are_refused(indexed: Installation) -> None:
    """Exit 2, before anything is read or changed, with what to write instead."""
    for arguments, message in (
        (["edit", "--all"], "say what to change"),
        (["edit", "--no-key"], "say which letters: an ID, a selector such as --reason, or --all"),
        (["edit", _id(NO_ID), "--all", "--no-key"], "give either one letter's ID or a selection, not both"),
        (["edit", "--all", "--key", "k", "--no-key"], "give one of --key, --no-key and --key-from-event"),
        (["edit", "--all", "--set", "data.x"], "'data.x' is no assignment"),
        (["edit", "--all", "--unset", "data."], "'data.' is no path"),
        (["edit", "--all", "--decode-as", "rot13"], "--decode-as 'rot13' is no encoding of text"),
        (["edit", "--all", "--replace-nan", "NaN"], "--replace-nan 'NaN' is no JSON"),
        (["edit", "--all", "--header", "x-dlq-id=1"], "the header x-dlq-id is Siltstone's own"),
        (["edit", "--all", "--set", "id=e-1"], "--set id=… would make one event of 3 letters"),
        (["edit", "--all", "--file", "-"], "--file would make one event of 3 letters"),
        (["discard", _id(NO_ID)], "say why with --why TEXT"),
        (["purge", "--before", "yesterday"], "--before 'yesterday' is no time"),
    ):
        assert _quiet(indexed, *arguments, code=2, stdin=b"{}").startswith(message)
    assert await _actions(indexed) == []


async def test_letters_are_parked_discarded_and_restored(indexed: Installation) -> None:
    """Each moves only from its own statuses, with an action for each letter; the phase stays as the topic says."""
    asked = indexed.run("dlq", "park", "--all")
    assert (asked.returncode, asked.stderr) == (0, "3 letters would be parked; nothing is changed, --yes does it\n")
    assert [" ".join(line.split()) for line in asked.stdout.splitlines()] == [
        "reason topic letters oldest",
        "bad_utf8 siltstone.execution 1 2026-01-31 12:01",
        "missing_id siltstone.execution 1 2026-01-31 12:02",
        "not_cloudevent siltstone.execution 1 2026-01-31 12:03",
    ]
    assert await _actions(indexed) == []
    assert _quiet(indexed, "park", _id(NO_ID), "--as", "ada") == "1 letter parked\n"
    assert await _statuses(indexed) == {BAD_UTF8: "dead", NO_ID: "parked", NULL_HEADER: "dead"}
    say = _quiet(indexed, "discard", "--all", "--why", "test data", "--yes", "--as", "ada")
    assert say == "3 letters discarded\n"
    only = "only parked or discarded letters can be restored\n"
    await _set_status(indexed, BAD_UTF8, "resolved")
    say = _quiet(indexed, "restore", "--all", "--yes", "--as", "bo")
    assert say == "1 letter left out (1 resolved): " + only + "2 letters restored\n"
    assert await _statuses(indexed) == {BAD_UTF8: "resolved", NO_ID: "dead", NULL_HEADER: "dead"}
    assert _quiet(indexed, "restore", _id(NO_ID), code=4) == "1 letter cannot be restored (1 dead): " + only
    assert _quiet(indexed, "restore", _id(99), code=3).startswith("there is no dead letter")
    actions = await _actions(indexed)
    assert actions[0] == (NO_ID, "park", "ada", None)
    assert sorted(actions[1:4]) == [(n, "discard", "ada", "test data") for n in (BAD_UTF8, NO_ID, NULL_HEADER)]
    assert sorted(actions[4:]) == [(n, "restore", "bo", None) for n in (NO_ID, NULL_HEADER)]
    assert await indexed.value("SELECT count(*) FROM dead_letter WHERE phase = 1 AND redrive_count = 0") == 3


async def test_reading_the_topic_again_revives_nothing(indexed: Installation) -> None:
    """A letter that an operator parked, discarded or edited stays so when its first trip is indexed once more."""
    assert _quiet(indexed, "discard", _id(NO_ID), "--why", "test data") == "1 letter discarded\n"
    assert _quiet(indexed, "edit", _id(BAD_UTF8), "--decode-as", "latin-1") == "1 letter changed\n"
    before = await indexed.fetch("SELECT * FROM dead_letter ORDER BY id")
    await put(indexed, [_letter(indexed, NO_ID, "missing-id", "missing_id")])
    await put(indexed, [_letter(indexed, BAD_UTF8, "no-utf8", "bad_utf8")])
    assert await indexed.fetch("SELECT * FROM dead_letter ORDER BY id") == before


async def test_purge_deletes_what_is_over(indexed: Installation) -> None:
    """Resolved before the time, and with `--discarded` those discarded before it; trips and actions stay."""
    resolve = "UPDATE dead_letter SET status = 'resolved', phase = 2, resolved_at = $2 WHERE id = $1"
    now = datetime.now(UTC)
    await indexed.execute(resolve, uuid.UUID(int=BAD_UTF8), now - timedelta(days=8))
    await indexed.execute(resolve, uuid.UUID(int=NO_ID), now - timedelta(days=6))
    assert _quiet(indexed, "discard", _id(NULL_HEADER), "--why", "test data") == "1 letter discarded\n"
    say = "1 letter (1 resolved) would be deleted; nothing is changed, --yes does it\n"
    assert _quiet(indexed, "purge", "--before", "7d", "--discarded") == say
    assert len(await _statuses(indexed)) == 3
    assert _quiet(indexed, "purge", "--before", "7d", "--yes", "--as", "ada", "--why", "old") == "1 letter deleted\n"
    assert await _statuses(indexed) == {NO_ID: "resolved", NULL_HEADER: "discarded"}
    assert _quiet(indexed, "purge", "--before", "7d", "--yes").startswith("no letter was resolved before ")
    await indexed.execute("UPDATE dead_letter_action SET at = at - interval '8 days' WHERE action = 'discard'")
    assert _quiet(indexed, "purge", "--before", "7d", "--discarded", "--yes") == "1 letter deleted\n"
    assert await _statuses(indexed) == {NO_ID: "resolved"}
    assert await indexed.value("SELECT count(*) FROM dead_letter_trip") == 3
    assert (await _actions(indexed))[1] == (BAD_UTF8, "purge", "ada", "old")


async def test_a_selection_is_edited_in_several_transactions(installation: Installation) -> None:
    """Each of 1,201 letters is changed once, with one action each, also when values are large."""
    await put(
        installation,
        [_letter(installation, FIRST_FREE + number, "no-utf8", "bad_utf8") for number in range(1_200)],
    )
    large = _letter(installation, BAD_UTF8, "no-utf8", "bad_utf8")
    await put(installation, [large._replace(value=(large.value or b"") + b" " * 20_000_000)])
    say = _quiet(installation, "edit", "--reason", "bad_utf8", "--decode-as", "latin-1", code=4)
    assert say.splitlines()[:1] == ["1200 letters changed"]
    assert "too_large" in say.splitlines()[1]
    assert await installation.value("SELECT count(*) FROM dead_letter WHERE is_mended") == 1_200
    assert await installation.value("SELECT count(DISTINCT dead_letter_id) FROM dead_letter_action") == 1_200
    assert await installation.value("SELECT count(*) FROM dead_letter_action") == 1_200
    assert _quiet(installation, "discard", "--all", "--why", "done", "--yes") == "1201 letters discarded\n"
