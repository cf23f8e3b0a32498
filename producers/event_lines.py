"""Lines of JSON to records for Kafka: whole CloudEvents, or a short form that is completed here."""

import codecs
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec
from msgspec import Raw

from contracts.decode import decode
from contracts.envelope import STRUCTURED
from contracts.event_type import Family
from contracts.refusal import Refusal
from contracts.registry import EVENT_TYPES, topic_of
from contracts.window import TimeWindow
from producers.recognised import MAX_BEGINNING, unreadable

_members = msgspec.json.Decoder(dict[str, Raw])
MAX_LINE_BYTES = 64 * 1024 * 1024  # no record is larger, nor what one line holds of traces
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


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """A file's lines as they are read; of one above MAX_LINE_BYTES its beginning, which is above them by a byte.

    A byte order mark before the first is no part of it: many programs on Windows write one.
    """
    mark = codecs.BOM_UTF8
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line.removeprefix(mark)
        mark = b""
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def outgoing(
    lines: Iterable[bytes], defaults: Defaults, window: TimeWindow, *, check: bool
) -> Iterator[Outgoing | RefusedLine]:
    """A record or a refusal for every line that is not blank; a refused line says why in words."""
    for number, line in enumerate(lines, 1):
        if number == 1 and (hint := unreadable(line[:MAX_BEGINNING])):
            yield RefusedLine(1, f"no line of the file can be read: {hint}")
            return
        if len(line) > MAX_LINE_BYTES:
            yield RefusedLine(number, f"too_large: the line has more than {MAX_LINE_BYTES} bytes")
        elif line.strip():
            try:
                yield record_of(line.strip(), defaults, window, check=check)
            except Refusal as refusal:
                yield RefusedLine(number, f"{refusal.reason.value}: {refusal.message}")
            except ValueError as error:
                yield RefusedLine(number, str(error))


def record_of(line: bytes, defaults: Defaults, window: TimeWindow, *, check: bool) -> Outgoing:
    """The record of one line; raises Refusal or ValueError with the reason.

    A whole event (it has `specversion`) goes out as it came, byte for byte: an id or time of ours would make
    another event of it. Of a short form `data` goes out as it came, so that no number passes through a float.
    Without `check` anything goes, for testing a worker.
    """
    try:
        members = _members.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if check:
            raise ValueError(_fault(error)) from None
        return Outgoing(topic_of(Family.extraction, defaults.topic_prefix), None, line, [STRUCTURED])
    value = line
    is_short = "specversion" not in members
    if is_short and (check or {"type", "subject"} <= members.keys()):
        members = _complete(members, defaults)
        value = msgspec.json.encode(members)
    text = {name: _text(members.get(name)) for name in HEADER_ATTRIBUTES}
    kind = EVENT_TYPES.get(text["type"] or "")
    family = kind.family if kind else _family_of(text["type"] or "")
    key = f"{text['tenantid'] or ''}/{text['subject'] or ''}".encode()
    headers = [STRUCTURED, *((f"ce_{name}", said.encode()) for name, said in text.items() if said is not None)]
    if check:
        decode(value, key, headers, int(defaults.now().timestamp() * 1000), window)
    return Outgoing(topic_of(family, defaults.topic_prefix), key, value, headers)


def _fault(error: Exception) -> str:
    """Why a line is no JSON object, for the person who wrote it."""
    if isinstance(error, msgspec.ValidationError):
        return "not_cloudevent: the line is JSON, but not the object of one event"
    if isinstance(error, UnicodeDecodeError):
        return "bad_utf8: the line is no UTF-8"
    return f"bad_json: {error}"


def _text(raw: Raw | None) -> str | None:
    """An attribute that is a JSON string without lone surrogates; else None."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _complete(short: dict[str, Raw], defaults: Defaults) -> dict[str, Raw]:
    """A whole event from a short form: `type`, `subject`, `data`, and what else it has."""
    for name in ("type", "subject"):
        if _text(short.get(name)) is None:
            raise ValueError(f"a short form needs type, subject and data; {name} is missing or no text")
    if "tenantid" not in short and not defaults.tenant:
        raise ValueError("tenant_missing: a short form needs --tenant, or tenantid in the line")
    made: dict[str, object] = {
        "specversion": "1.0",
        "id": defaults.new_id(),
        "source": defaults.source or "/siltstone/publish",
        "time": defaults.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tenantid": defaults.tenant,
        "datacontenttype": "application/json",
        "data": {},
    }
    whole = {name: Raw(msgspec.json.encode(value)) for name, value in made.items()} | short
    return whole | {"type": Raw(msgspec.json.encode(_full_name(_text(short["type"]) or "")))}


def _full_name(kind: str) -> str:
    """`session.started` as its full name; a full name as it is."""
    if kind.startswith("siltstone."):
        return kind
    versioned = re.search(r"\.v[0-9]+$", kind) is not None
    return f"siltstone.{kind}" + ("" if versioned else ".v1")


def _family_of(name: str) -> Family:
    """Where a type that is unknown would go by its noun; extraction when that says nothing."""
    noun = name.removeprefix("siltstone.").split(".", 1)[0]
    nouns = {t.noun_verb.split(".", 1)[0]: t.family for t in EVENT_TYPES.values()}
    return nouns.get(noun, Family.extraction)
