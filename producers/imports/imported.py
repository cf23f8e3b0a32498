"""What an importer gives: the events of a file, and what of it could not be read. Shared by every kind."""

import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, BinaryIO, NamedTuple

from producers.event_lines import MAX_LINE_BYTES, lines_of
from producers.storable import INT64, clean
from producers.swe_agent_file import COST_EXPONENTS, MAX_COST_USD
from producers.timeline import Timeline

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # the day of what has no date
DAY_MS = 86_400_000
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # beyond what workers take; milliseconds may still be added
MAX_JSON_BYTES = 256 * 1024  # of a member that is kept as JSON
MAX_TEXT_BYTES = 128 * 1024
MAX_NAME, MAX_LABEL, MAX_MODEL, MAX_ID = 255, 50, 100, 256  # characters, as the contracts have them


class Unreadable(Exception):
    """Nothing of a file can be imported; the message names it, what is wrong, and what to do."""


class Refused(NamedTuple):
    """One item of a file that was left out, by what names it there, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Origin:
    """Whose the events are. `start`: when what has no date of its own began; else a time made of the content."""

    tenant: str
    source: str
    start: datetime | None = None


@dataclass
class Imported:
    """The events of a file, in order, and its items that were refused."""

    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


class Named(dict[str, Any]):
    """An event, and what names its place in the file."""

    def __init__(self, event: dict[str, Any], item: str) -> None:
        super().__init__(event)
        self.item = item


Item = dict[str, Any] | Refused
"""An event of a file, or what of it was refused."""

Importer = Callable[[BinaryIO, str, Origin], Iterator[Item]]
"""A file at its beginning, its name for messages, origin; the items in order. Raises Unreadable."""


def of_whole(events: Callable[[bytes, str, Origin], Imported]) -> Importer:
    """An importer for files of which nothing is known before their end."""

    def read(file: BinaryIO, name: str, origin: Origin) -> Iterator[Item]:
        found = events(file.read(), name, origin)
        yield from found.refused
        yield from found.events

    return read


_read_json = json.JSONDecoder(parse_float=Decimal).decode


class Line(NamedTuple):
    """A line of JSON, counted from 1."""

    number: int
    raw: bytes
    members: Any


def json_lines(file: BinaryIO) -> Iterator[Line | Refused]:
    """The lines that are not blank, numbers as Decimal where they are no integers. One in memory at a time."""
    number = 0
    for ended in lines_of(file):
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
                yield Refused(f"line {number}", "it is no UTF-8")
            except (ArithmeticError, ValueError, RecursionError):
                yield Refused(f"line {number}", "it is no JSON")


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
        raise Unreadable(f"{name} is no UTF-8 at byte {error.start}; {what} is JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"{name} is no JSON ({error.msg} at line {error.lineno}); {what} is") from None
    except (ArithmeticError, ValueError, RecursionError) as error:
        raise Unreadable(f"{name} is no JSON that can be read ({type(error).__name__}); {what} is") from None


def text(value: object, most: int) -> str | None:
    """A text that is not empty, clean and cut; None for anything else."""
    return clean(value)[:most] if isinstance(value, str) and value.strip() else None


def count(value: object) -> int | None:
    """A whole number of at least 0 that a bigint holds."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal | float) and math.isfinite(value) and value == int(value):
        value = int(value)
    return value if isinstance(value, int) and value >= 0 and value in INT64 else None


def milliseconds(seconds: object) -> int | None:
    """Seconds, as a number or a text with thousands' commas, in whole milliseconds."""
    try:
        passed = float(str(seconds).replace(",", "")) * 1000
    except ValueError:
        return None
    return round(passed) if 0 <= passed < 1e13 else None  # noqa: PLR2004 - 317 years; also false for NaN


def money(value: object) -> str | None:
    """A cost of at least 0, as decimal text."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    cost = value if isinstance(value, Decimal) else Decimal(str(value))
    is_cost = cost.is_finite() and 0 <= cost < MAX_COST_USD and cost.as_tuple().exponent in COST_EXPONENTS
    return format(cost, "f") if is_cost else None


def instant(value: object) -> datetime | None:
    """A time of ISO 8601, or seconds or milliseconds since 1970; without an offset it is taken for UTC."""
    try:
        if isinstance(value, str) and value:
            found = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            number = float(value)
            found = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)  # noqa: PLR2004 - 1973 in ms
        else:
            return None
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return min(found.astimezone(UTC), LATEST)
    except (ValueError, OverflowError, OSError):
        return None


def iso(moment: datetime, timespec: str = "milliseconds") -> str:
    """An instant as events have it."""
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def shown(moment: datetime | None) -> str | None:
    """The same, where there may be none."""
    return iso(moment) if moment else None
