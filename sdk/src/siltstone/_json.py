"""Whatever a program gives, as JSON: nothing that it gives may raise in its own thread."""

import datetime as dt
import decimal
import json
import math
import uuid
from collections.abc import Mapping
from json.encoder import encode_basestring
from pathlib import PurePath
from typing import Any


def as_json(value: dict[str, Any]) -> str:
    """JSON. What JSON has no value for is a text: a Decimal, a time, a path, an object's repr, what is not finite."""
    try:
        made = _ENCODER.encode(value)
        if NUL not in made:
            return made
    except Exception:  # noqa: BLE001, S110 - a key that is no text, NaN, what is in itself, or any fault of an object's
        pass
    return _ENCODER.encode(_plain(value, frozenset()))


def text_as_json(value: object) -> str:
    """The same of a text alone."""
    return encode_basestring(text_of(value))


def text_of(value: object) -> str:
    """Its text, without U+0000, which no event may have."""
    try:
        text = str.__str__(value) if isinstance(value, str) else str(value)  # of an enum's member: its value
    except Exception:  # noqa: BLE001 - the object's own
        text = f"<{type(value).__name__}>"
    return text.replace("\0", "\ufffd")


def _other(value: object) -> Any:
    """What the encoder itself does not know."""
    match value:
        case decimal.Decimal() | uuid.UUID() | PurePath():
            return str(value)
        case dt.datetime():
            moment = value if value.tzinfo else value.astimezone()
            return moment.isoformat(timespec="microseconds")
        case dt.date() | dt.time():
            return value.isoformat()
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return list(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case _ if getattr(value, "ndim", None) == 0:  # a number of numpy's, or of a library like it
            return value.item()  # type: ignore[attr-defined]
        case _:
            return _repr(value)


NUL = "\\u0000"  # as the encoder writes it
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_other)


def _plain(value: object, around: frozenset[int]) -> Any:
    """The same with texts for keys, and a text for what has no end; `around` are the objects that it is in."""
    if id(value) in around or len(around) > MAX_DEPTH:
        return "…"
    try:
        return _members(value, around | {id(value)})
    except Exception:  # noqa: BLE001 - the object's own
        return f"<{type(value).__name__}>"


def _members(value: object, inside: frozenset[int]) -> Any:
    match value:
        case Mapping():
            return {text_of(name): _plain(member, inside) for name, member in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(member, inside) for member in value]
        case float() if not math.isfinite(value):
            return str(value)
        case int() if value.bit_length() > MAX_BITS:
            return hex(value)
        case None | bool() | int() | float():
            return value
        case str():
            return text_of(value)
        case _:
            return _plain(_other(value), inside)


MAX_DEPTH = 60  # an event has at most 64
MAX_BITS = 2_000  # Python writes 640 digits at least, whatever its limit is


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - the object's own
        return f"<{type(value).__name__}>"
