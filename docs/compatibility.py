"""Whether two JSON Schemas of one event type get along: W(old) ⊆ R(new), and W(new) ⊆ R(old) (ADR 12).

W is the closed schema: what a producer sends that knows these fields alone. R is the open one: what a worker accepts.
Exact for what contracts/schemas.py makes, but for patterns, which are equal or not; any other keyword is an error.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

ANNOTATIONS = {"$schema", "$id", "title", "description", "default"}
KEYWORDS = {
    "array": set[str](),
    "boolean": set[str](),
    "integer": {"minimum", "maximum"},
    "null": set[str](),
    "number": {"minimum", "maximum"},
    "object": {"properties", "required"},
    "string": {"minLength", "maxLength", "pattern", "format"},
}
FINITE = {"boolean": [False, True], "null": [None]}
ANYTHING = [{"type": name} for name in KEYWORDS if name not in FINITE and name != "integer"] + [
    {"enum": values} for values in FINITE.values()
]


class UnknownSchema(ValueError):
    """A schema that this check cannot judge: it must learn the keyword first."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What one schema sends and the other refuses, and in which field."""

    field: str
    what: str


def alternatives(schema: Schema) -> list[Schema]:
    """The schema as a union of values, or of one type each; raises UnknownSchema."""
    said = {name: value for name, value in schema.items() if name not in ANNOTATIONS}
    match said:
        case {"anyOf": list(options), **others} if not others:
            return [one for option in options for one in alternatives(option)]
        case {"enum": list(), **others} if not others:
            return [said]
        case {"const": value, **others} if not others:
            return [{"enum": [value]}]
        case {"type": str(name), **others} if name in KEYWORDS and others.keys() <= KEYWORDS[name]:
            return [{"enum": FINITE[name]}] if name in FINITE else [said]
        case _ if not said:
            return list(ANYTHING)
    raise UnknownSchema(f"docs/compatibility.py cannot judge {json.dumps(said)}")


def refused(writer: Schema, reader: Schema, field: str = "") -> Iterator[Refused]:
    """What the writer, closed, may send and the reader, open, refuses; nothing when W ⊆ R."""
    readers = alternatives(reader)
    for sent in alternatives(writer):
        if "enum" in sent:
            for value in sent["enum"]:
                if not any(_accepts(one, value) for one in readers):
                    yield Refused(field, f"{json.dumps(value)} is sent, and not accepted")
            continue
        wider = {sent["type"], "number"} if sent["type"] == "integer" else {sent["type"]}
        found = [one for one in readers if one.get("type") in wider]
        if len(found) > 1:
            raise UnknownSchema(f"two alternatives of one type at {field}: {json.dumps(found)}")
        if not found:
            yield Refused(field, f"{sent['type']} is sent, and not accepted")
        for one in found:
            yield from _within(sent, one, field)


def _accepts(reader: Schema, value: Any) -> bool:
    """Whether a value of a closed list is one of the reader's; only texts, null, true and false are in such lists."""
    if "enum" in reader:
        return json.dumps(value) in map(json.dumps, reader["enum"])
    if not isinstance(value, str):
        return False
    least, most = reader.get("minLength", 0), reader.get("maxLength", len(value))
    fits = reader["type"] == "string" and least <= len(value) <= most and "format" not in reader
    return fits and re.search(reader.get("pattern", ""), value) is not None


def _within(sent: Schema, accepted: Schema, field: str) -> Iterator[Refused]:
    """For one type: what is sent outside of what is accepted."""
    for name, limit in accepted.items():
        said = sent.get(name)
        match name:
            case "minLength" | "minimum":
                fits = limit <= (said if said is not None else 0 if name == "minLength" else -math.inf)
            case "maxLength" | "maximum":
                fits = said is not None and said <= limit
            case "pattern" | "format":
                fits = said == limit
            case _:
                continue
        if not fits:
            yield Refused(field, f"{name} {'none' if said is None else said} is sent, {limit} accepted")
    if sent["type"] == "object":
        yield from _members(sent, accepted, field)


def _members(sent: Schema, accepted: Schema, field: str) -> Iterator[Refused]:
    """For objects: an object without `properties` is free, any members may be in it."""
    free = "properties" not in sent
    if free and accepted.get("properties"):
        yield Refused(field, "any object is sent, and not accepted")
    for name in accepted.get("required", ()):
        if name not in sent.get("required", ()):
            yield Refused(_below(field, name), "may be absent, and is required")
    for name, schema in sent.get("properties", {}).items():
        if name in accepted.get("properties", {}):
            yield from refused(schema, accepted["properties"][name], _below(field, name))


def moved(old: Schema, new: Schema, field: str = "") -> Iterator[Refused]:
    """Fields that are no longer there, and defaults that are others: accepted all the same, with another meaning."""
    if old.get("default") != new.get("default"):
        yield Refused(
            field, f"its default was {json.dumps(old.get('default'))}, and is {json.dumps(new.get('default'))}"
        )
    was, now = (_properties(schema) for schema in (old, new))
    for name, schema in was.items():
        if name in now:
            yield from moved(schema, now[name], _below(field, name))
        else:
            yield Refused(_below(field, name), "is no longer a field")


def _properties(schema: Schema) -> Mapping[str, Any]:
    """The fields of an object, or of the object in a union."""
    found = [one["properties"] for one in alternatives(schema) if "properties" in one]
    return found[0] if found else {}


def _below(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
