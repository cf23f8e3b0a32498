"""Values of OTLP's JSON: ids, times, kinds, attributes, in every form in which exporters write them."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from producers.account import Part
from producers.imports.imported import MAX_NAME
from producers.storable import clean
from producers.values import NotUnderstood, count, instant, number

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
SINCE = datetime(1970, 1, 1, tzinfo=UTC)

_HEX = re.compile(r"[0-9a-fA-F]+")
_SNAKE = re.compile(r"_([a-z])")
_ZEROS = re.compile("0+")

Json = dict[str, Any]


def identity(value: Any, length: int) -> str | None:
    """An id of so many bytes in hexadecimal of small letters, also from base64; None for zeros alone.

    Another text, which no standard has, stays as it is. Raises NotUnderstood for what is not a text.
    """
    if not isinstance(value, str):
        raise NotUnderstood("not an id, which is a text")
    said = clean(value.strip())
    if len(said) == 2 * length and _HEX.fullmatch(said):
        said = said.lower()
    else:
        try:
            raw = base64.b64decode(said, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        said = raw.hex() if len(raw) == length else said[:MAX_NAME]
    return None if _ZEROS.fullmatch(said) else said


def trace_id(value: Any) -> str | None:
    """An id of 16 bytes. Raises NotUnderstood."""
    return identity(value, 16)


def span_id(value: Any) -> str | None:
    """An id of 8 bytes. Raises NotUnderstood."""
    return identity(value, 8)


def nanoseconds(value: Any) -> datetime:
    """Nanoseconds since 1970, as a number or a text; also a time in ISO 8601. Raises NotUnderstood."""
    try:
        since = int(count(value))
    except NotUnderstood:
        if isinstance(value, str) and not value.strip().lstrip("-").replace(".", "").isdigit():
            return instant(value)
        raise
    try:
        return SINCE + timedelta(microseconds=since // 1000)
    except OverflowError:
        raise NotUnderstood("not a time") from None


def kind(value: Any) -> str:
    """A span's kind by its number or its name. Raises NotUnderstood."""
    word = str(value).strip().lower().removeprefix("span_kind_").removeprefix("spankind.")
    if word.isdigit() and int(word) < len(KINDS):
        return KINDS[int(word)]
    if word not in KINDS:
        raise NotUnderstood("not a kind of span")
    return word


def attributes(pairs: Any, part: Part) -> Json:
    """OTLP's list of keys and typed values as an object; an object is one already."""
    if isinstance(pairs, dict):
        return pairs
    found: Json = {}
    for pair in list_of(pairs, part, "attributes"):
        if isinstance(pair, dict) and isinstance(pair.get("key"), str):
            found[pair["key"]] = value_of(pair.get("value"), part)
        else:
            part.remark("attributes", pair, "is not a key and a value")
    return found


def value_of(value: Any, part: Part) -> Any:
    """A typed value without its type; one that has none is itself."""
    if not isinstance(value, dict) or len(value) != 1:
        return None if value == {} else value
    [(kind_of, held)] = camel(value).items()
    match kind_of:
        case "intValue":
            read = part.read("intValue", held, number)
            return held if read is None else int(read) if read == read.to_integral_value() else held
        case "arrayValue":
            return [value_of(item, part) for item in list_of(camel(object_of(held, part, kind_of)).get("values"), part)]
        case "kvlistValue":
            return attributes(camel(object_of(held, part, kind_of)).get("values"), part)
        case "stringValue" | "boolValue" | "doubleValue" | "bytesValue":
            return held
        case _:
            return value


def camel(members: Json) -> Json:
    """Members by their names in OTLP's JSON, which are also written as protobuf has them (`trace_id`)."""
    return {_SNAKE.sub(lambda found: found[1].upper(), name): value for name, value in members.items()}


def object_of(value: Any, part: Part, name: str) -> Json:
    """An object; an empty one where there is none, with a Remark where there is something else."""
    if value is not None and not isinstance(value, dict):
        part.remark(name, value, "is not an object")
    return value if isinstance(value, dict) else {}


def list_of(value: Any, part: Part, name: str = "values") -> list[Any]:
    """A list; an empty one where there is none, with a Remark where there is something else."""
    if value is not None and not isinstance(value, list):
        part.remark(name, value, "is not a list")
    return value if isinstance(value, list) else []
