"""What each change of `dlq edit` does to a letter, on values that workers refuse."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.record import Message
from contracts.window import TimeWindow
from tests.pipeline.test_bad_input import KEY, STRUCTURED, build, finished
from tests.support.events import encoded
from workers import json_paths, mending
from workers.admission import judge, refusal_of
from workers.cli.dlq import changes
from workers.mending import CannotMend, Origin, Step, mend

LETTER = uuid.UUID("33f7bd83-c83e-5cb3-900d-fa9280a5351b")
RECORD_MS = 1_769_860_800_123
WINDOW = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))
TENANTS = {"acme": "active", "resting": "suspended"}
ATTRIBUTES = ("specversion", "id", "source", "type", "time", "subject", "tenantid")


def _message(value: bytes | None = None, key: bytes | None = KEY, headers: Any = (STRUCTURED,)) -> Message:
    return Message(key, value, tuple(headers))


def _bad(example: str) -> Message:
    key, value, headers = build(example)
    return Message(key, value, tuple(headers))


def _apply(message: Message, *steps: Step) -> Message:
    return mend(message, Origin(LETTER, RECORD_MS, _bad("no-utf8")), steps)


def _reason(message: Message) -> str | None:
    refusal = refusal_of(judge(message, WINDOW), TENANTS)
    return None if refusal is None else refusal.reason.value


def _set(*texts: str) -> list[Step]:
    return changes.sets(texts, ())


def _unset(path: str) -> list[Step]:
    return changes.unsets([path])


NOW = f'time="{datetime.now(UTC).isoformat()}"'
MENDED: dict[str, tuple[str | None, Sequence[Step]]] = {
    "no-utf8": ("bad_utf8", [mending.decode_as("latin-1")]),
    "header-no-utf8": ("bad_utf8", [mending.drop_bad_headers]),
    "nan": ("bad_json", [mending.replace_nan(b"null")]),
    "bare-array": ("not_cloudevent", changes.copies(["$[0]=$"])),
    "null-header": ("not_cloudevent", [mending.drop_bad_headers]),
    "tombstone": ("not_cloudevent", [mending.value_of(encoded(finished()))]),
    "missing-id": ("missing_id", [mending.id_from_letter]),
    "empty-id": ("missing_id", _set("id=e-1")),
    "time-without-offset": ("bad_time", [mending.time_from_record]),
    "time-number": ("bad_time", _set(NOW)),
    "time-1970": ("time_out_of_range", [mending.time_from_record]),
    "time-2200": ("time_out_of_range", [mending.time_from_record]),
    "required-null": ("schema_invalid", _set("data.status=completed")),
    "unknown-type": ("schema_unsupported", _set("type=siltstone.run.finished.v1")),
    "wrong-version": ("schema_unsupported", _set("type=siltstone.run.finished.v1")),
    "registry-frame": ("schema_registry_framed", [mending.strip_frame]),
    "large-compressed": ("too_large", _unset("data.error_message")),
    "no-tenant": ("tenant_missing", [*_set("tenantid=acme"), mending.key_from_event]),
    "unknown-tenant": ("tenant_unknown", [*_set("tenantid=acme"), mending.key_from_event]),
    "tenant-capitals": ("tenant_unknown", [*_set("tenantid=acme"), mending.key_from_event]),
    "suspended-tenant": ("tenant_suspended", [*_set("tenantid=acme"), mending.no_key]),
    "key-of-another-tenant": ("tenant_not_allowed", [mending.key_from_event]),
    "nul": ("unstorable_text", [mending.replace_unstorable("")]),
    "lone-surrogate": ("unstorable_text", [mending.replace_unstorable("\ufffd")]),
    "integer-too-large": ("numeric_out_of_range", _unset("data.tokens_input")),
    "json-number-too-large": (None, _set("data.final_state.a=0")),  # only Postgres refuses it
    "text-too-long-for-index": ("constraint_violation", _unset("data.external_ref")),
}


@pytest.mark.parametrize("example", MENDED)
def test_one_command_mends_each_refused_value(example: str) -> None:
    """A record that is refused for its reason is accepted after the change, and changing it again changes nothing."""
    reason, steps = MENDED[example]
    bad = _bad(example)
    mended = _apply(bad, *steps)
    assert (_reason(bad), _reason(mended)) == (reason, None)
    assert mended != bad
    if example != "bare-array":
        assert _apply(mended, *steps) == mended


def test_what_is_not_touched_keeps_its_bytes() -> None:
    """Numbers that no float holds, escapes, space and order stay as written, at every depth beside the change."""
    value = (
        b'{"id": "\\u00e9", "data": {"free": {"a" : 1e400000, "b":[0.1000000000000000055, 1.0]}, "n": 1.00, '
        b'"tags": [1e400000, {"x": 12345678901234567890.10}]}}'
    )
    steps = [*_set("data.n=2.50", "data.tags[1].y=1e400000"), *_unset("id"), *changes.copies(["data.free.b[0]=data.m"])]
    assert _apply(_message(value), *steps).value == (
        b'{"data":{"free":{"a" : 1e400000, "b":[0.1000000000000000055, 1.0]},"n":2.50,'
        b'"tags":[1e400000,{"x":12345678901234567890.10,"y":1e400000}],"m":0.1000000000000000055}}'
    )


@pytest.mark.parametrize(
    ("assignment", "before", "after"),
    [
        ("data.set.status=done", "{}", '{"data":{"set":{"status":"done"}}}'),
        ("$.data.x=1", '{"data":null}', '{"data":{"x":1}}'),
        ("data.tags[0]=new", '{"data":{"tags":["old","b"]}}', '{"data":{"tags":["new","b"]}}'),
        ("data.tags[2]=c", '{"data":{"tags":["a","b"]}}', '{"data":{"tags":["a","b","c"]}}'),
        ('data["a.b=c"].d=true', "{}", '{"data":{"a.b=c":{"d":true}}}'),
        ("x=a=b", "{}", '{"x":"a=b"}'),
        ("x=NaN", "{}", '{"x":"NaN"}'),
        ("x=", "{}", '{"x":""}'),
        ("$=[1]", "not JSON", "[1]"),
        ("$schema=é", "{}", '{"$schema":"\\u00e9"}'),
    ],
)
def test_a_path_names_one_place(assignment: str, before: str, after: str) -> None:
    """Members, array elements and quoted names; missing and null objects are made; what is no JSON is a text."""
    assert (_apply(_message(before.encode()), *_set(assignment)).value or b"").decode() == after


@pytest.mark.parametrize(
    ("step", "value", "message"),
    [
        (_set("data.x=1"), b'{"data":7}', "there is no object at $.data"),
        (_set("data[0]=1"), b'{"data":{}}', "there is no array at $.data"),
        (_set("data[2]=1"), b'{"data":[0]}', "the array at $.data has 1 elements, so none can be [2]"),
        (_set("data.x=1"), b'{"data":', "the value is no JSON"),
        (_set("data.x=1"), b'{"data":{"a":"\\ud800"}}', "the value is no JSON"),
        (_set("data.x=1"), b'{"a":' + b"[" * 200_000, "the value is nested too deep to be changed in one place"),
        (changes.copies(["data.id=id"]), b'{"data":{}}', "there is nothing at $.data.id to copy"),
        ([mending.key_from_event], b'{"tenantid":"a"}', "the key cannot be made: the attribute subject is missing or"),
        ([mending.decode_as("ascii")], b"\xff", "the value is no ascii text"),
    ],
)
def test_a_change_that_does_not_fit_says_why(step: Sequence[Step], value: bytes, message: str) -> None:
    """CannotMend names the place and never quotes the letter."""
    with pytest.raises(CannotMend) as refused:
        _apply(_message(value), *step)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("text", ["", "data.", "a..b", "a[x]", "[", 'a["b]', "a b", "$x.[", "a\udcff"])
def test_a_malformed_path_is_refused(text: str) -> None:
    """What is no path is said to be none, before any letter is read."""
    with pytest.raises(json_paths.NoSuchPlace):
        json_paths.parse(text)


def test_decoding_leaves_good_utf_8_alone() -> None:
    """JSON in UTF-8 stays, so that a selection may hold both; UTF-16, and UTF-8 with a mark at its start, become it."""
    good = encoded(finished()).replace(b"completed", "café".encode())
    for value, encoding in ((good, "latin-1"), (good.decode().encode("utf-16"), "utf-16")):
        assert _apply(_message(value), mending.decode_as(encoding)).value == good
    assert _apply(_message(b"\xef\xbb\xbf{}"), mending.decode_as("utf-8-sig")).value == b"{}"
    assert _apply(_message(b'"\x80"'), mending.decode_as("cp1252")).value == '"€"'.encode()


def test_only_what_cannot_be_stored_is_replaced() -> None:
    r"""U+0000 and halves of pairs, in any number; whole pairs and escaped backslashes stay, and the text is escaped."""
    value = rb'["\u0000", "\ud83d\ude00", "\\u0000", "\ud800\ud83d\ude00\udc00", "\uD800x", "\n"]'
    assert _apply(_message(value), mending.replace_unstorable('"')).value == (
        rb'["\"", "\ud83d\ude00", "\\u0000", "\"\ud83d\ude00\"", "\"x", "\n"]'
    )


def test_not_a_number_is_replaced_outside_of_texts_only() -> None:
    """NaN and both infinities become the JSON that was asked for; a text that names one stays."""
    value = b'{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \\" -Infinity","NaN":0}'
    assert _apply(_message(value), mending.replace_nan(b"null")).value == (
        b'{"a":null,"b":[null,null],"c":"NaN \\" -Infinity","NaN":0}'
    )


def test_the_record_and_the_letter_give_time_and_id() -> None:
    """The time is the record's Kafka timestamp, to the millisecond; the id the letter's, unless there is one."""
    made = _apply(_message(b'{"time":1,"id":null}'), mending.time_from_record, mending.id_from_letter)
    assert json.loads(made.value or b"") == {"time": "2026-01-31T12:00:00.123+00:00", "id": str(LETTER)}
    assert _apply(_message(b'{"id":"e-1"}'), mending.id_from_letter).value == b'{"id":"e-1"}'
    with pytest.raises(CannotMend, match="timestamp is not known"):
        mend(_message(b"{}"), Origin(LETTER, 0, _message()), [mending.time_from_record])


def test_headers_are_set_in_their_place_and_dropped() -> None:
    """A header replaces all of its name where the first stood; a new one is last; the key is what is asked for."""
    headers = (("a", b"1"), ("b", None), ("a", b"2"), ("c", b"\xff"))
    message = _message(b"{}", headers=headers)
    assert _apply(message, mending.set_header("a", b"3")).headers == (("a", b"3"), ("b", None), ("c", b"\xff"))
    assert _apply(message, mending.set_header("d", b"4")).headers == (*headers, ("d", b"4"))
    assert _apply(message, mending.drop_bad_headers).headers == (("a", b"1"), ("a", b"2"))
    assert _apply(message, mending.drop_header("a")).headers == (("b", None), ("c", b"\xff"))
    assert _apply(message, mending.key_of(b"k")).key == b"k"
    assert _apply(message, mending.no_key).key is None


def test_the_original_is_what_came() -> None:
    """Whatever an edit made of a letter, its first form is there again, and later steps start from it."""
    came = _message(b'{"n":1}', b"k")
    steps = [mending.to_original, *_set("n=2")]
    assert mend(_message(b"[]", None, ()), Origin(LETTER, RECORD_MS, came), steps) == came._replace(value=b'{"n":2}')


def test_an_event_in_binary_mode_has_its_attributes_in_headers() -> None:
    """Paths name the event's places in either mode: attributes are `ce_*` headers, `data` is the value."""
    whole = finished(time="1970-01-01T00:00:00Z", source="a\0b")
    attributes = [(f"ce_{name}", str(whole[name]).encode()) for name in ATTRIBUTES if name != "id"]
    bad = _message(b'{"status":null}', b"globex/r-bad", [("content-type", b"application/json"), *attributes])
    steps = [
        mending.replace_unstorable("-"),
        *changes.copies(["subject=data.kept"]),
        mending.id_from_letter,
        mending.time_from_record,
        *_set("data.status=completed", "datacontenttype=application/json; charset=utf-8"),
        *_unset("traceparent"),
        mending.key_from_event,
    ]
    mended = _apply(bad, *steps)
    assert (_reason(bad), _reason(mended)) == ("unstorable_text", None)
    assert (mended.key, mended.value) == (b"acme/r-bad", b'{"status":"completed","kept":"r-bad"}')
    assert dict(mended.headers) == dict(attributes) | {
        "content-type": b"application/json; charset=utf-8",
        "ce_id": str(LETTER).encode(),
        "ce_time": b"2026-01-31T12:00:00.123+00:00",
        "ce_source": b"a-b",
    }
    with pytest.raises(CannotMend, match="binary mode"):
        _apply(bad, *_set("extra.deep=1"))


def test_a_worker_s_verdict_is_the_contract_s_and_the_tenant_s() -> None:
    """The time of redrive bounds the event's time; a tenant that is unknown or not active is refused."""
    good = _message(encoded(finished()))
    assert _reason(good) is None
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    assert _reason(_apply(good, *_set(f"time={later}"))) == "time_out_of_range"
    assert _reason(_bad("unknown-tenant")) == "tenant_unknown"
    assert _reason(_bad("suspended-tenant")) == "tenant_suspended"
