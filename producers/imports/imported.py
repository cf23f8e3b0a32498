"""What an importer gives: the events of a file, and a word on everything else in it. Shared by every kind."""

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, BinaryIO, NamedTuple

from producers.account import Refused, Word
from producers.event_lines import MAX_LINE_BYTES, lines_of
from producers.recognised import MAX_BEGINNING, otherwise, unreadable
from producers.timeline import Timeline

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # the day of what has no date
DAY_MS = 86_400_000
MAX_JSON_BYTES = 256 * 1024  # of a member that is kept as JSON
MAX_TEXT_BYTES = 128 * 1024
MAX_NAME, MAX_LABEL, MAX_MODEL, MAX_ID = 255, 50, 100, 256  # characters, as the contracts have them


class Unreadable(Exception):
    """Nothing of a file can be imported; the message names it, what is wrong, and what to do."""


@dataclass(frozen=True)
class Origin:
    """Whose the events are. `start`: when what has no date of its own began; else a time made of the content."""

    tenant: str
    source: str
    start: datetime | None = None


@dataclass
class Imported:
    """The events of a file, in order, and what is said of the rest of it."""

    events: list[dict[str, Any]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)

    @property
    def refused(self) -> list[Refused]:
        return [word for word in self.words if isinstance(word, Refused)]


class Named(dict[str, Any]):
    """An event, and what names its place in the file."""

    def __init__(self, event: dict[str, Any], item: str) -> None:
        super().__init__(event)
        self.item = item


Item = dict[str, Any] | Word
"""An event of a file, or a word on what is none."""

Importer = Callable[[BinaryIO, str, Origin], Iterator[Item]]
"""A file at its beginning, its name for messages, origin; the items in order. Raises Unreadable."""


def of_whole(events: Callable[[bytes, str, Origin], Imported], kind: str) -> Importer:
    """An importer for files of a kind of which nothing is known before their end.

    One that cannot be read says what it looks like, and what reads that.
    """

    def read(file: BinaryIO, name: str, origin: Origin) -> Iterator[Item]:
        content = file.read()
        try:
            found = events(content, name, origin)
        except Unreadable as error:
            if other := otherwise(content[:MAX_BEGINNING], kind):
                raise Unreadable(f"{error}; {other}") from None
            raise
        yield from found.words
        yield from found.events

    return read


NOT_JSON = "it is not JSON"
_read_json = json.JSONDecoder(parse_float=Decimal).decode


class Line(NamedTuple):
    """A line of JSON, counted from 1."""

    number: int
    raw: bytes
    members: Any


def json_lines(file: BinaryIO) -> Iterator[Line | Refused]:
    """The lines that are not blank, numbers as Decimal where they are no integers. One in memory at a time.

    Of a file in UTF-16, or that is compressed, the first is refused with what to do, and no other is read.
    """
    number = 0
    for ended in lines_of(file):
        if number == 0 and (hint := unreadable(ended[:MAX_BEGINNING])):
            yield Refused("line 1", hint)
            return
        if len(ended) > MAX_LINE_BYTES:
            number += 1
            yield Refused(f"line {number}", f"it has more than {MAX_LINE_BYTES} bytes")
            continue
        for line in ended.splitlines():  # an old Mac's lines end in \r alone
            number += 1
            if not line.strip():
                continue
            try:
                yield Line(number, line, _read_json(line.removeprefix(BOM_UTF8).decode()))
            except UnicodeDecodeError:
                yield Refused(f"line {number}", "it is not UTF-8")
            except (ArithmeticError, ValueError, RecursionError):
                yield Refused(f"line {number}", NOT_JSON)


def timeline(origin: Origin, kind: str, identity: object, began: datetime | None) -> Timeline:
    """The events about one thing of a file: the same identity makes the same ids. Without a time, see Origin."""
    key = sha256(json.dumps([kind, identity], sort_keys=True, default=str).encode()).digest()
    start = began or origin.start or EPOCH + timedelta(milliseconds=int.from_bytes(key[-8:]) % DAY_MS)
    return Timeline(key, origin.tenant, origin.source, start)


def json_object(content: bytes, name: str, what: str) -> dict[str, Any]:
    """A file that is one JSON object, its numbers as Decimal where they are no integers. Raises Unreadable."""
    found = json_value(content, name, what)
    if not isinstance(found, dict):
        raise Unreadable(f"{name} is JSON, but not the object that {what} is")
    return found


def json_value(content: bytes, name: str, what: str) -> Any:
    """Any JSON. Raises Unreadable."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name} is not UTF-8 at byte {error.start}; {what} is JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"{name} is not JSON ({error.msg} at line {error.lineno}); {what} is") from None
    except (ArithmeticError, ValueError, RecursionError) as error:
        raise Unreadable(f"{name} is not JSON that can be read ({type(error).__name__}); {what} is") from None


def iso(moment: datetime, timespec: str = "milliseconds") -> str:
    """An instant as events have it."""
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def shown(moment: datetime | None) -> str | None:
    """The same, where there may be none."""
    return iso(moment) if moment else None
