"""Random histories about few things: every event type, equal times, nulls, absents and repeated subjects."""

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Struct, structs

from contracts.event_type import EventType
from contracts.fields import kinds_of
from contracts.registry import EVENT_TYPES

VALUES: Mapping[str, tuple[Any, ...]] = {
    "text": ("a", "b", "é😀"),
    "boolean": (True, False),
    "integer": (0, 7, 100),
    "bigint": (0, 2**63 - 1),
    "numeric": ("0.10", "1.000000000000000000000000001", 12),
    "timestamptz": ("2026-01-01T00:00:00Z", "2026-01-01T05:30:00.000001+05:30"),
    "json": ({"a": [1, None]}, [], "text", 1.5, False),
    "object": ({}, {"b": {"c": "1.10"}, "a": 1}),
}
ABOUT = ("one", "two")


def history(random: Random, length: int, *, tenant: str = "acme") -> list[dict[str, Any]]:
    """So many events of distinct identity, as JSON objects, in no order."""
    names = sorted(EVENT_TYPES)
    return [_event(random, EVENT_TYPES[random.choice(names)], number, tenant) for number in range(length)]


def _event(random: Random, kind: EventType, number: int, tenant: str) -> dict[str, Any]:
    data = _members(random, kind.data)
    if kind.changes is not None and data.get("set") is not None:
        data["set"] = _members(random, kind.changes)
    one: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{number}",
        "source": "/histories",
        "type": kind.name,
        # Few milliseconds and few microseconds, so that times are often equal.
        "time": f"2026-01-31T12:00:00.{random.choice((0, 0, 1, 2)):03}{random.choice((0, 0, 400)):03}Z",
        "subject": random.choice(ABOUT),
        "tenantid": tenant,
        "data": data,
    }
    if sequence := random.choice((None, None, "1", "10", "2")):
        one["sequence"] = sequence
    return one


def _members(random: Random, declared: type[Struct]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for field in structs.fields(declared):
        choice = "value" if field.required else random.choice(("value", "value", "null", "absent"))
        if choice != "absent":
            values = words_of(declared).get(field.name) or VALUES[kinds_of(declared)[field.name]]
            members[field.encode_name] = random.choice(values) if choice == "value" else None
    return members


@cache
def words_of(declared: type[Struct]) -> dict[str, tuple[str, ...]]:
    """The fields that have a closed list of words, with the words."""

    def words(annotation: Any) -> tuple[str, ...]:
        if get_origin(annotation) is Literal:
            return get_args(annotation)
        return tuple(word for part in get_args(annotation) for word in words(part))

    return {name: found for name, hint in get_type_hints(declared).items() if (found := words(hint))}
