"""Lines to records: whole events go out as they came, short forms are completed (docs of `siltstone publish`)."""

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest

from contracts.decode import decode
from producers.event_lines import Defaults, Outgoing, RefusedLine, lines_of, outgoing
from tests.support.decoding import STAMP, TIME, WINDOW, finished
from tests.support.events import encoded
from tests.support.imported import CASES

DEFAULTS = Defaults(
    tenant="acme",
    source="/me",
    topic_prefix="p.",
    new_id=lambda: "made-1",
    now=lambda: datetime(2026, 1, 31, 12, 0, 0, 5999, tzinfo=UTC),
)


def one(line: bytes, defaults: Defaults = DEFAULTS, *, check: bool = True) -> Outgoing | RefusedLine:
    """What becomes of a single line."""
    (found,) = outgoing([line], defaults, WINDOW, check=check)
    return found


def sent(line: bytes, defaults: Defaults = DEFAULTS, *, check: bool = True) -> Outgoing:
    """The record of a line; fails when it is refused."""
    found = one(line, defaults, check=check)
    assert isinstance(found, Outgoing), found
    return found


def test_a_whole_event_goes_out_byte_for_byte() -> None:
    """A line with specversion is published as it came, blanks and digits included; its attributes are repeated."""
    line = encoded(finished({"cost_usd": "@"}, id="i-1", source="/é")).replace(b'"@"', b" 0.1000 ")
    record = sent(b"  " + line + b" \r\n")
    assert (record.topic, record.key, record.value) == ("p.siltstone.execution", b"acme/r-1", line)
    assert record.headers == [
        ("content-type", b"application/cloudevents+json; charset=UTF-8"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"i-1"),
        ("ce_source", "/é".encode()),
        ("ce_type", b"siltstone.run.finished.v1"),
        ("ce_time", TIME.encode()),
        ("ce_subject", b"r-1"),
        ("ce_tenantid", b"acme"),
    ]


@pytest.mark.parametrize("missing", ["id", "time", "source", "tenantid"])
def test_a_whole_event_gets_nothing_of_ours(missing: str) -> None:
    """An id or time of ours would make another event of it at each try: a whole event that lacks one is refused."""
    event = {name: value for name, value in finished().items() if name != missing}
    assert isinstance(one(encoded(event)), RefusedLine)


def test_a_short_form_is_completed() -> None:
    """type, subject and data become a whole event with a new id, the time to the millisecond, tenant and source."""
    line = b'{"type": "run.finished", "subject": "r-1", "data": {"status": "failed", "cost_usd": 0.10}}'
    record = sent(line)
    assert json.loads(record.value, parse_float=str) == {
        "specversion": "1.0",
        "id": "made-1",
        "source": "/me",
        "type": "siltstone.run.finished.v1",
        "time": "2026-01-31T12:00:00.005Z",
        "subject": "r-1",
        "tenantid": "acme",
        "datacontenttype": "application/json",
        "data": {"status": "failed", "cost_usd": "0.10"},
    }
    assert decode(record.value, record.key, record.headers, STAMP, WINDOW).event_id == "made-1"


