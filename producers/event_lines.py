"""Lines of JSON to records for Kafka: whole CloudEvents, or a short form that is completed here."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.decode import decode
from contracts.event_type import Family
from contracts.refusal import Refusal
from contracts.registry import EVENT_TYPES, topic_of
from contracts.text import refuse_constant
from contracts.window import TimeWindow

CONTENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
HEADER_ATTRIBUTES = ("specversion", "id", "source", "type", "time", "subject", "tenantid")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that is not published, counted from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Defaults:
    """What completes a short form; `new_id` and `now` are for tests to fix."""

    tenant: str | None = None
    source: str | None = None
    topic_prefix: str = ""
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def outgoing(
    lines: Iterable[bytes], defaults: Defaults, window: TimeWindow, *, check: bool
) -> Iterator[Outgoing | RefusedLine]:
    """A record or a refusal for every line that is not blank; a refused line says why in words."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield record_of(line.strip(), defaults, window, check=check)
            except Refusal as refusal:
                yield RefusedLine(number, f"{refusal.reason.value}: {refusal.message}")
            except ValueError as error:
                yield RefusedLine(number, str(error))


def record_of(line: bytes, defaults: Defaults, window: TimeWindow, *, check: bool) -> Outgoing:
    """The record of one line; raises Refusal or ValueError with the reason.

    A whole event (it has `specversion`) goes out as it came, byte for byte: an id or time of ours would make
    another event of it. Without `check` anything goes that can be given a topic, for testing a worker.
    """
    event = _object(line, strict=check)
    if event is None:
        return Outgoing(topic_of(Family.extraction, defaults.topic_prefix), None, line, [("content-type", CONTENT_TYPE)])
    value = line
    if "specversion" not in event:
        event = _complete(event, defaults)
        value = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    kind = EVENT_TYPES.get(str(event.get("type")))
    if kind is None and check:
        raise ValueError(f"schema_unsupported: type {str(event.get('type'))[:80]!a} is none of those in `siltstone schemas`")
    family = kind.family if kind else _family_of(str(event.get("type")))
    key = f"{event.get('tenantid', '')}/{event.get('subject', '')}".encode("utf-8", "replace")
    headers = [("content-type", CONTENT_TYPE)]
    headers += [(f"ce_{a}", event[a].encode("utf-8", "replace")) for a in HEADER_ATTRIBUTES if isinstance(event.get(a), str)]
    if check:
        decode(value, key, headers, int(defaults.now().timestamp() * 1000), window)
    return Outgoing(topic_of(family, defaults.topic_prefix), key, value, headers)


def _object(line: bytes, *, strict: bool) -> dict[str, Any] | None:
    """The line's JSON object; None, when not strict, for anything else."""
    try:
        event = json.loads(line, parse_constant=refuse_constant if strict else None)
    except (ValueError, RecursionError) as error:
        if strict:
            raise ValueError(f"bad_json: {error}"[:200]) from None
        return None
    if not isinstance(event, dict):
        if strict:
            raise ValueError(f"not_cloudevent: a JSON {type(event).__name__}, not the object of one event")
        return None
    return event


def _complete(short: dict[str, Any], defaults: Defaults) -> dict[str, Any]:
    """A whole event from a short form: `type`, `subject`, `data`, and what else it has."""
    for name in ("type", "subject"):
        if not isinstance(short.get(name), str):
            raise ValueError(f"a short form needs type, subject and data; {name} is missing or no text")
    kind = short["type"]
    if not kind.startswith("siltstone."):
        kind = f"siltstone.{kind}" + ("" if kind.rsplit(".", 1)[-1].startswith("v") and kind[-1].isdigit() else ".v1")
    tenant = short.get("tenantid") or defaults.tenant
    if not tenant:
        raise ValueError("tenant_missing: a short form needs --tenant, or tenantid in the line")
    made = {
        "specversion": "1.0",
        "id": short.get("id") or defaults.new_id(),
        "source": short.get("source") or defaults.source or "/siltstone/publish",
        "time": short.get("time") or defaults.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tenantid": tenant,
        "datacontenttype": "application/json",
    }
    return made | {k: v for k, v in short.items() if k not in made} | {"type": kind, "data": short.get("data", {})}


def _family_of(name: str) -> Family:
    """Where a type that is unknown would go by its noun; extraction when that says nothing."""
    noun = name.removeprefix("siltstone.").split(".", 1)[0]
    nouns = {t.noun_verb.split(".", 1)[0]: t.family for t in EVENT_TYPES.values()}
    return nouns.get(noun, Family.extraction)
