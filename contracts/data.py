"""The `data` of an event: raw JSON to its typed struct, with every limit that the tables have."""

import re
from decimal import Decimal
from functools import cache

import msgspec
from msgspec import UNSET, Raw

from contracts.event_type import EventType
from contracts.fields import DECIMAL_PATTERN, NUMERIC_DIGITS_MAX, NUMERIC_SCALE_MAX, Data, kinds_of, required_of
from contracts.refusal import Reason, Refusal, Stage

_INTEGER_RANGE = re.compile(r"^Expected `int` [<>]=")
_DECIMAL = re.compile(DECIMAL_PATTERN)
_members = msgspec.json.Decoder(dict[str, Raw])


def decode_data(kind: EventType, raw: Raw) -> tuple[Data, dict[str, Raw]]:
    """The typed data, and what of it no column keeps: unknown fields, and nulls that were said outright."""
    unknown: dict[str, Raw] = {}
    try:
        data = kind.strict.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        data = _lenient(kind.lenient, raw, "$.data")
        known = kind.data.__struct_encode_fields__
        unknown = {name: value for name, value in _members.decode(raw).items() if name not in known}
    _check_fields(kind.data, data, raw, "$.data")
    if kind.changes_decoder is not None and kind.changes is not None:
        changes = getattr(data, kind.changes_field or "")
        if changes is not UNSET and bytes(changes) != b"null":
            path = f"$.data.{kind.changes_field}"
            _check_fields(kind.changes, _lenient(kind.changes_decoder, changes, path), changes, path)
    if b"null" in bytes(raw):
        unknown |= {name: value for name, value in _members.decode(raw).items() if bytes(value) == b"null"}
    return data, unknown


def _lenient(decoder: "msgspec.json.Decoder[Data]", raw: Raw, path: str) -> Data:
    try:
        return decoder.decode(raw)
    except UnicodeDecodeError as error:
        raise Refusal(Reason.bad_utf8, Stage.decode, f"text in {path} is no UTF-8 ({error.reason})") from None
    except msgspec.MsgspecError as error:
        message = str(error).replace("`$", f"`{path}", 1) if "`$" in str(error) else f"{error} - at `{path}`"
        out_of_range = _INTEGER_RANGE.match(message) is not None
        reason = Reason.numeric_out_of_range if out_of_range else Reason.schema_invalid
        raise Refusal(reason, Stage.schema, message, exception=type(error).__name__) from None


def _check_fields(declared: type[Data], data: Data, raw: Raw, path: str) -> None:
    """What a decoder does not check: JSON objects that must be objects, UTF-8 in raw JSON, decimal text."""
    kinds, required = kinds_of(declared), required_of(declared)
    for name in raw_fields(declared):
        value = getattr(data, name)
        if value is UNSET:
            continue
        text = bytes(value)
        if not text.isascii():
            _check_utf8(text, f"{path}.{name}")
        if text == b"null":
            if name in required:
                raise Refusal(
                    Reason.schema_invalid, Stage.schema, f"null is refused for a required field - at `{path}.{name}`"
                )
        elif kinds[name] == "object" and text[:1] != b"{":
            raise Refusal(Reason.schema_invalid, Stage.schema, f"Expected `object` - at `{path}.{name}`")
    for name in numeric_fields(declared):
        if isinstance(getattr(data, name), Decimal):
            _check_decimal(getattr(data, name), bytes(_members.decode(raw)[name]), f"{path}.{name}")


def _check_utf8(text: bytes, path: str) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise Refusal(Reason.bad_utf8, Stage.decode, f"text in {path} is no UTF-8 ({error.reason})") from None


def _check_decimal(number: Decimal, text: bytes, path: str) -> None:
    """A number as Postgres' numeric holds it, from a JSON number or a string of the same form."""
    if not _DECIMAL.match(text.strip(b'"').decode()):
        raise Refusal(Reason.schema_invalid, Stage.schema, f"Expected a decimal number - at `{path}`")
    exponent = number.as_tuple().exponent
    if number.adjusted() >= NUMERIC_DIGITS_MAX or not isinstance(exponent, int) or -exponent > NUMERIC_SCALE_MAX:
        raise Refusal(Reason.numeric_out_of_range, Stage.schema, f"no numeric column holds the number - at `{path}`")


@cache
def raw_fields(declared: type[Data]) -> tuple[str, ...]:
    """The fields that stay raw JSON."""
    return tuple(name for name, kind in kinds_of(declared).items() if kind in ("json", "object"))


@cache
def numeric_fields(declared: type[Data]) -> tuple[str, ...]:
    """The fields that are decimal numbers."""
    return tuple(name for name, kind in kinds_of(declared).items() if kind == "numeric")
