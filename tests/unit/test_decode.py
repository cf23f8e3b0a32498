"""Bytes to event or refusal: the envelope's rules (docs/events.md), in structured and in binary mode."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.fields import INDEXED_MAX
from contracts.refusal import Reason, Stage
from contracts.text import MAX_VALUE_BYTES
from tests.support.decoding import STAMP, decoded, finished, refusal, verdict

NOT_CLOUDEVENT = (Reason.not_cloudevent, Stage.envelope)
BAD_JSON = (Reason.bad_json, Stage.decode)
BAD_TIME = (Reason.bad_time, Stage.envelope)
TOO_LONG = "x" * (INDEXED_MAX + 1)


@pytest.mark.parametrize(
    ("name", "longest"),
    [("id", 128), ("source", 256), ("subject", 256), ("sequence", 32), ("traceparent", 256)],
)
def test_a_text_attribute_ends_at_its_limit(name: str, longest: int) -> None:
    """An attribute of the longest length is accepted as it is; one character more is no CloudEvent of ours."""
    one = finished()
    accepted = decoded(one | {name: "é" * longest})
    assert getattr(accepted, {"id": "event_id"}.get(name, name)) == "é" * longest
    assert verdict(one | {name: "é" * (longest + 1)}) == NOT_CLOUDEVENT


@pytest.mark.parametrize("name", ["source", "type", "subject"])
@pytest.mark.parametrize("value", [None, "", 5, 1.5, True, ["x"], {"a": 1}])
def test_a_required_attribute_is_a_text(name: str, value: object) -> None:
    """A required attribute that is missing, empty or no text is refused as no CloudEvent."""
    one = finished() | {name: value}
    assert verdict(one) == NOT_CLOUDEVENT
    del one[name]
    assert verdict(one) == NOT_CLOUDEVENT


@pytest.mark.parametrize(
    ("id_", "expected"),
    [
        (None, (Reason.missing_id, Stage.envelope)),
        ("", (Reason.missing_id, Stage.envelope)),
        (0, NOT_CLOUDEVENT),
        (17, NOT_CLOUDEVENT),
        ([], NOT_CLOUDEVENT),
    ],
)
def test_an_id_is_never_invented(id_: object, expected: tuple[Reason, Stage]) -> None:
    """A null or empty id is a missing one; a number is no id."""
    assert verdict(finished() | {"id": id_}) == expected


def test_an_absent_id_is_missing() -> None:
    """An event without the member id is refused as missing_id."""
    assert verdict(finished(id=None)) == (Reason.missing_id, Stage.envelope)


@pytest.mark.parametrize("specversion", [None, "", "0.3", "1.1", 1.0, 1])
def test_only_cloudevents_1_0_is_accepted(specversion: object) -> None:
    """Any specversion but the text 1.0 is refused, the number 1.0 too."""
    assert verdict(finished() | {"specversion": specversion}) == NOT_CLOUDEVENT


@pytest.mark.parametrize(
    ("tenant", "expected"),
    [
        (None, Reason.tenant_missing),
        ("", Reason.tenant_missing),
        (7, Reason.tenant_unknown),
        ("x" * 64, Reason.tenant_unknown),
    ],
)
def test_a_tenant_is_needed(tenant: object, expected: Reason) -> None:
    """Without a tenantid the event is tenant_missing; one that no tenant can have is tenant_unknown."""
    assert verdict(finished() | {"tenantid": tenant}) == (expected, Stage.tenant)


def test_data_is_needed_and_is_an_object() -> None:
    """Absent data, null, an array and a text are refused as schema_invalid."""
    one = finished()
    for data in (None, [1], "text", 5):
        assert verdict(one | {"data": data}) == (Reason.schema_invalid, Stage.schema)
    del one["data"]
    assert verdict(one) == (Reason.schema_invalid, Stage.schema)


@pytest.mark.parametrize("kind", ["siltstone.run.finished.v2", "siltstone.run.finished", "com.example.other.v1"])
def test_an_unknown_type_or_version_is_unsupported(kind: str) -> None:
    """A type or major version that is not declared is schema_unsupported, with tenant and type kept for operators."""
    refused = refusal(finished(type=kind))
    assert (refused.reason, refused.stage) == (Reason.schema_unsupported, Stage.schema)
    assert (refused.tenant_id, refused.event_type) == ("acme", kind)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8", "", None],
)
def test_datacontenttype_may_have_parameters(content_type: str | None) -> None:
    """application/json is accepted in any case and with parameters, and when it is absent, null or empty."""
    assert decoded(finished() | {"datacontenttype": content_type}).event_id


@pytest.mark.parametrize("content_type", ["application/jsonp", "application/json-patch+json", "text/json", 5])
def test_another_datacontenttype_is_refused(content_type: object) -> None:
    """A media type that only begins like application/json is another one."""
    assert verdict(finished() | {"datacontenttype": content_type}) == NOT_CLOUDEVENT


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-31T12:00:00.999999Z", 999_999),
        ("2026-01-31T12:00:00.9999999Z", 999_999),
        ("2026-01-31T12:00:00.123456789123Z", 123_456),
        ("2026-01-31T13:30:00.0000009+01:30", 0),
    ],
)
def test_time_is_cut_to_microseconds(text: str, microsecond: int) -> None:
    """Digits beyond a microsecond are cut off, never rounded up into the next one."""
    expected = datetime(2026, 1, 31, 12, 0, 0, microsecond, tzinfo=UTC)
    event = decoded(finished(time=text))
    assert event.time == expected
    assert event.time_us == STAMP * 1000 + microsecond


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00.123456٩Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31",
        "2026-01-31T12:00:00\\u005a",
        '2026-01-31T12:00:00Z" ',
        "yesterday",
        "",
        None,
        1_769_860_800,
        1.5,
        {},
    ],
)
def test_time_is_rfc_3339_with_an_offset(time: object) -> None:
    """A time without an offset, a number, or any text that is no such time is bad_time."""
    assert verdict(finished() | {"time": time}) == BAD_TIME
    assert verdict(finished(time=None)) == BAD_TIME


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"{",
        b'{"specversion": "1.0", "id": "a',
        b"{}{}",
        b"\xef\xbb\xbf{}",
        b'{"id": NaN}',
        b'{"a": -Infinity}',
    ],
)
def test_what_is_no_json_is_bad_json(value: bytes) -> None:
    """Cut, doubled or marked JSON, and NaN, are bad_json at stage decode."""
    assert verdict(value) == BAD_JSON


@pytest.mark.parametrize("member", [b'"\xff"', b'"\xed\xa0\x80"', b'{"\xc3": 1}', b'"\x01"', b"01", b"NaN", b'"\\q"'])
def test_bad_bytes_in_an_unknown_field_are_found_too(member: bytes) -> None:
    """What no column keeps is stored as JSON, so its UTF-8 and its JSON are checked like the rest."""
    value = json.dumps(finished({"unknown": 0})).encode().replace(b'"unknown": 0', b'"unknown": ' + member)
    expected = (Reason.bad_utf8, Stage.decode) if not member.isascii() else BAD_JSON
    assert verdict(value) == expected


@pytest.mark.parametrize("value", [b"[]", b"null", b"1", b'"x"', b"true", b"[" * 64 + b"]" * 64, b"1" * 5000])
def test_json_that_is_no_object_is_no_cloudevent(value: bytes) -> None:
    """A bare array, text or number of any length is not_cloudevent."""
    assert verdict(value) == NOT_CLOUDEVENT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NOT_CLOUDEVENT),
        (b"\0\0\0\0\x07{}", (Reason.schema_registry_framed, Stage.decode)),
        (b"\xff\xfe{\0}\0", (Reason.bad_utf8, Stage.decode)),
        (b"{\0}\0", BAD_JSON),
        (b'{"a": "\\u0000"}', (Reason.unstorable_text, Stage.decode)),
        (b'{"a": "\\ud800"}', (Reason.unstorable_text, Stage.decode)),
        (b'{"a": "\\udc00\\ud800"}', (Reason.unstorable_text, Stage.decode)),
        (b'{"a": "\\ud800\\ud800\\udc00"}', (Reason.unstorable_text, Stage.decode)),
        (b'{"a": "\\ud800 \\udc00"}', (Reason.unstorable_text, Stage.decode)),
        (b'{"\\uDBFF": 1}', (Reason.unstorable_text, Stage.decode)),
    ],
)
def test_values_that_no_table_holds(value: bytes | None, expected: tuple[Reason, Stage]) -> None:
    """A tombstone, a schema registry's frame, UTF-16, U+0000 and lone surrogates each have their reason."""
    assert verdict(value) == expected


