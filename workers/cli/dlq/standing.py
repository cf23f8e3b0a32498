"""What a redrive of a letter would change, field by field, beside what is stored."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from contracts.event import EPOCH, Event
from contracts.event_type import EventType
from contracts.record import Message
from contracts.refusal import Refusal
from contracts.registry import EVENT_TYPES
from persistence import letter_reads
from persistence.merge import Change, fold
from persistence.states import Column, Rule, State
from workers.admission import tenant_refusal

_TIME = slice(1, 9)  # of a place in the order of events: microseconds since 1970 (contracts.event.order_key)


class About(NamedTuple):
    """Which thing a letter's event is about, and when; `time` is the record's when the event's cannot be read."""

    tenant_id: str
    kind: EventType
    subject: str
    time: datetime


def about_of(judged: Event | Refusal, sent: Message, letter: Mapping[str, Any]) -> About | None:
    """What the record is about, as far as it can be read; None when that is not far enough."""
    if isinstance(judged, Event):
        return About(judged.tenant_id, judged.type, judged.subject, judged.time)
    read = {"tenantid": letter["tenant_id"], "type": letter["event_type"], "subject": letter["subject"]}
    read |= {
        name.removeprefix("ce_"): (value or b"").decode("utf-8", "replace")
        for name, value in sent.headers
        if name.startswith("ce_")
    }
    try:
        members = json.loads(sent.value or b"")
    except (ValueError, RecursionError):
        members = None
    read |= members if isinstance(members, dict) and "specversion" in members else {}
    tenant, kind, subject = (_text(read.get(name)) for name in ("tenantid", "type", "subject"))
    if tenant is None or subject is None or kind not in EVENT_TYPES:
        return None
    at = _time(read.get("time")) or EPOCH + timedelta(milliseconds=letter["record_timestamp"])
    return About(tenant, EVENT_TYPES[kind], subject, at)


def _text(value: object) -> str | None:
    """Text that the database can be asked for."""
    return value if isinstance(value, str) and value and value.isprintable() else None


def _time(value: object) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
        return parsed.astimezone(UTC) if parsed is not None and parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def said_of(refusal: Refusal | None) -> str | None:
    """A refusal in one line."""
    return None if refusal is None else f"{refusal.reason}: {refusal.message}"


async def standing(connection: asyncpg.Connection, judged: Event | Refusal, about: About) -> dict[str, Any]:
    """What is stored beside the record, read as its tenant; `fields` is None for a record that is no event."""
    status = await letter_reads.tenant_status(connection, about.tenant_id)
    count, latest = await letter_reads.later_events(connection, about.kind, about.tenant_id, about.subject, about.time)
    found: dict[str, Any] = {
        "refused": said_of(judged if isinstance(judged, Refusal) else tenant_refusal(judged, status)),
        "is_stored": False,
        "fields": None,
        "about": about.kind.about,
        "subject": about.subject,
        "time": about.time,
        "later_events": count,
        "latest": latest,
    }
    if isinstance(judged, Event):
        stored = found["is_stored"] = await letter_reads.is_stored(connection, judged.type, judged.uid)
        found["fields"] = [
            field
            for state, of_state in fold([judged]).items()
            for (tenant_id, key), change in of_state.items()
            for field in compared(
                state, key, change, await letter_reads.state_row(connection, state, tenant_id, key), is_stored=stored
            )
        ]
    return found


def compared(
    state: State, key: str, change: Change, row: Mapping[str, Any] | None, *, is_stored: bool
) -> list[dict[str, Any]]:
    """Each field that an event says something of, in the state's order, with what a redrive would do to it.

    An event that is stored changes nothing: its fields are `equal`, or something newer stands in them.
    """
    clock: Mapping[str, bytes] = row["clock"] if row else {}
    fields = []
    for column in state.columns:
        if column.name in change.lasts:
            place = clock.get(column.name)
            verdict = _by_place(change.lasts[column.name][0], place)
            at = EPOCH + timedelta(microseconds=int.from_bytes(place[_TIME], "big")) if place else None
        elif column.name in change.others and not (column.rule is Rule.count and is_stored):
            verdict, at = _by_value(column, change.others[column.name], row[column.name] if row else None), None
        else:
            continue
        fields.append({"state": state.name, "id": key, "field": column.name, "verdict": verdict, "stored_from": at})
    return fields


def _by_place(place: bytes, stored: bytes | None) -> str:
    if stored is None or place > stored:
        return "would set"
    if place == stored:
        return "equal"
    return "is newer: stays" if place[0] == stored[0] else "stays"  # what only fills is below all else, of any time


def _by_value(column: Column, value: Any, stored: Any) -> str:
    if column.rule is Rule.count:
        return "would count"
    if stored is None or (value < stored if column.rule is Rule.min else value > stored):
        return "would set"
    return "equal" if value == stored else "stays"