def test_what_a_short_form_says_stands() -> None:
    """Attributes that a short form has are kept; a full or versioned type name is not lengthened."""
    short: dict[str, Any] = {
        "subject": "r",
        "data": {"status": "failed"},
        "tenantid": "globex",
        "id": "own",
        "time": TIME,
    }
    for kind in ("run.finished", "run.finished.v1", "siltstone.run.finished.v1"):
        record = sent(encoded(short | {"type": kind}))
        said = json.loads(record.value)
        assert (said["type"], said["id"], said["time"]) == ("siltstone.run.finished.v1", "own", TIME)
        assert record.key == b"globex/r"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"type": "run.finished"', "bad_json: "),
        (b"[1]", "not_cloudevent: "),
        (b'{"type": "run.deleted", "subject": "r", "note": "\xff"}', "bad_utf8: "),
        (b'{"subject": "r"}', "a short form needs type, subject and data; type is missing"),
        (b'{"type": 5, "subject": "r"}', "a short form needs type, subject and data; type is missing"),
        (b'{"type": "run.finished", "data": {}}', "a short form needs type, subject and data; subject is missing"),
        (b'{"type": "run.finished", "subject": "r"}', "schema_invalid: "),
        (b'{"type": "run.stopped", "subject": "r", "data": {}}', "schema_unsupported: "),
        (b'{"type": "run.deleted", "subject": "r", "time": "1970-01-01T00:00:00Z"}', "time_out_of_range: "),
    ],
)
def test_a_refused_line_says_why(line: bytes, reason: str) -> None:
    """A line that a worker would refuse is not published; its number and reason are given."""
    found = list(outgoing([b"", b" \n", line], DEFAULTS, WINDOW, check=True))
    assert len(found) == 1
    assert isinstance(found[0], RefusedLine)
    assert found[0].line == 3
    assert found[0].reason.startswith(reason)


def test_a_short_form_needs_a_tenant() -> None:
    """Without --tenant and tenantid a short form is refused, and says what to give."""
    found = one(b'{"type": "run.deleted", "subject": "r", "data": {}}', Defaults())
    assert found == RefusedLine(1, "tenant_missing: a short form needs --tenant, or tenantid in the line")


@pytest.mark.parametrize(
    "line", [b"\xff\0", b'{"specversion": "1.0"}', b"[]", encoded(finished(type="siltstone.run.finished.v9"))]
)
def test_without_the_check_anything_goes(line: bytes) -> None:
    """With --no-check a line is published as it is, to the topic that its type's noun names if it has one."""
    record = sent(line, check=False)
    assert record.value == line
    assert record.topic == ("p.siltstone.execution" if b"run" in line else "p.siltstone.extraction")


def test_refused_and_sent_lines_keep_their_order() -> None:
    """Every line that is not blank makes one record or one refusal, in order."""
    lines = [encoded(finished()), b"x", b"", encoded(finished())]
    assert [type(found) for found in outgoing(lines, DEFAULTS, WINDOW, check=True)] == [Outgoing, RefusedLine, Outgoing]


def test_byte_order_mark() -> None:
    """A mark at the start of a file is no part of its first line; elsewhere it is no JSON, as before."""
    with (CASES / "publish" / "byte-order-mark.jsonl").open("rb") as file:
        sent_lines = list(outgoing(lines_of(file), DEFAULTS, WINDOW, check=True))
    assert [json.loads(record.value)["subject"] for record in sent_lines if isinstance(record, Outgoing)] == [
        "s-b", "s-c"
    ]  # fmt: skip
    assert len(sent_lines) == 2
    later = b"{}\n\xef\xbb\xbf{}\n"
    assert list(lines_of(BytesIO(later))) == [b"{}\n", b"\xef\xbb\xbf{}\n"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_says_how_to_mend_it(encoding: str) -> None:
    """Once, and not for every line."""
    text = '{"type": "session.started", "subject": "s", "data": {"agent_name": "x"}}\n' * 2
    content = ("\ufeff" if encoding.endswith("be") else "") + text
    [refused] = outgoing(lines_of(BytesIO(content.encode(encoding))), DEFAULTS, WINDOW, check=True)
    assert isinstance(refused, RefusedLine)
    assert "iconv -f UTF-16 -t UTF-8" in refused.reason


def test_a_compressed_file_says_how_to_mend_it() -> None:
    """Its bytes are no lines."""
    [refused] = outgoing(lines_of(BytesIO(b"\x1f\x8b\x08\n\x00\n")), DEFAULTS, WINDOW, check=True)
    assert isinstance(refused, RefusedLine)
    assert "compressed by gzip: unpack it first" in refused.reason