def test_escapes_that_only_look_bad_are_kept() -> None:
    r"""A surrogate pair is one character, and `\\u0000` is a backslash and five characters."""
    value = json.dumps(finished()).replace('"completed"', r'"completed", "error_message": "\ud83d\ude00 \\u0000"')
    assert decoded(value.encode()).changed.error_message == "😀 \\u0000"  # type: ignore[attr-defined]


def test_a_value_ends_at_one_mebibyte() -> None:
    """1,048,576 bytes are accepted; one more is too_large."""
    padding = MAX_VALUE_BYTES - len(json.dumps(finished({"error_message": ""})))
    one = finished({"error_message": "x" * padding})
    one["id"] = "i" * len(finished()["id"])
    assert len(json.dumps(one)) == MAX_VALUE_BYTES
    assert decoded(one).event_id == one["id"]
    assert verdict(json.dumps(one).encode() + b" ") == (Reason.too_large, Stage.decode)


def test_nesting_ends_at_64() -> None:
    """The event, its data and 62 arrays are accepted; one more is too_large; brackets in texts do not count."""

    def nested(arrays: int) -> bytes:
        return json.dumps(finished({"results_summary": "@"})).replace('"@"', "[" * arrays + "]" * arrays).encode()

    assert decoded(nested(62)).event_id
    assert verdict(nested(63)) == (Reason.too_large, Stage.decode)
    assert decoded(finished({"error_message": '"\\' + "[{" * 500})).event_id
    assert verdict(b"[" * 1_000_000) == (Reason.too_large, Stage.decode)


