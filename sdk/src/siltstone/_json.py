"""Whatever a program gives, as JSON: nothing that it gives may raise in its own thread."""

import datetime as dt
import decimal
import json
import math
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any


def as_json(value: dict[str, Any]) -> str:
    """JSON. What JSON has no value for is a text: a Decimal, a time, an object's repr, what is not finite."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError):  # a key that is no text, NaN, an object that is in itself
        return _ENCODER.encode(_plain(value, frozenset()))


def text_as_json(text: str) -> str:
    """The same of a text alone."""
    return encode_basestring(str(text))


def _other(value: object) -> Any:
    """What the encoder itself does not know."""
    match value:
        case decimal.Decimal():
            return str(value)
        case dt.datetime():
            moment = value if value.tzinfo else value.astimezone()
            return moment.isoformat(timespec="microseconds")
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return list(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case _:
            return _repr(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_other)


def _plain(value: object, around: frozenset[int]) -> Any:
    """The same with texts for keys, and a text for what has no end; `around` are the objects that it is in."""
    if id(value) in around or len(around) > MAX_DEPTH:
        return "…"
    inside = around | {id(value)}
    match value:
        case Mapping():
            return {str(name): _plain(member, inside) for name, member in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(member, inside) for member in value]
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case _:
            return _other(value)


MAX_DEPTH = 60  # an event has at most 64


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - the object's own
        return f"<{type(value).__name__}>"
