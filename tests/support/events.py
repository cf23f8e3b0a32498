"""Events as producers send them."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.registry import EVENT_TYPES

NOW = datetime.now(UTC).replace(microsecond=0)


def event(
    noun_verb: str,
    subject: str,
    data: Mapping[str, Any] | None = None,
    *,
    tenant: str = "acme",
    seconds: float = 0.0,
    **attributes: Any,
) -> dict[str, Any]:
    """A whole CloudEvent, `seconds` after the start of this test session; an attribute given as None is left out."""
    name = noun_verb if noun_verb.startswith("siltstone.") else f"siltstone.{noun_verb}.v1"
    made = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/tests",
        "type": name,
        "time": (NOW + timedelta(seconds=seconds)).isoformat(),
        "subject": subject,
        "tenantid": tenant,
        "datacontenttype": "application/json",
        "data": dict(data or {}),
    } | attributes
    return {name: value for name, value in made.items() if value is not None}


def extraction(number: int, *, sessions: int = 10, tenant: str = "acme", **attributes: Any) -> dict[str, Any]:
    """One of many extractions, spread over some sessions."""
    data = {"agent_name": f"agent-{number % 3}", "event_type": "error", "pattern": "p", "line_number": number}
    return event(
        "extraction.recorded", f"session-{number % sessions}", data, tenant=tenant, seconds=number / 1000, **attributes
    )


def encoded(one: Mapping[str, Any]) -> bytes:
    """The event as a record's value."""
    return json.dumps(one).encode()


def record(one: Mapping[str, Any]) -> tuple[bytes, bytes, list[tuple[str, bytes | None]]]:
    """The event as a record: key, value, headers."""
    key = f"{one.get('tenantid', '')}/{one.get('subject', '')}".encode()
    return key, encoded(one), [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def topic_family(one: Mapping[str, Any]) -> str:
    """The family whose topic the event belongs to."""
    return EVENT_TYPES[str(one["type"])].family.value
