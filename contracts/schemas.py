"""JSON Schema 2020-12 of every event type: the whole CloudEvent as readers accept it, made from the declarations.

Some limits no schema can say, and decode() alone holds: the size and nesting of a value, text that no table holds
(U+0000, lone surrogates), the window of accepted times, whether a tenant exists.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from contracts.envelope import TENANT_PATTERN, Envelope
from contracts.event_type import EventType, opened
from contracts.fields import Data, kinds_of, required_of
from contracts.registry import EVENT_TYPES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
"""An offset is required; checkers may ignore `format`, they do not ignore `pattern`."""

_DESCRIPTIONS: Mapping[str, str] = {
    "specversion": "the version of CloudEvents",
    "id": "the producer's id, the same on every retry; UUIDv7 recommended",
    "source": "who publishes: a URI reference",
    "type": "the event type, with its major version",
    "time": "when it happened, with an offset; the same on every retry",
    "subject": "the id of the session, run, definition or exception that it is about",
    "tenantid": "whose event it is",
    "data": "what happened",
    "datacontenttype": "application/json, the default",
    "sequence": "the order among events of one time: compared as bytes, so integers are padded with zeros",
    "traceparent": "W3C trace context",
    "tracestate": "W3C trace context",
}


def schema_of(kind: EventType) -> Schema:
    """The schema of a structured-mode value of this type; stands alone, and is open to unknown members."""
    properties = _struct(opened_envelope())["properties"]
    for name, description in _DESCRIPTIONS.items():
        properties[name] = {"description": description, **properties[name]}
    properties["type"] = {"description": _DESCRIPTIONS["type"], "const": kind.name}
    properties["time"] |= {"type": "string", "format": "date-time", "pattern": TIME_PATTERN}
    properties["tenantid"] |= {"pattern": TENANT_PATTERN}
    properties["source"] |= {"format": "uri-reference"}
    properties["datacontenttype"] = {
        "description": _DESCRIPTIONS["datacontenttype"],
        "anyOf": [{"type": "string", "pattern": _any_case("application/json")}, {"type": "null"}],
    }
    properties["data"] = {**data_schema(kind), "title": kind.data.__name__, "description": _DESCRIPTIONS["data"]}
    return {
        "$schema": DIALECT,
        "$id": f"urn:siltstone:{kind.name}",
        "title": kind.name,
        "description": meaning_of(kind),
        "type": "object",
        "properties": properties,
        "required": [f.name for f in msgspec.structs.fields(Envelope) if f.required],
    }


def schemas() -> dict[str, Schema]:
    """The schema of every event type that is accepted, by its full name."""
    return {name: schema_of(kind) for name, kind in EVENT_TYPES.items()}


def as_text(document: Mapping[str, Any]) -> str:
    """A document as it is printed and kept in files."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def data_schema(kind: EventType) -> Schema:
    """The schema of `data`, with that of the object in it which says what changes, if the type has one."""
    schema = fields_schema(kind.data)
    if kind.changes is not None and kind.changes_field is not None:
        changes: Schema = {"title": kind.changes.__name__, **fields_schema(kind.changes)}
        required = kind.changes_field in required_of(kind.data)
        schema["properties"][kind.changes_field] = changes if required else _or_null(changes)
    return schema


def fields_schema(data: type[Data]) -> Schema:
    """The schema of a declared struct, open to unknown fields."""
    schema = _struct(opened(data))
    kinds, required = kinds_of(data), required_of(data)
    properties = schema["properties"]
    for field in msgspec.structs.fields(data):
        name = field.encode_name
        properties[name] = _plain(properties[name])
        if kinds[field.name] == "object" and field.name not in required:
            properties[name] = _or_null(properties[name])
    return {"type": "object", "properties": properties, "required": schema["required"]}


def meaning_of(kind: EventType) -> str:
    """What an event of this type says, in one sentence."""
    return (kind.data.__doc__ or "").strip()


def opened_envelope() -> type[msgspec.Struct]:
    """The envelope, open to unknown attributes."""
    return msgspec.defstruct("Envelope", [], bases=(Envelope,), forbid_unknown_fields=False)


def _struct(struct: type[msgspec.Struct]) -> Schema:
    """What msgspec says of one struct (none of ours holds another)."""
    _, components = msgspec.json.schema_components([struct])
    schema: Schema
    (schema,) = components.values()
    return schema


def _plain(schema: Schema) -> Schema:
    """A field's schema, with numerics and times said in JSON Schema's own words."""
    if schema.get("format") == "decimal":  # msgspec says that it is text; a JSON number is accepted as well
        return {name: value for name, value in schema.items() if name not in ("type", "format")}
    if schema.get("format") == "date-time":
        return schema | {"pattern": TIME_PATTERN}
    if "anyOf" in schema:
        return schema | {"anyOf": [_plain(one) for one in schema["anyOf"]]}
    return schema


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _any_case(media_type: str) -> str:
    """A pattern for a media type with its parameters, in any case, or none; patterns of JSON Schema have no flags."""
    letters = "".join(f"[{c.upper()}{c}]" if c.isalpha() else re.escape(c) for c in media_type)
    return f"^(\\s*{letters}\\s*(;.*)?)?$"