@pytest.mark.parametrize(
    ("key", "is_accepted"),
    [
        (b"acme/r-1", True),
        (b"acme/", True),
        (b"r-1", True),
        (b"", True),
        (None, True),
        (b"globex/r-1", False),
        (b"/r-1", False),
        (b"ACME/r-1", False),
        (b"acme2/r-1", False),
        (b"\xff/r-1", False),
    ],
)
def test_a_key_names_its_own_tenant(key: bytes | None, *, is_accepted: bool) -> None:
    """A key with a slash begins with the tenantid; a key that names another tenant is tenant_not_allowed."""
    if is_accepted:
        assert decoded(finished(), key=key).tenant_id == "acme"
    else:
        assert verdict(finished(), key=key) == (Reason.tenant_not_allowed, Stage.tenant)


def test_unknown_attributes_and_fields_are_kept() -> None:
    """Unknown attributes, unknown fields and nulls said outright come back as JSON, numbers digit by digit."""
    one = finished({"unknown": {"deep": [1]}, "error_message": None}, dataschema="https://x", tracestate="a=1")
    value = json.dumps(one | {"extra": None}).replace('"deep": [1]', '"deep": [1.10, 1e400000]').encode()
    rest = decoded(value).rest
    assert rest is not None
    assert json.loads(rest, parse_float=str) == {
        "attributes": {"dataschema": "https://x", "tracestate": "a=1", "extra": None},
        "data": {"unknown": {"deep": ["1.10", "1e400000"]}, "error_message": None},
    }
    assert decoded(finished()).rest is None


def test_an_empty_sequence_is_a_missing_one() -> None:
    """The sequence is kept as text; absent, null and empty are the same: none."""
    assert decoded(finished(sequence="0007")).sequence == "0007"
    assert decoded(finished(sequence="")).sequence is None
    assert decoded(finished() | {"sequence": None}).sequence is None
    assert decoded(finished()).sequence is None
    assert verdict(finished(sequence=7)) == NOT_CLOUDEVENT


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("run.started", {"kind": "test", "external_ref": TOO_LONG}),
        ("run.updated", {"external_ref": TOO_LONG}),
        ("exception.updated", {"actor_type": "agent", "set": {"domain": TOO_LONG}}),
    ],
)
def test_a_text_that_no_index_holds_is_refused_whatever_came_before(type_: str, data: dict[str, Any]) -> None:
    """Postgres would refuse it only of the event whose value is the latest; the event alone must tell."""
    one = finished(type=f"siltstone.{type_}.v1") | {"data": data}
    assert verdict(one) == (Reason.constraint_violation, Stage.schema)
    assert "- at `$.data." in refusal(one).message
