"""docs/events.md."""

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.event_type import TIME, EventType, Family
from contracts.fields import Data, kinds_of, required_of
from contracts.registry import EVENT_TYPES, topic_of
from contracts.schemas import fields_schema, meaning_of, schema_of
from docs.pages.markdown import page, table
from persistence.logs import LOG_BY_NAME

PATTERN_MAX = 60  # characters that a cell shows well


def events() -> str:
    """docs/events.md."""
    intro = (
        "Every event is a [CloudEvent](https://cloudevents.io) 1.0 in structured JSON mode, one a record, keyed "
        "`<tenantid>/<subject>`. Unknown attributes and unknown fields of `data` are kept, not refused. An absent "
        "field leaves its column as it is; null clears it, and is refused for a required field. A value is at most "
        "1 MiB, nested at most 64 deep. [schemas/](../schemas) has the same as JSON Schema, as "
        "`siltstone schemas` prints it. How to send one: [publishing.md](publishing.md)."
    )
    return page("Events", intro, _events())


def _events() -> Iterator[str]:
    yield "\n## Attributes"
    schema = schema_of(next(iter(EVENT_TYPES.values())))
    rows = []
    for name, said in schema["properties"].items():
        limits = "the event's type, below" if name == "type" else limits_of(said)
        rows.append((f"`{name}`", "yes" if name in schema["required"] else "no", limits, said["description"]))
    yield from table(("attribute", "required", "limits", "meaning"), rows)
    for family in Family:
        yield f"\n## {family.value.capitalize()}\n\nTopic `{topic_of(family)}`, dead letters `dlq.{topic_of(family)}`."
        for kind in (k for k in EVENT_TYPES.values() if k.family is family):
            yield from _event(kind)


def _event(kind: EventType) -> Iterator[str]:
    yield f"\n### `{kind.name}`\n\n{meaning_of(kind)}\n"
    states = " and ".join(f"[`{name}`](tables.md#{name})" for name in (kind.about, kind.also) if name)
    log = LOG_BY_NAME[kind.log]
    yield f"Subject: the {kind.about}'s id. Log: [`{log.name}`](tables.md#{log.name}). State: {states}."
    if kind.replaces:
        yield "It replaces all of its fields: those that are absent are cleared."
    if kind.fills:
        filled = ", ".join(f"`{name}`" for name in kind.fills)
        yield f"It fills {filled} of the {kind.about} until an event that says so comes."
    if implied := [f"`{name}` = {_implied(value)}" for name, value in kind.implies.items()]:
        yield f"Implied, unless it carries them: {', '.join(implied)}."
    yield from _fields(kind.data)
    if kind.changes is not None:
        yield f"\n`{kind.changes_field}` changes the {kind.about}:"
        yield from _fields(kind.changes)


def _fields(data: type[Data]) -> Iterator[str]:
    schema, kinds = fields_schema(data), kinds_of(data)
    required = required_of(data)
    columns = {said: name for name, said in zip(data.__struct_fields__, data.__struct_encode_fields__, strict=True)}
    rows = []
    for name, said in schema["properties"].items():
        column = columns[name]
        stored = f"; stored as `{column}`" if column != name else ""
        rows.append((f"`{name}`", "yes" if column in required else "no", kinds[column], limits_of(said) + stored))
    if not rows:
        yield "\nIts `data` is an empty object.\n"
    yield from table(("field", "required", "column", "limits"), rows)


def limits_of(schema: Mapping[str, Any]) -> str:
    """What a schema allows, in words."""
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(options) == 1:
        return limits_of(options[0])
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    if options:
        return "a number, or the same as text"
    if schema.get("format") == "date-time":
        return "RFC 3339 with an offset"
    if schema.get("type") == "string":
        return _text_limits(schema)
    least, most = schema.get("minimum"), schema.get("maximum")
    words = {"integer": f"{least} to {most}", "object": "an object", "boolean": "true or false"}
    return words.get(schema.get("type", ""), "any JSON")


def _text_limits(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    said = "text" if most is None else f"at most {most} characters"
    said = f"{least} to {most} characters" if least and most is not None else said
    pattern = schema.get("pattern", "")
    return f"{said}, `{pattern}`" if pattern and len(pattern) < PATTERN_MAX else said


def _implied(value: object) -> str:
    if value is TIME:
        return "the event's time"
    return "null" if value is None else f"`{str(value).lower()}`"
