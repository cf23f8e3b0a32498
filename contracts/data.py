"""The `data` of an event: raw JSON to its typed struct, with every limit that the tables have."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache

import msgspec
from msgspec import UNSET, Raw

from contracts.event_type import EventType
from contracts.fields import (
    DECIMAL_PATTERN,
    INDEXED_MAX,
    NUMERIC_DIGITS_MAX,
    NUMERIC_SCALE_MAX,
    Data,
    kinds_of,
    required_of,
)
from contracts.refusal import Reason, Refusal, Stage
from contracts.text import check_nesting

_ENUM = "Invalid enum value"
_OUT_OF_RANGE = re.compile(r"^(Expected `int` [<>]=|Number out of range|Integer value out of range)")
_TOO_LONG_FOR_AN_INDEX = f"Expected `str` of length <= {INDEXED_MAX}"
_BAD_DECIMAL = re.compile(r"^Invalid decimal string - at `\$\.(\w+)`$")
_DECIMAL = re.compile(DECIMAL_PATTERN)
_NULL = re.compile(b"null")
_FLOAT = "got `float`"
_DIGITS_MAX = 309  # those of a double; the decoder refuses a larger number, and it is never written out
_members = msgspec.json.Decoder(dict[str, Raw])


class _DataAlone(msgspec.Struct):
    data: Raw


_data_alone = msgspec.json.Decoder(_DataAlone)


def decode_data(kind: EventType, raw: Raw) -> tuple[Data, Data, dict[str, Raw]]:
    """The typed data, what of it changes a state, and what no column keeps: unknown fields, and nulls that are said."""
    text = bytes(raw)
    check_nesting(text, outer=1)
    data = _decode(kind.decoder, kind.data, raw, "$.data")
    changed = _check(kind, data, text, _members.decode)
    known = kind.data.__struct_encode_fields__
    members = _members.decode(text)
    return (
        data,
        changed,
        {name: value for name, value in members.items() if name not in known or bytes(value) == b"null"},
    )


def check_data(kind: EventType, data: Data, value: bytes) -> tuple[Data, dict[str, Raw]]:
    """Check the data that was decoded with a whole event's `value`.

    What of it changes a state, and what no column keeps: its nulls.
    """
    changed = _check(kind, data, value, _members_of_data)
    if _NULL.search(value) is None:
        return changed, {}
    return changed, {name: raw for name, raw in _members_of_data(value).items() if bytes(raw) == b"null"}


def _members_of_data(value: bytes) -> dict[str, Raw]:
    return _members.decode(_data_alone.decode(value).data)


def _check(kind: EventType, data: Data, text: bytes, members_of: Callable[[bytes], dict[str, Raw]]) -> Data:
    """What a decoder does not check of data, and of the object in it that says what changes: the latter, typed."""
    _check_fields(kind.data, data, text, members_of, "$.data")
    if kind.changes_decoder is None or kind.changes is None:
        return data
    changes = getattr(data, kind.changes_field or "")
    if changes is UNSET or bytes(changes) == b"null":
        return kind.changes_decoder.decode(b"{}")
    path = f"$.data.{kind.changes_field}"
    changed = _decode(kind.changes_decoder, kind.changes, changes, path)
    _check_fields(kind.changes, changed, bytes(changes), _members.decode, path)
    return changed


def _decode(decoder: "msgspec.json.Decoder[Data]", declared: type[Data], raw: Raw, path: str) -> Data:
    try:
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            if _FLOAT not in str(error):
                raise
            return decoder.decode(_with_integers(declared, raw))
    except msgspec.MsgspecError as error:
        said = _without_value(str(error))
        message = said.replace("`$", f"`{path}", 1) if "`$" in said else f"{said} - at `{path}`"
        raise Refusal(_reason(said, raw), Stage.schema, message, exception=type(error).__name__) from None


def _with_integers(declared: type[Data], raw: Raw) -> bytes:
    """The same members, with a number such as `1.0` as `1` where an integer belongs: to JSON Schema it is one."""
    members = _members.decode(raw)
    kinds = kinds_of(declared)
    for field in msgspec.structs.fields(declared):
        name = field.encode_name
        if kinds[field.name] in ("integer", "bigint") and name in members:
            members[name] = _integer(members[name])
    return msgspec.json.encode(members)


def _integer(raw: Raw) -> Raw:
    try:
        number = Decimal(bytes(raw).decode())
    except InvalidOperation:  # a text, null, or an exponent that no Decimal holds
        return raw
    is_whole = number.adjusted() < _DIGITS_MAX and number == number.to_integral_value()
    return Raw(str(int(number)).encode()) if is_whole else raw


def _reason(said: str, raw: Raw) -> Reason:
    """For what msgspec says: the reason that Postgres would have refused it for, where there is one."""
    if _is_out_of_range(said, raw):
        return Reason.numeric_out_of_range
    return Reason.constraint_violation if said.startswith(_TOO_LONG_FOR_AN_INDEX) else Reason.schema_invalid


def _without_value(said: str) -> str:
    """What msgspec says, without the value that it quotes for a closed list of words; paths name our own fields."""
    if not said.startswith(_ENUM):
        return said
    _, at, path = said.rpartition(" - at `$")
    return _ENUM + at + path if at else _ENUM


def _is_out_of_range(said: str, raw: Raw) -> bool:
    """Whether a number was refused for its size; a decimal's exponent may be above what Python's Decimal holds."""
    if bad := _BAD_DECIMAL.match(said):
        return _DECIMAL.match(bytes(_members.decode(raw)[bad.group(1)]).strip(b'"').decode()) is not None
    return _OUT_OF_RANGE.match(said) is not None


def _check_fields(
    declared: type[Data], data: Data, text: bytes, members_of: Callable[[bytes], dict[str, Raw]], path: str
) -> None:
    """What a decoder does not check: JSON objects that must be objects, instants, decimal text.

    `members_of` finds the fields as they were written in `text`.
    """
    raws, numbers, instants = checks_of(declared)
    for name, is_object, is_required in raws:
        value = getattr(data, name)
        if value is not UNSET:
            json = bytes(value)
            check_nesting(json, outer=2)
            if not (is_object and json.startswith(b"{")):
                _check_json(json, f"{path}.{name}", is_object=is_object, is_required=is_required)
    for name in instants:
        if isinstance(getattr(data, name), datetime):
            _check_instant(getattr(data, name), f"{path}.{name}")
    for name in numbers:
        if isinstance(getattr(data, name), Decimal):
            _check_decimal(getattr(data, name), bytes(members_of(text)[name]), f"{path}.{name}")


def _check_json(json: bytes, path: str, *, is_object: bool, is_required: bool) -> None:
    """JSON that is no object: where only an object may be, and null where something must be, it is refused."""
    if json == b"null":
        if is_required:
            message = f"null is refused for a required field - at `{path}`"
            raise Refusal(Reason.schema_invalid, Stage.schema, message)
    elif is_object:
        raise Refusal(Reason.schema_invalid, Stage.schema, f"Expected `object` - at `{path}`")


def _check_instant(time: datetime, path: str) -> None:
    """The first and last hours of Python's calendar may have no UTC in it, and so no way into the driver."""
    try:
        time.astimezone(UTC)
    except OverflowError:
        message = f"Expected a time from year 1 to 9999 in UTC - at `{path}`"
        raise Refusal(Reason.schema_invalid, Stage.schema, message) from None


def _check_decimal(number: Decimal, text: bytes, path: str) -> None:
    """A number as Postgres' numeric holds it, from a JSON number or a string of the same form."""
    if not _DECIMAL.match(text.strip(b'"').decode()):
        raise Refusal(Reason.schema_invalid, Stage.schema, f"Expected a decimal number - at `{path}`")
    exponent = number.as_tuple().exponent
    if number.adjusted() >= NUMERIC_DIGITS_MAX or not isinstance(exponent, int) or -exponent > NUMERIC_SCALE_MAX:
        raise Refusal(Reason.numeric_out_of_range, Stage.schema, f"no numeric column holds the number - at `{path}`")


@cache
def checks_of(declared: type[Data]) -> tuple[tuple[tuple[str, bool, bool], ...], tuple[str, ...], tuple[str, ...]]:
    """The raw JSON fields, as (name, must be an object, is required); the decimal numbers; the instants."""
    required = required_of(declared)
    kinds = kinds_of(declared).items()
    raws = tuple((name, kind == "object", name in required) for name, kind in kinds if kind in ("json", "object"))
    numbers = tuple(name for name, kind in kinds if kind == "numeric")
    return raws, numbers, tuple(name for name, kind in kinds if kind == "timestamptz")
