"""`siltstone dlq list` in its table, and `dlq show`, on letters in the index."""

import asyncio
import json
import os
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from persistence.letters import Letter
from tests.support.events import encoded, event
from tests.support.installation import Installation
from tests.support.letters import put
from tests.support.stored import store_events
from tests.support.worker import SILTSTONE
from workers.cli.dlq.rendering import fault_of, pointed, readable

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


async def test_list_prints_the_newest_first_in_80_columns(installation: Installation) -> None:
    """Newest first, `--limit` of them, ids whole, topics without the prefix; JSON lines have every field."""
    empty = installation.run("dlq", "list")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "no dead letters\n")
    await put(installation, [_letter(installation, number) for number in range(len(VALUES))])
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
    await put(installation, [_letter(installation, number) for number in range(len(VALUES))])
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


T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
OTHERS = ((20, "acme", "e-1"), (21, "globex", "e-1"), (22, "acme", "e-2"), (23, None, "e-1"))


def _refused(installation: Installation, value: bytes, **changes: Any) -> Letter:
    """A letter of a record of T0 that names its tenant, type and subject."""
    made = _letter(installation, 0)._replace(
        id=uuid.UUID(int=9), value=value, header_names=[], header_values=[], record_timestamp=_ms(T0)
    )
    return made._replace(**changes)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _updated(minutes: float, data: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """A session.updated event about s-1, so many minutes after T0."""
    time = (T0 + timedelta(minutes=minutes)).isoformat()
    return event("session.updated", "s-1", data, time=time, **attributes)


async def _shown(installation: Installation, *arguments: str) -> str:
    done = await asyncio.to_thread(installation.run, "dlq", "show", str(uuid.UUID(int=9)), *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def test_the_member_that_an_error_names_is_marked(installation: Installation) -> None:
    """The line of a JSON path, of a column, of an attribute; the header when that is what is wrong."""
    value = encoded(_updated(0, {"agent_name": "a", "metadata": {"agent_name": 1}}))
    headers = [("ce_id", b"x"), ("odd", None)]
    marks = {
        "Expected `str`, got `int` - at `$.data.agent_name`": '    "agent_name": "a",  <-- Expected `str`, got `int`',
        "SQLSTATE 54000 (X), table session, column metadata": '    "metadata": {  <-- SQLSTATE 54000 (X), table',
        "the attribute time is no RFC 3339 time": '  "time": "2026-01-31T12:00:00+00:00",  <-- the attribute time is',
        "the header ce_id is no UTF-8 at byte 0": "  ce_id: x  <-- the header ce_id is no UTF-8 at byte 0",
        "the record's header number 2 is null": "  odd: null  <-- the record's header number 2 is null",
        "the name of the record's header number 2 is no UTF-8": "  odd: null  <-- the name of the record's header",
    }
    found = {}
    for error in marks:
        await installation.execute("TRUNCATE dead_letter, dead_letter_trip")  # one that only lost its row is purged
        names, values = [name for name, _ in headers], [text for _, text in headers]
        await put(installation, [_refused(installation, value, error=error, header_names=names, header_values=values)])
        (line,) = [line for line in (await _shown(installation)).splitlines() if "<--" in line]
        found[error] = line[: len(marks[error])]
    assert found == marks


def test_the_byte_that_an_error_names_has_a_caret() -> None:
    """A place in raw text is its line, cut to what is near, with a caret below the character or the byte."""
    cut = b'{"a": 1,\n  "\xc3\xa9": [1,'
    fault = fault_of("the value is no JSON: Expecting value at line 2, column 11", cut, ())
    assert fault.byte == len(cut)
    assert pointed(cut, len(cut)) == f'line 2, column 11 (byte {len(cut)})\n    "é": [1,\n  {" " * 10}^'
    nul = b'{"said": "' + b"x" * 500 + b'\\u0000 and"}'
    at = nul.index(b"\\u")
    assert fault_of(f"the character U+0000 as an escape at byte {at}: Postgres text cannot", nul, ()).byte == at
    assert pointed(nul, at).splitlines()[1:] == [
        "  …" + "x" * 60 + '\\u0000 and"}',
        "  " + " " * 61 + "^",
    ]
    broken = b"\x1b[2J \xff!"
    assert fault_of("the value is no UTF-8 at byte 5", broken, ()).byte == 5
    assert pointed(broken, 5).splitlines()[1:] == ["  \\x1b[2J \\xff!", "  " + " " * 8 + "^"]
    assert fault_of("the value is no UTF-8 at byte 50", broken, ()).byte is None
    assert fault_of("the value is no JSON: Expecting value at line 9, column 1", cut, ()).byte is None


def test_a_member_beyond_what_is_cut_is_shown() -> None:
    """The marked line follows a value that is cut before it; a long one is cut itself."""
    value = json.dumps({"data": {"long": "x" * 5000, "line_number": "y" * 500}}).encode()
    lines = readable(value, "$.data.line_number", "Expected `int`").splitlines()
    assert lines[-1].startswith('    "line_number": "yyy')
    assert lines[-1].endswith("y…  <-- Expected `int`")
    assert "… line 4 of it, indented:" in lines
    assert max(len(line) for line in lines[4:]) < 200


def test_in_binary_mode_paths_lead_to_headers_and_into_data() -> None:
    """There the value is the event's data alone, and its attributes are headers."""
    headers = [("ce_specversion", b"1.0"), ("ce_time", b"yesterday")]
    assert fault_of("Expected `int` - at `$.data.line_number`", b"{}", headers).path == "$.line_number"
    assert fault_of("the attribute time is no RFC 3339 time", b"{}", headers).header == 1


async def test_show_of_an_edited_letter(installation: Installation) -> None:
    """What an operator made of it is shown, and what is wrong with that; `--original` has what came; so has --raw."""
    value, mended = b'{"a": 1', encoded(_updated(0, {"agent_name": 7}))
    await put(installation, [_refused(installation, value, error="the value is no JSON: x at line 1, column 8")])
    await installation.execute(
        "UPDATE dead_letter SET is_mended = true, mended_value = $1, mended_header_names = '{}', "
        "mended_header_values = '{}'",
        mended,
    )
    edited = await _shown(installation)
    assert "\nas edited; --original shows what came\n" in edited
    assert '    "agent_name": 7  <-- Expected `str | null`, got `int`\n' in edited
    assert "  would be refused: schema_invalid: Expected `str | null`, got `int` - at `$.data.agent_name`\n" in edited
    original = await _shown(installation, "--original")
    assert original.endswith(
        "\nthe value is no JSON: x at line 1, column 8: line 1, column 8 (byte 7)\n"
        f'  {{"a": 1\n  {" " * 7}^\n\nvalue (7 bytes)\n{{"a": 1\n'
    )
    assert (await _shown(installation, "--raw", "-"), await _shown(installation, "--raw", "-", "--original")) == (
        mended.decode(),
        value.decode(),
    )


async def test_show_has_one_history_of_refusals_and_actions(installation: Installation) -> None:
    """By time: refused, edited with sizes and why, redriven, refused again, resolved."""
    first = _refused(installation, b"{}", failed_at=T0, error="one\nline")
    await put(installation, [first])
    for minutes, action, why, after in ((1, "edit", "typed\x1b wrong", b"{ }"), (2, "redrive", None, None)):
        await installation.execute(
            "INSERT INTO dead_letter_action (dead_letter_id, actor, at, action, why, value_before, value_after) "
            "VALUES ($1, 'ann', $2, $3, $4, $5, $6)",
            first.id,
            T0 + timedelta(minutes=minutes),
            action,
            why,
            b"{}" if after else None,
            after,
        )
    await put(installation, [first._replace(redrive_count=1, reason="bad_json", failed_at=T0 + timedelta(minutes=3))])
    await installation.execute(
        "UPDATE dead_letter SET status = 'resolved', resolution = 'stored', resolved_log = 'session_event', "
        "resolved_at = $1, event_uid = $2",
        T0 + timedelta(minutes=4),
        uuid.UUID(int=7),
    )
    history = (await _shown(installation)).partition("\nhistory\n")[2].partition("\n\n")[0]
    assert history.splitlines() == [
        "  2026-01-31 12:00:00  refused     schema_invalid (decode): one\\nline",
        "  2026-01-31 12:01:00  edit        by ann: typed\\x1b wrong, value of 2 bytes, now 3 bytes",
        "  2026-01-31 12:02:00  redrive     by ann",
        "  2026-01-31 12:03:00  refused     bad_json (decode): one\\nline",
        f"  2026-01-31 12:04:00  resolved    stored: session_event {uuid.UUID(int=7)}",
    ]


async def test_show_names_the_other_letters_of_the_same_event(installation: Installation) -> None:
    """Only those of the same tenant and event id."""
    one = _refused(installation, b"{}", event_id="e-1")
    others = [one._replace(id=uuid.UUID(int=n), tenant_id=t, event_id=e) for n, t, e in OTHERS]
    await put(installation, [one, *others])
    same = json.loads(await _shown(installation, "-o", "json"))["same_event"]
    assert [other["id"] for other in same] == [str(uuid.UUID(int=20))]
    assert (
        "\nother letters of the same event (1)\n"
        f"  {uuid.UUID(int=20)}  2026-01-31 12:00:00  schema_invalid  dead\n" in await _shown(installation)
    )


async def test_show_says_by_field_what_a_redrive_would_change(installation: Installation) -> None:
    """Against what is stored: a column that is missing would be set, one of a later event stays.

    Once the letter's own event is stored nothing would change, and its own columns are equal.
    """
    own = _updated(5, {"agent_name": "late", "environment": "prod"})
    await store_events(installation.database_url, [_updated(10, {"agent_name": "new"}), _updated(20, {})], at=T0)
    await put(installation, [_refused(installation, encoded(own))])
    prospects = (await _shown(installation)).partition("\na redrive\n")[2].partition("\n\n")[0]
    assert [" ".join(line.split()) for line in prospects.splitlines()] == [
        "would be taken, as far as can be told without storing it",
        "session s-1 agent_name is newer: stays (of 2026-01-31 12:10:00)",
        "session s-1 environment would set",
        "session s-1 events would count",
        "session s-1 created_at would set",
        "session s-1 updated_at stays",
        "2 later events about session s-1 are stored, the latest of 2026-01-31 12:20:00",
    ]
    await store_events(installation.database_url, [own], at=T0, first_offset=50)
    stored = json.loads(await _shown(installation, "-o", "json"))["redrive"]
    assert (stored["is_stored"], stored["refused"]) == (True, None)
    assert {field["field"]: field["verdict"] for field in stored["fields"]} == {
        "agent_name": "is newer: stays",
        "environment": "equal",
        "created_at": "equal",
        "updated_at": "stays",
    }


async def test_show_compares_a_value_that_only_fills(installation: Installation) -> None:
    """What an extraction fills stays below what a session's own event said, however early that was."""
    await store_events(installation.database_url, [_updated(-60, {"agent_name": "own"})], at=T0)
    data = {"agent_name": "filled", "event_type": "error", "pattern": "p"}
    letter = event("extraction.recorded", "s-1", data, time=T0.isoformat())
    await put(installation, [_refused(installation, encoded(letter))])
    fields = json.loads(await _shown(installation, "-o", "json"))["redrive"]["fields"]
    assert {f["field"]: f["verdict"] for f in fields if f["field"] in {"agent_name", "extractions"}} == {
        "agent_name": "stays",
        "extractions": "would count",
    }


async def test_show_of_what_would_be_refused_again_counts_what_landed_since(installation: Installation) -> None:
    """The refusal in one line, and the later events about the subject, as far as the letter says what it is about."""
    await store_events(installation.database_url, [_updated(10, {}), _updated(-10, {})], at=T0)
    await store_events(installation.database_url, [_updated(30, {}, tenant="globex")], at=T0, first_offset=50)
    await put(installation, [_refused(installation, encoded(_updated(0, {"agent_name": 7})))])
    redrive = json.loads(await _shown(installation, "-o", "jsonl"))["redrive"]
    assert redrive["refused"] == "schema_invalid: Expected `str | null`, got `int` - at `$.data.agent_name`"
    assert (redrive["fields"], redrive["later_events"], redrive["latest"]) == (None, 1, "2026-01-31T12:10:00+00:00")
    await installation.execute("UPDATE dead_letter SET value = 'no JSON'")
    assert json.loads(await _shown(installation, "-o", "json"))["redrive"]["about"] is None
    await installation.execute(
        "UPDATE dead_letter SET event_type = 'siltstone.session.updated.v1', subject = 's-1'",
    )
    assert json.loads(await _shown(installation, "-o", "json"))["redrive"]["later_events"] == 1
    await installation.execute("UPDATE tenant SET status = 'suspended' WHERE tenant_id = 'acme'")
    await installation.execute("UPDATE dead_letter SET value = $1", encoded(_updated(0, {})))
    refused = json.loads(await _shown(installation, "-o", "json"))["redrive"]["refused"]
    assert refused == ("tenant_suspended: the tenant is suspended; `siltstone tenants activate` lets it in again")


async def test_show_as_json_has_the_bytes_and_their_text(installation: Installation) -> None:
    """Bytes are base64, with a text beside them when they are UTF-8; headers are pairs, times RFC 3339."""
    await put(installation, [_letter(installation, number) for number in range(len(VALUES))])
    done = await asyncio.to_thread(installation.run, "dlq", "show", str(uuid.UUID(int=3)), "-o", "json")
    letter = json.loads(done.stdout)
    assert (letter["value_base64"], letter["value_text"]) == ("//4AYmluYXJ5", None)
    assert (letter["key_base64"], letter["key_text"]) == ("YWNtZS9zLTE=", "acme/s-1")
    assert letter["headers"] == [["content-type", "/wA="], ["odd\x1b", None]]
    assert letter["last_failed_at"] == "2026-01-31T12:02:00+00:00"
    assert [trip["redrive_count"] for trip in letter["trips"]] == [0]


async def test_a_login_without_the_role_is_told_what_it_lacks(installation: Installation) -> None:
    """Exit 5 and the role by name: not a defect, and nothing to search for in a trace."""
    login = f"poor_{uuid.uuid4().hex[:8]}"
    await installation.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'secret'")
    try:
        url = make_url(installation.database_url).set(username=login, password="secret")  # noqa: S106
        installation.environment["DATABASE_URL"] = url.render_as_string(hide_password=False)
        said = installation.run("dlq", "stats")
        assert (said.returncode, said.stdout) == (5, "")
        assert 'permission denied to set role "siltstone_operator"; is it migrated?' in said.stderr
        assert "grant the login the role that it takes" in said.stderr
    finally:
        await installation.execute(f"DROP ROLE {login}")
