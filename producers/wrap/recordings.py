"""Recorded terminals to be replayed: asciicasts, logs of `script`, and any other file as what a terminal got.

Each is accounted for: what is in it is a frame, part of the session's metadata, or a word.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from producers.account import Part, Word
from producers.recognised import known
from producers.wrap import casts, typescripts
from producers.wrap.frames import Frame, Kind
from producers.wrap.recorded import CHUNK_BYTES, MAX_HEADER_BYTES, Head, UnreadableRecording, plain

COLUMNS, ROWS = 80, 24  # of a log that says nothing of its window
DAY_MS = 86_400_000
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # the day that a log without a time is put on


@dataclass(frozen=True)
class Recording:
    """A recorded log: the key and the start that its bytes make, its window, its metadata and its frames.

    `words` is whole when the frames have been read.
    """

    key: bytes
    started: datetime
    columns: int
    rows: int
    metadata: dict[str, Any]
    frames: Iterator[Frame]
    words: list[Word]


def recording(path: Path, start: datetime | None = None) -> Recording:
    """An asciinema cast, a log of `script`, or any other file as the bytes that a terminal got.

    `start` stands for a time that is not there or not understood. Raises OSError when it cannot be opened;
    UnreadableRecording for a file of another kind, or whose time cannot be read. A cast's frames raise
    UnreadableRecording at a line that is none, with its number: what came before it has been given.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        first = file.readline(MAX_HEADER_BYTES)
        digest.update(first)
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    key, words = digest.digest(), list[Word]()
    part = Part("the header", words)
    head = _head(path, first, part, start)
    made = EPOCH + timedelta(milliseconds=int.from_bytes(key[-8:]) % DAY_MS)
    return Recording(
        key,
        head.started or start or made,
        head.columns or COLUMNS,
        head.rows or ROWS,
        head.metadata | part.beside(),
        head.frames(),
        words,
    )


def _head(path: Path, first: bytes, part: Part, start: datetime | None) -> Head:
    head = casts.head(path, first, part, start) or typescripts.head(path, first, part, start)
    if head is not None:
        return head
    with path.open("rb") as file:
        other = known(file.read(CHUNK_BYTES))
    if other and other.kind == "asciicast":
        raise UnreadableRecording(f"{path} looks like an asciicast, but its header is not JSON that can be read")
    if other:
        raise UnreadableRecording(f"{path} is not a recording of a terminal: it is {other.what}; {other.remedy}")
    return Head(lambda: _whole(path))


def _whole(path: Path) -> Iterator[Frame]:
    """A file that says nothing of itself: all of it is output, and nobody knows how its program ended."""
    yield from plain(path, 0, None)
    yield Frame(0, Kind.ENDED, b"")
