"""A session on disk, from its first output until all its events are sent: written by the wrapper, read behind it.

What an agent prints is here before it is on the terminal, so a wrapper that is killed loses only what the agent had
not printed. A folder a session: `about.json`, `frames` (appended, and locked by the wrapper while it lives), and
`reader` (locked by the one that sends). Readable by its owner alone: output is kept as it came.
"""

import fcntl
import json
import os
import struct
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import FileIO
from pathlib import Path
from shutil import rmtree
from typing import Any, Self

from producers.wrap.frames import About, Frame, Kind

_HEAD = struct.Struct(">QBI")  # microseconds, kind, length
ABOUT, FRAMES, READER = "about.json", "frames", "reader"


@dataclass(frozen=True)
class Saved:
    """What about.json holds. `secrets` are the names of the variables whose values are masked, and a digest of these:
    with other values the output must not be sent, and without any it cannot be masked.
    """

    id: str
    agent: str
    tenant: str
    source: str
    started: str
    columns: int
    rows: int
    metadata: dict[str, Any]
    mask: bool
    patterns: str | None  # the text of the file that was given; None for the default
    secrets: dict[str, str]
    brokers: str = ""  # that were set when it was recorded

    def about(self) -> About:
        """The same, as a session takes it."""
        key, started = sha256(self.id.encode()).digest(), datetime.fromisoformat(self.started)
        return About(key, self.agent, self.tenant, self.source, started, self.columns, self.rows, self.metadata)


def fingerprints(environment: Mapping[str, str], names: Iterator[str] | list[str], salt: str) -> dict[str, str]:
    """Of each variable a salted digest of its value, by which it is known again."""
    return {
        name: sha256(f"{salt}:{environment.get(name, '')}".encode(errors="replace")).hexdigest()[:16] for name in names
    }


def begin(folder: Path, saved: Saved) -> FileIO:
    """Make a session's folder; its file of frames, locked. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True)
    file = _private(folder / FRAMES)
    fcntl.flock(file, fcntl.LOCK_EX)
    with _private(folder / ABOUT) as about:  # last: a folder with it is one whose writer has its lock, or is gone
        _write(about, json.dumps(asdict(saved)).encode())
    return file


class Journal:
    """The writing end. After an error of the disk, or beyond `max_bytes`, nothing more is kept; `trouble` says why."""

    def __init__(self, file: FileIO, max_bytes: int) -> None:
        self.trouble: str | None = None
        self._file = file
        self._left = max_bytes
        self._size = 0  # of the file, whole frames alone

    def add(self, frame: Frame) -> None:
        """Keep a frame; it is there for whoever reads, and after this process was killed.

        That no more is kept, and how the program ended, are tried in any case: they are small.
        """
        is_last_word = frame.kind in (Kind.CUT, Kind.ENDED)
        if self.trouble and not is_last_word:
            return
        record = _HEAD.pack(frame.at_us, frame.kind, len(frame.data)) + frame.data
        if len(record) > self._left and not is_last_word:
            self.trouble = "the session's output is above the limit of its journal"
            return
        try:
            _write(self._file, record)
        except OSError as error:
            self.trouble = f"its journal cannot be written: {error.strerror}"
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)  # no half frame
            return
        self._size += len(record)
        self._left -= len(record)

    def close(self) -> None:
        """Let go of the lock: what is not there now never will be."""
        self._file.close()


class Reader:
    """The reading end; one a folder at a time. Raises BlockingIOError when another reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = _private(folder / READER)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.saved = saved_in(folder)
        self._file = (folder / FRAMES).open("rb")
        self._place = 0  # behind the last frame that was given
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.close()

    def frames(self) -> Iterator[Frame]:
        """Those that have come since the last one; a frame that is not whole yet is left for the next call.

        Whoever stops in the middle goes on there.
        """
        closed = self.writer_is_gone()  # before reading: what is not there afterwards never will be
        while True:
            self._file.seek(self._place)
            head = self._file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                break
            at_us, kind, length = _HEAD.unpack(head)
            data = self._file.read(length)
            if len(data) < length:
                break
            self._place += _HEAD.size + length
            yield Frame(at_us, Kind(kind), data)
        self._is_closed = closed

    def bytes_ahead(self) -> int:
        """How much there is that frames() has not given."""
        return os.fstat(self._file.fileno()).st_size - self._place

    @property
    def is_closed(self) -> bool:
        """Whether frames() has given the last there will be."""
        return self._is_closed

    def remove(self) -> None:
        """All of it was sent."""
        rmtree(self.folder, ignore_errors=True)

    def writer_is_gone(self) -> bool:
        """Whether the wrapper has ended, or was killed."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return True


def saved_in(folder: Path) -> Saved:
    """What a folder's about.json says. Raises OSError, and ValueError or TypeError for what is none."""
    return Saved(**json.loads((folder / ABOUT).read_bytes()))


def new_id() -> str:
    """Of a session: sorts by the time of its start."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"


def _private(path: Path) -> FileIO:
    """A file for its owner alone, unbuffered: what is written is the system's at once."""
    return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")


def _write(file: FileIO, data: bytes) -> None:
    """All of it: a disk that is nearly full takes a part, and has no room for the next."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
