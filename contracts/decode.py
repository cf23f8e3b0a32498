"""Bytes to event, or to a refusal with its reason. No I/O, no clock: the same record, the same verdict, for ever."""

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw

from contracts.data import check_data, decode_data
from contracts.envelope import (
    TIME_EXAMPLE,
    Attributes,
    Envelope,
    Headers,
    check_headers,
    decode_envelope,
    explain_envelope,
    is_binary_mode,
    media_type,
    structured,
)
from contracts.event import Event, event_uid, microseconds
from contracts.event_type import EventType
from contracts.fields import Data
from contracts.refusal import Reason, Refusal, Stage
from contracts.registry import EVENT_TYPES
from contracts.text import check_escapes, check_nesting, check_size, check_utf8, refuse_constant
from contracts.typed import KIND_OF, decode_message
from contracts.upcast import upcast
from contracts.window import TimeWindow

_SEVENTH_DIGIT = len('"2026-01-31T12:00:00.123456')  # RFC 3339 is of fixed width up to the fraction's end
_LONGEST_EXACT = len('"2026-01-31T12:00:00.123456+00:00"')
_EXCESS_DIGITS = re.compile(rb"(\.[0-9]{6})[0-9]+")
_PLAIN_JSON = ("application/json", UNSET, None, "")
_JSON_NAMES = {list: "array", str: "string", bool: "boolean", int: "number", type(None): "null"}
_time_decoder = msgspec.json.Decoder(Annotated[datetime, Meta(tz=True)])


def decode(value: bytes | None, key: bytes | None, headers: Headers, timestamp_ms: int, window: TimeWindow) -> Event:
    """The event of one record; raises Refusal, and nothing else, for any bytes at all.

    `timestamp_ms` is the record's Kafka timestamp: the event's time is judged by it, so that the verdict is the
    same on every delivery. Whether the tenant exists is not judged here.
    """
    if value is None:
        raise Refusal(Reason.not_cloudevent, Stage.envelope, "the value is null (a tombstone); deletions are events")
    check_size(value)
    if value[:1] == b"\0":
        message = "the first byte is 0: a schema registry's frame; send plain JSON"
        raise Refusal(Reason.schema_registry_framed, Stage.decode, message)
    check_headers(headers)
    check_utf8(value)
    check_escapes(value)
    if is_binary_mode(headers):
        value = _structured(value, headers)
    plain = decode_message(value)
    if plain is None:
        return _decode_carefully(value, key, timestamp_ms, window)
    kind = KIND_OF[type(plain)]
    try:
        time, time_us = _judge(plain, key, timestamp_ms, window)
        changed, nulls = check_data(kind, plain.data, value)
    except Refusal as refusal:
        refusal.tenant_id, refusal.event_type = plain.tenantid, kind.name
        raise
    return _event(kind, kind.name, plain, time, time_us, plain.data, changed, _rest(plain, {}, nulls))


