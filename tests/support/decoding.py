"""One record decoded, as unit tests need it: at a fixed instant, with its event or its refusal."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from contracts.decode import decode
from contracts.event import Event
from contracts.refusal import Reason, Refusal, Stage
from contracts.window import TimeWindow
from tests.support.events import event

Headers = Sequence[tuple[str, bytes | None]]

WINDOW = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))
TIME = "2026-01-31T12:00:00Z"
STAMP = 1_769_860_800_000  # the same instant as a Kafka timestamp, in ms


def finished(data: Mapping[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """A run.finished event at TIME, with its one required field and what is given."""
    return event(
        "run.finished",
        **({"subject": "r-1", "time": TIME, "data": {"status": "completed"} | dict(data or {})} | attributes),
    )


def value_with(member: str) -> bytes:
    """A run.finished event with one more member of its data, as JSON text byte for byte."""
    return json.dumps(finished()).replace('"completed"', '"completed", ' + member).encode()


def decoded(value: bytes | Mapping[str, Any], headers: Headers = (), key: bytes | None = None) -> Event:
    """The event of a record."""
    return decode(value if isinstance(value, bytes) else json.dumps(value).encode(), key, headers, STAMP, WINDOW)


def refusal_or_none(value: bytes | None, headers: Headers = (), key: bytes | None = None) -> Refusal | None:
    """The refusal of a record; None when it is accepted. Any other error is a defect, and raised."""
    try:
        decode(value, key, headers, STAMP, WINDOW)
    except Refusal as refused:
        return refused
    return None


def refusal(value: bytes | Mapping[str, Any] | None, headers: Headers = (), key: bytes | None = None) -> Refusal:
    """The refusal of a record; fails when it is accepted."""
    refused = refusal_or_none(json.dumps(value).encode() if isinstance(value, Mapping) else value, headers, key)
    assert refused is not None, "the record was accepted"
    return refused


def verdict(
    value: bytes | Mapping[str, Any] | None, headers: Headers = (), key: bytes | None = None
) -> tuple[Reason, Stage]:
    """Reason and stage of a record's refusal."""
    refused = refusal(value, headers, key)
    return refused.reason, refused.stage
