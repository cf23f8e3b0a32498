"""What an edit does to a dead letter, step by step. No I/O, no clock."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from contracts.envelope import is_binary_mode
from contracts.event import EPOCH
from contracts.record import Message
from workers import json_paths
from workers.json_paths import NoSuchPlace, Path

FRAME_BYTES = 5  # a zero byte and four of the schema's id (Confluent's wire format)
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair: one character, which stays
    rb"|(\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"  # U+0000, or half a pair
    rb"|\\.",
    re.DOTALL,
)
_NAN = re.compile(rb'"(?:[^"\\]|\\.)*"|(-?\b(?:NaN|Infinity)\b)', re.DOTALL)


class Origin(NamedTuple):
    """What a letter knows besides what it would send: its id, its record's Kafka timestamp, what came."""

    letter_id: UUID
    record_timestamp_ms: int
    original: Message


Step = Callable[[Message, Origin], Message]
"""One change; raises CannotMend when this letter does not allow it."""


class CannotMend(Exception):
    """A change does not fit a letter; the message never quotes the letter."""


def mend(message: Message, origin: Origin, steps: Sequence[Step]) -> Message:
    """The message after every step, in order; raises CannotMend."""
    try:
        for step in steps:
            message = step(message, origin)
    except NoSuchPlace as error:
        raise CannotMend(str(error)) from None
    return message


def to_original(_: Message, origin: Origin) -> Message:
    """What came, before any edit."""
    return origin.original


def value_of(value: bytes) -> Step:
    """Another value in place of the whole."""
    return lambda message, _: message._replace(value=value)


def strip_frame(message: Message, _: Origin) -> Message:
    """Without a schema registry's frame; a value that has none stays."""
    value = message.value
    if value is None or value[:1] != b"\0":
        return message
    return message._replace(value=value[FRAME_BYTES:])


def decode_as(encoding: str) -> Step:
    """The value in UTF-8, read as another encoding; one that is JSON in UTF-8 already stays."""

    def step(message: Message, _: Origin) -> Message:
        value = message.value
        if value is None or json_paths.is_json(value):
            return message
        try:
            return message._replace(value=value.decode(encoding).encode())
        except UnicodeError:
            raise CannotMend(f"the value is no {encoding} text") from None

    return step


def replace_unstorable(text: str) -> Step:
    """`text` for each U+0000 and each half of a surrogate pair: escapes in the value, bytes in `ce_*` headers."""
    escaped = json.dumps(text)[1:-1].encode()
    raw = text.encode("utf-8", "replace")

    def step(message: Message, _: Origin) -> Message:
        value = message.value
        if value is not None:
            value = _ESCAPE.sub(lambda escape: escaped if escape[1] else escape[0], value)
        headers = ((n, v.replace(b"\0", raw) if v and n.startswith("ce_") else v) for n, v in message.headers)
        return message._replace(value=value, headers=tuple(headers))

    return step


def replace_nan(number: bytes) -> Step:
    """`number` for each NaN and Infinity, which are no JSON; inside of texts they stay."""

    def step(message: Message, _: Origin) -> Message:
        if message.value is None:
            return message
        return message._replace(value=_NAN.sub(lambda found: number if found[1] else found[0], message.value))

    return step


def set_at(path: Path, part: bytes) -> Step:
    """`part`, which is JSON, at a place of the event."""
    return lambda message, _: _put(message, path, part)


def unset_at(path: Path) -> Step:
    """Without what is at a place of the event; nothing there is no fault."""

    def step(message: Message, _: Origin) -> Message:
        attribute = _header_of(message, path)
        if attribute is not None:
            return _without_header(message, attribute)
        if message.value is None:
            return message
        return message._replace(value=json_paths.remove(message.value, _in_value(message, path)))

    return step


def copy_to(source: Path, target: Path) -> Step:
    """What is at one place also at another."""

    def step(message: Message, _: Origin) -> Message:
        found = _read(message, source)
        if found is None:
            raise CannotMend(f"there is nothing at {json_paths.shown(source)} to copy")
        return _put(message, target, found)

    return step


