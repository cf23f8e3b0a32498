"""The types of fields: what an event may carry, what JSON Schema says of it, which column holds it.

`Maybe[T]` is a field that may be absent (UNSET: leave the column as it is) or null (None: clear it).
JSON fields stay raw: their bytes go to Postgres as they came, so no number passes through a float.
"""

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, Raw, Struct, UnsetType, structs

T = TypeVar("T")
Maybe: TypeAlias = Union[T, None, UnsetType]  # noqa: UP007 - `T | None` cannot be subscripted at run time
Optional: TypeAlias = Union[T, UnsetType]  # noqa: UP007 - may be absent, never null

BIGINT_MAX = 2**63 - 1
INTEGER_MAX = 2**31 - 1
NUMERIC_DIGITS_MAX = 131_072  # before the point, and below
NUMERIC_SCALE_MAX = 16_383  # after it: PostgreSQL, "Numeric Types", table 8.2
INDEXED_MAX = 640  # characters: with four bytes each, and what stands beside it, the 2,704 bytes of a btree's row
DECIMAL_PATTERN = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


def _meta(kind: str, **constraints: Any) -> Meta:
    """A constraint that also names the kind of column which holds the field."""
    return Meta(extra={"kind": kind}, **constraints)


Id = Annotated[str, _meta("text", min_length=1, max_length=256)]
Name = Annotated[str, _meta("text", max_length=255)]
Model = Annotated[str, _meta("text", max_length=100)]
Label = Annotated[str, _meta("text", max_length=50)]
Text = Annotated[str, _meta("text")]
Indexed = Annotated[str, _meta("text", max_length=INDEXED_MAX)]
"""A text that a state's index holds. Postgres would refuse a longer one, but only of the event whose value is the
latest: the verdict must be the event's own, whatever came before it."""
Flag = Annotated[bool, _meta("boolean")]
Count = Annotated[int, _meta("bigint", ge=0, le=BIGINT_MAX)]
BigInteger = Annotated[int, _meta("bigint", ge=-BIGINT_MAX - 1, le=BIGINT_MAX)]
Integer = Annotated[int, _meta("integer", ge=-INTEGER_MAX - 1, le=INTEGER_MAX)]
Percent = Annotated[int, _meta("integer", ge=0, le=100)]
Timestamp = Annotated[datetime, _meta("timestamptz", tz=True)]
Number = Annotated[
    Decimal,
    _meta(
        "numeric",
        extra_json_schema={"anyOf": [{"type": "number"}, {"type": "string", "pattern": DECIMAL_PATTERN}]},
    ),
]
Json = Annotated[Raw, _meta("json", extra_json_schema={"description": "any JSON"})]
JsonObject = Annotated[Raw, _meta("object", extra_json_schema={"type": "object"})]


class Data(Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The `data` of an event. Strict: the decoder falls back to a lenient twin and keeps what is unknown."""


def kind_of(annotation: Any) -> str:
    """The kind of column for a field's annotation; a closed list of words (a Literal) is `text`."""
    if get_origin(annotation) is Annotated:
        return next(str(m.extra["kind"]) for m in annotation.__metadata__ if isinstance(m, Meta) and m.extra)
    if get_origin(annotation) is Literal:
        return "text"
    (kind,) = {kind_of(arg) for arg in get_args(annotation) if arg not in (type(None), UnsetType)}
    return kind


@cache
def kinds_of(data: type[Struct]) -> dict[str, str]:
    """Field name to kind of column, in the order of declaration."""
    hints = get_type_hints(data, include_extras=True)
    return {name: kind_of(hints[name]) for name in data.__struct_fields__}


@cache
def required_of(data: type[Struct]) -> frozenset[str]:
    """The fields that must be there, and for which null is refused."""
    return frozenset(f.name for f in structs.fields(data) if f.required)
