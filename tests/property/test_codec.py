"""The codec: valid events come back as they were sent, and no bytes at all raise anything but a Refusal."""

import json
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from contracts.decode import _decode_carefully, decode
from contracts.envelope import ATTRIBUTES
from contracts.refusal import Refusal
from contracts.registry import EVENT_TYPES
from contracts.text import check_escapes, check_utf8
from contracts.typed import decode_message
from persistence.logs import row_of
from tests.support import golden
from tests.support.decoding import STAMP, WINDOW, decoded, refusal_or_none
from tests.support.histories import history
from tests.support.records import record_at

SEEDS = st.integers(0, 2**32 - 1)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_a_valid_event_comes_back_as_it_was_sent(seed: int) -> None:
    """Decoding, encoding the struct and decoding again gives equal data; its JSON says what was sent."""
    for one in history(Random(seed), 3):
        event = decoded(one)
        said = msgspec.json.Encoder(decimal_format="number").encode(event.data)
        again = decoded(json.dumps(one | {"data": "@"}).encode().replace(b'"@"', said))
        fields = event.data.__struct_fields__
        assert [_plain(getattr(again.data, f)) for f in fields] == [_plain(getattr(event.data, f)) for f in fields]
        assert (again.uid, again.order(), again.subject) == (event.uid, event.order(), one["subject"])
        for name, sent in one["data"].items():
            field = dict(zip(event.data.__struct_encode_fields__, fields, strict=True))[name]
            assert _says(getattr(event.data, field), sent), (name, sent)


def _plain(value: Any) -> Any:
    return json.loads(bytes(value), parse_float=str) if isinstance(value, Raw) else value


def _says(value: Any, sent: Any) -> bool:
    """Whether a decoded value is what the JSON said."""
    match value:
        case Raw():
            return bool(json.loads(bytes(value)) == sent)
        case Decimal():
            return value == Decimal(str(sent))
        case datetime():
            return value == datetime.fromisoformat(sent)
        case _:
            return bool(value == sent)


@settings(max_examples=200, deadline=None)
@given(text=texts, anything=json_values)
def test_any_text_and_any_json_are_kept(text: str, anything: Any) -> None:
    """Free text is kept character for character, unknown JSON value for value."""
    data = {"agent_name": "a", "event_type": "e", "pattern": "p", "matched_value": text, "unknown": anything}
    one = json.loads(golden.value("siltstone.extraction.recorded.v1")) | {"data": data}
    event = decoded(json.dumps(one, ensure_ascii=False).encode())
    assert event.data.matched_value == text  # type: ignore[attr-defined]
    assert json.loads(event.rest or "")["data"]["unknown"] == anything


@settings(max_examples=300, deadline=None)
@given(value=st.binary(max_size=200), key=st.none() | st.binary(max_size=20))
def test_random_bytes_are_refused(value: bytes, key: bytes | None) -> None:
    """Bytes that are no event end in a Refusal, never in another error."""
    assert refusal_or_none(value, (), key) is not None


SPLICES = st.binary(max_size=6) | st.sampled_from(
    [b"\\u0000", b"\\ud800", b"NaN", b"null", b"1e999999999", b"\xff", b'"', b"{", b"}", b"[", b"]", b",", b"-", b"\\"]
)
headers = st.lists(
    st.tuples(
        st.sampled_from(["content-type", "ce_specversion", "ce_id", "ce_time", "ce_data", "ce_", "x"]) | texts,
        st.none() | st.binary(max_size=8) | st.sampled_from([b"1.0", b"application/json"]),
    ),
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(sorted(EVENT_TYPES)),
    at=st.integers(0, 2000),
    length=st.integers(0, 30),
    splice=SPLICES,
    headers=headers,
)
def test_mutated_messages_raise_nothing_but_refusals(
    name: str, at: int, length: int, splice: bytes, headers: list[tuple[str, bytes | None]]
) -> None:
    """A golden message cut and spliced anywhere, under any headers, is accepted or refused: no other error."""
    value = golden.value(name)
    at %= len(value)
    refusal_or_none(value[:at] + splice + value[at + length :], headers)
    refusal_or_none(value[:at] + splice + value[at + length :])


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(EVENT_TYPES)),
    place=st.sampled_from(["attribute", "data", "set"]),
    pick=st.integers(0, 40),
    value=json_values | st.sampled_from([2**63, -(2**63) - 1, 10**400, "NaN", "1_0", "0001-01-01T00:00:00+05:00"]),
)
def test_any_json_in_any_member_raises_nothing_but_refusals(name: str, place: str, pick: int, value: Any) -> None:
    """Any JSON value in the place of any attribute, field or change is accepted or refused: no other error."""
    one = json.loads(golden.value(name))
    members = {"attribute": one, "data": one["data"], "set": one["data"].get("set", one["data"])}[place]
    members[sorted(members)[pick % len(members)]] = value
    refusal_or_none(json.dumps(one).encode())


def _outcome(value: bytes, *, carefully: bool) -> Any:
    """The row, identity and order that a value makes, or why it is refused."""
    try:
        if carefully:
            check_utf8(value)
            check_escapes(value)
            event = _decode_carefully(value, b"acme/x", STAMP, WINDOW)
        else:
            event = decode(value, b"acme/x", (), STAMP, WINDOW)
    except Refusal as refused:
        return refused.reason, refused.stage, str(refused), refused.tenant_id, refused.event_type
    return row_of(event, record_at("t", 0)), event.uid, event.order()


@settings(max_examples=1000, deadline=None)
@given(
    name=st.sampled_from(sorted(EVENT_TYPES)),
    place=st.sampled_from(["attribute", "data", "set"]),
    pick=st.integers(0, 40),
    value=st.none() | json_values | st.sampled_from([2**63, "1_0", " 1", 1.5, "2026-01-31T12:00:00.1234567+01:00"]),
    cut=st.integers(0, 2000),
    splice=st.just(b"") | st.just(b"") | st.just(b"") | SPLICES,
)
def test_one_pass_says_the_same_as_two(name: str, place: str, pick: int, value: Any, cut: int, splice: bytes) -> None:
    """An event read in one pass makes the row, the identity or the refusal that attributes first, then data make."""
    known = EVENT_TYPES[name].data.__struct_encode_fields__
    one = {k: v for k, v in json.loads(golden.value(name)).items() if k in ATTRIBUTES}
    one["data"] = {k: v for k, v in one["data"].items() if k in known}
    assert decode_message(json.dumps(one).encode()) is not None
    members = {"attribute": one, "data": one["data"], "set": one["data"].get("set", one["data"])}[place]
    names = [*members, "another"]
    members[names[pick % len(names)]] = value
    text = json.dumps(one).encode()
    text = text[: cut % len(text)] + splice + text[cut % len(text) :]
    assume(text[:1] != b"\0")  # a schema registry's frame: refused before either way
    assert _outcome(text, carefully=False) == _outcome(text, carefully=True)