def id_from_letter(message: Message, origin: Origin) -> Message:
    """The letter's own id for an event that has none: another for each record, the same for each edit."""
    if _read(message, ("id",)) not in (None, b"null", b'""'):
        return message
    return _put(message, ("id",), msgspec.json.encode(str(origin.letter_id)))


def time_from_record(message: Message, origin: Origin) -> Message:
    """The event's time is its record's Kafka timestamp: when it was published."""
    if origin.record_timestamp_ms <= 0:
        raise CannotMend("the record's Kafka timestamp is not known")
    time = EPOCH + timedelta(milliseconds=origin.record_timestamp_ms)
    return _put(message, ("time",), msgspec.json.encode(time.isoformat(timespec="milliseconds")))


def key_of(key: bytes) -> Step:
    """Another key."""
    return lambda message, _: message._replace(key=key)


def no_key(message: Message, _: Origin) -> Message:
    """Without a key: a redrive sends it to the partition that it came from."""
    return message._replace(key=None)


def key_from_event(message: Message, _: Origin) -> Message:
    """The key that the event should have: `<tenantid>/<subject>`."""
    parts = []
    for name in ("tenantid", "subject"):
        text = _text(_read(message, (name,)))
        if not text:
            raise CannotMend(f"the key cannot be made: the attribute {name} is missing or no text")
        parts.append(text)
    return message._replace(key="/".join(parts).encode())


def set_header(name: str, value: bytes) -> Step:
    """A header in place of those of its name; a new one comes last."""
    return lambda message, _: _with_header(message, name, value)


def drop_header(name: str) -> Step:
    """Without the headers of a name."""
    return lambda message, _: _without_header(message, name)


def drop_bad_headers(message: Message, _: Origin) -> Message:
    """Without the headers that are null or no UTF-8."""
    return message._replace(headers=tuple(h for h in message.headers if h[1] is not None and _is_utf8(h[1])))


def _read(message: Message, path: Path) -> bytes | None:
    """The JSON at a place of the event, in either of the two modes of CloudEvents."""
    attribute = _header_of(message, path)
    if attribute is None:
        return json_paths.read(message.value, _in_value(message, path))
    found = next((value for name, value in message.headers if name == attribute), None)
    return None if found is None else msgspec.json.encode(found.decode("utf-8", "replace"))


def _put(message: Message, path: Path, part: bytes) -> Message:
    attribute = _header_of(message, path)
    if attribute is None:
        return message._replace(value=json_paths.put(message.value, _in_value(message, path), part))
    text = _text(part)
    return _with_header(message, attribute, part if text is None else text.encode())


def _header_of(message: Message, path: Path) -> str | None:
    """The header that a place of the event lies in: in binary mode every attribute has one, and `data` is the value."""
    if not is_binary_mode(message.headers) or path[:1] == ("data",):
        return None
    if len(path) != 1 or not isinstance(path[0], str):
        raise CannotMend(f"{json_paths.shown(path)} is no place in an event in binary mode: its value is data alone")
    return "content-type" if path[0] == "datacontenttype" else f"ce_{path[0]}"


def _in_value(message: Message, path: Path) -> Path:
    return path[1:] if is_binary_mode(message.headers) else path


def _with_header(message: Message, name: str, value: bytes) -> Message:
    made: list[tuple[str, bytes | None]] = []
    for header in message.headers:
        if header[0] != name:
            made.append(header)
        elif (name, value) not in made:
            made.append((name, value))
    if (name, value) not in made:
        made.append((name, value))
    return message._replace(headers=tuple(made))


def _without_header(message: Message, name: str) -> Message:
    return message._replace(headers=tuple(header for header in message.headers if header[0] != name))


def _text(part: bytes | None) -> str | None:
    """A JSON string's text; None for anything else."""
    try:
        return None if part is None else msgspec.json.decode(part, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