def _decode_carefully(value: bytes, key: bytes | None, timestamp_ms: int, window: TimeWindow) -> Event:
    """The attributes first, then the data: what is unknown is kept, and what is wrong can be said."""
    try:
        envelope, unknown = decode_envelope(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _explain_value(value) from None
    try:
        kind, data_json = EVENT_TYPES.get(envelope.type), envelope.data
        if kind is None:
            kind, data_json = _older_or_unsupported(envelope)
        time, time_us = _judge(envelope, key, timestamp_ms, window)
        data, changed, rest_data = decode_data(kind, data_json)
        for raw in unknown.values():
            check_nesting(bytes(raw), outer=1)
    except Refusal as refusal:
        refusal.tenant_id, refusal.event_type = envelope.tenantid, envelope.type
        raise
    return _event(kind, envelope.type, envelope, time, time_us, data, changed, _rest(envelope, unknown, rest_data))


def _structured(value: bytes, headers: Headers) -> bytes:
    """A binary-mode record as structured-mode JSON, whose escapes now include those of the headers."""
    try:
        whole = structured(value, headers)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _explain_value(value) from None
    check_escapes(whole)
    return whole


def _judge(attributes: Attributes, key: bytes | None, timestamp_ms: int, window: TimeWindow) -> tuple[datetime, int]:
    """The event's time, also in microseconds; refuses what only the record as a whole can tell to be wrong."""
    content_type = attributes.datacontenttype
    if content_type not in _PLAIN_JSON and media_type(content_type) != "application/json":
        message = "the attribute datacontenttype is not application/json"
        raise Refusal(Reason.not_cloudevent, Stage.envelope, message)
    time = _time(bytes(attributes.time))
    time_us = microseconds(time)
    earliest_ms, latest_ms = window.bounds_ms(timestamp_ms)
    if not earliest_ms <= time_us // 1000 <= latest_ms:
        side = "before the oldest accepted time" if time_us // 1000 < earliest_ms else "more than a day ahead"
        message = f"the attribute time is {side} (judged by the record's Kafka timestamp)"
        raise Refusal(Reason.time_out_of_range, Stage.envelope, message)
    if key is not None:
        _check_key(key, attributes.tenantid)
    return time, time_us


def _event(
    kind: EventType,
    told: str,
    attributes: Attributes,
    time: datetime,
    time_us: int,
    data: Data,
    changed: Data,
    rest: str | None,
) -> Event:
    a = attributes
    return Event(
        kind,
        told,
        event_uid(time_us, a.tenantid, a.source, a.id),
        a.tenantid,
        a.id,
        a.source,
        a.subject,
        time,
        time_us,
        a.sequence or None,
        a.traceparent or None,
        data,
        changed,
        rest,
    )


def _older_or_unsupported(envelope: Envelope) -> tuple[EventType, Raw]:
    """An older version of a type, brought to today's (G8); else a refusal."""
    newer = upcast(envelope.type, envelope.data)
    if newer is None:
        message = "the attribute type is unknown, or its major version is; `siltstone schemas` lists those accepted"
        raise Refusal(Reason.schema_unsupported, Stage.schema, message)
    name, data = newer
    return EVENT_TYPES[name], data


def _time(text: bytes) -> datetime:
    """An instant, cut to microseconds: a decoder would round, and so could move one event past another."""
    if text[_SEVENTH_DIGIT : _SEVENTH_DIGIT + 1].isdigit() or len(text) > _LONGEST_EXACT:
        text = _EXCESS_DIGITS.sub(rb"\1", _without_escapes(text), count=1)
    try:
        time: datetime = _time_decoder.decode(text)
    except msgspec.MsgspecError:
        message = f"the attribute time is no RFC 3339 time with an offset, such as {TIME_EXAMPLE}"
        raise Refusal(Reason.bad_time, Stage.envelope, message) from None
    return time


def _without_escapes(text: bytes) -> bytes:
    """A JSON string with as few escapes as there can be."""
    return msgspec.json.encode(msgspec.json.decode(text)) if b"\\" in text else text


def _check_key(key: bytes, tenant_id: str) -> None:
    """A key names its tenant before the first slash: one tenant's records cannot ride under another's key."""
    if not key.startswith(_key_prefix(tenant_id)) and b"/" in key:
        message = "the record's key begins with another tenant than the attribute tenantid"
        raise Refusal(Reason.tenant_not_allowed, Stage.tenant, message)


@lru_cache(maxsize=4096)
def _key_prefix(tenant_id: str) -> bytes:
    return f"{tenant_id}/".encode()


def _rest(attributes: Attributes, unknown: dict[str, Raw], rest_data: dict[str, Raw]) -> str | None:
    """What no column keeps, as one JSON text."""
    if isinstance(attributes.tracestate, str):
        unknown = unknown | {"tracestate": Raw(msgspec.json.encode(attributes.tracestate))}
    if not unknown and not rest_data:
        return None
    parts = {"attributes": unknown, "data": rest_data}
    return msgspec.json.encode({name: members for name, members in parts.items() if members}).decode()


def _number(_: str) -> int:
    """Stands for any number: Python refuses to read an integer of more than 4,300 digits."""
    return 0


def _explain_value(value: bytes) -> Refusal:
    """Why no envelope could be read from a value: text, JSON or attributes."""
    check_nesting(value)
    try:
        members = json.loads(value.decode(), parse_constant=refuse_constant, parse_float=_number, parse_int=_number)
    except json.JSONDecodeError as error:
        message = f"the value is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        return Refusal(Reason.bad_json, Stage.decode, message)
    except (ValueError, RecursionError) as error:
        return Refusal(Reason.bad_json, Stage.decode, f"the value is no JSON: {error}"[:200])
    if not isinstance(members, dict):
        message = f"the value is a JSON {_JSON_NAMES[type(members)]}, not the object of one event"
        return Refusal(Reason.not_cloudevent, Stage.envelope, message)
    return explain_envelope(members)
