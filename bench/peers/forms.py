"""The same event in the forms that the peers read, and the table that they write."""

import json
from collections.abc import Callable, Mapping
from typing import Any

_OWN = ("agent_name", "event_type", "pattern", "matched_value", "original_line", "risk_level")
_TEXT = ("tenant_id", "id", "source", "type", "session_id", *_OWN)

# The columns of extraction_event that an event fills, its key, and as many secondary indexes on the same columns.
TABLE = """
CREATE TABLE flat (
  tenant_id text NOT NULL, id text NOT NULL, source text NOT NULL, type text NOT NULL, session_id text NOT NULL,
  occurred_at timestamptz NOT NULL, agent_name text, event_type text, pattern text, matched_value text,
  original_line text, line_number integer, risk_level text, auto_confirmable boolean, metadata jsonb,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX ON flat (tenant_id, session_id, occurred_at);
CREATE INDEX ON flat (tenant_id, agent_name, occurred_at);
CREATE INDEX ON flat (tenant_id, event_type, pattern);
"""


def flat_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """The row of an event; `metadata` is JSON as text."""
    data = event["data"]
    return {
        "tenant_id": event["tenantid"],
        "id": event["id"],
        "source": event["source"],
        "type": event["type"],
        "session_id": event["subject"],
        "occurred_at": event["time"],
        **{name: data[name] for name in (*_OWN, "line_number", "auto_confirmable")},
        "metadata": json.dumps(data["metadata"]),
    }


def _field(name: str, kind: str, meaning: str | None = None) -> dict[str, Any]:
    field = {"field": name, "type": kind, "optional": name not in ("tenant_id", "id")}
    return field | ({"name": meaning, "version": 1} if meaning else {})


_SCHEMA = {
    "type": "struct",
    "name": "event",
    "optional": False,
    "fields": [
        *(_field(name, "string") for name in _TEXT),
        _field("occurred_at", "string", "io.debezium.time.ZonedTimestamp"),
        _field("line_number", "int32"),
        _field("auto_confirmable", "boolean"),
        _field("metadata", "string", "io.debezium.data.Json"),
    ],
}
_SCHEMA_JSON = json.dumps(_SCHEMA)


def flat(event: Mapping[str, Any]) -> bytes:
    """The row as a JSON object."""
    return json.dumps(flat_row(event)).encode()


def enveloped(event: Mapping[str, Any]) -> bytes:
    """The row with its schema, as Connect's JsonConverter reads them."""
    return f'{{"schema": {_SCHEMA_JSON}, "payload": {json.dumps(flat_row(event))}}}'.encode()


def key(event: Mapping[str, Any]) -> bytes:
    """The key that Siltstone's producers give the event."""
    return f"{event['tenantid']}/{event['subject']}".encode()


FORMS: dict[str, Callable[[Mapping[str, Any]], bytes]] = {"flat": flat, "connect": enveloped, "one": flat}
