"""What every kind of recording has: how it begins, when that was, and its bytes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from producers.account import Part, Unplaced
from producers.values import NotUnderstood, count, instant
from producers.wrap.frames import Frame, Kind

CHUNK_BYTES = 65_536  # of a plain log that are one frame
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_SIDE = 10_000  # columns or rows of a window
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)

Frames = Callable[[], Iterator[Frame]]


class UnreadableRecording(Exception):
    """A file that cannot be replayed; the message says why, and what to do."""


@dataclass(frozen=True)
class Head:
    """What a recording says before its first output. `started` is None where it has no time."""

    frames: Frames
    started: datetime | None = None
    columns: int | None = None
    rows: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def plain(path: Path, begin: int, end: int | None) -> Iterator[Frame]:
    """The bytes of a file from one place to another, all at once: it has no times."""
    with path.open("rb") as file:
        file.seek(begin)
        left = None if end is None else end - begin
        while chunk := file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
            left = None if left is None else left - len(chunk)
            yield Frame(0, Kind.OUTPUT, chunk)


def moment(path: Path, part: Part, name: str, value: Any, start: datetime | None) -> datetime | None:
    """When a recording began; see Part.began. Raises UnreadableRecording."""
    try:
        return part.began(name, value, start, _moment)
    except Unplaced as unplaced:
        raise UnreadableRecording(f"{path}: {unplaced}") from None


def _moment(value: Any) -> datetime:
    found = instant(value)
    if EARLIEST <= found < LATEST:
        return found
    raise NotUnderstood("not between the years 1970 and 3000")


def side(value: Any) -> int:
    """How many columns or rows a window has. Raises NotUnderstood."""
    found = count(value)
    if 0 < found < MAX_SIDE:
        return found
    raise NotUnderstood("not the size of a window")


def json_of(text: bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
