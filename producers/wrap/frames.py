"""What a terminal did, as frames in the order of time; and the recordings that they can be read from."""

import enum
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

CHUNK_BYTES = 65_536  # of a plain log that are one frame
MAX_CAST_LINE_BYTES = 16 * 1024 * 1024
CAST_VERSIONS = (2, 3)
COLUMNS, ROWS = 80, 24  # of a log that says nothing of its window
DAY_MS = 86_400_000
MAX_START_SECONDS = 32_503_680_000  # of a cast's time, the year 3000: a later one, or one before 1970, is none
MAX_LENGTH_US = 100 * 366 * DAY_MS * 1_000
_WINDOW = re.compile(r"[0-9]{1,4}x[0-9]{1,4}")
_EXIT_CODE = re.compile(r"-?[0-9]{1,9}")
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # the day that a log without a time is put on


class UnreadableRecording(Exception):
    """A file that cannot be replayed; the message says why."""


class Kind(enum.IntEnum):
    """What a frame says."""

    OUTPUT = 1  # the bytes that the program printed
    RESIZE = 2  # the window's new size, b"columns rows"
    ENDED = 3  # how the program ended, b"exit code"; 128 and the signal's number when one ended it
    CUT = 4  # why no output after it is kept


class Frame(NamedTuple):
    """One moment: microseconds since the session began."""

    at_us: int
    kind: Kind
    data: bytes


@dataclass(frozen=True)
class About:
    """What is known of a session before its first output. `key` makes its ids: the same key, the same events."""

    key: bytes
    agent: str
    tenant: str
    source: str
    started: datetime
    columns: int
    rows: int
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """A recorded log: the key and the start that its bytes make, its window, and its frames."""

    key: bytes
    started: datetime
    columns: int
    rows: int
    title: str | None
    frames: Iterator[Frame]


def recording(path: Path) -> Recording:
    """An asciinema cast (version 2 or 3), or any other file as the bytes that a terminal got. Raises as below.

    OSError when it cannot be opened; UnreadableRecording for a cast of another version. A cast's frames raise
    UnreadableRecording at a line that is none, with its number: what came before it has been given.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        first = file.readline(MAX_CAST_LINE_BYTES)
        digest.update(first)
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    key = digest.digest()
    start = EPOCH + timedelta(milliseconds=int.from_bytes(key[-8:]) % DAY_MS)
    header = _header(first, path)
    if header is None:
        return Recording(key, start, COLUMNS, ROWS, None, _plain(path))
    window = header.get("term") if header["version"] == 3 else header  # noqa: PLR2004 - asciicast's versions
    timestamp = header.get("timestamp")
    if isinstance(timestamp, int) and 0 <= timestamp < MAX_START_SECONDS:
        start = datetime.fromtimestamp(timestamp, UTC)
    columns, rows = (
        _size(window, name) for name in (("cols", "rows") if window is not header else ("width", "height"))
    )
    title = header.get("title") if isinstance(header.get("title"), str) else None
    return Recording(key, start, columns or COLUMNS, rows or ROWS, title, _cast(path, header["version"]))


def _header(line: bytes, path: Path) -> dict[str, Any] | None:
    """The header of a cast; None for any other file."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(header.get("version"), int):
        return None
    if "width" not in header and "term" not in header:
        return None
    if header["version"] not in CAST_VERSIONS:
        raise UnreadableRecording(f"{path} is an asciicast of version {header['version']}; 2 and 3 can be replayed")
    return header


def _size(window: Any, name: str) -> int | None:
    size = window.get(name) if isinstance(window, dict) else None
    return size if isinstance(size, int) and size > 0 else None


def _plain(path: Path) -> Iterator[Frame]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield Frame(0, Kind.OUTPUT, chunk)


def _cast(path: Path, version: int) -> Iterator[Frame]:
    with path.open("rb") as file:
        file.readline(MAX_CAST_LINE_BYTES)
        at_us = 0
        for number, line in enumerate(_lines(file), 2):
            if not line.strip() or line.startswith(b"#"):
                continue
            try:
                time, code, data = json.loads(line)
                passed_us = int(float(time) * 1_000_000)
                text = str(data)
            except (ValueError, TypeError, OverflowError, RecursionError):
                raise UnreadableRecording(
                    f"{path}, line {number}: no event of an asciicast: [time, code, data]"
                ) from None
            at_us = max(at_us + passed_us if version == 3 else passed_us, at_us)  # noqa: PLR2004 - 3 has intervals
            if at_us > MAX_LENGTH_US:
                raise UnreadableRecording(f"{path}, line {number}: {time} s are more than a hundred years")
            match code:
                case "o":
                    yield Frame(at_us, Kind.OUTPUT, text.encode(errors="replace"))
                case "r" if _WINDOW.fullmatch(text):
                    yield Frame(at_us, Kind.RESIZE, text.replace("x", " ").encode())
                case "x" if _EXIT_CODE.fullmatch(text):
                    yield Frame(at_us, Kind.ENDED, text.encode())


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_CAST_LINE_BYTES):
        yield line
