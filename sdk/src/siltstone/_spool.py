"""Events that could not be sent, on disk, in order: SQLite, which a crash of the program leaves whole."""

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

FILE, LOCK = "events.sqlite3", "events.lock"
BUSY_SECONDS = 10
TABLE = """
CREATE TABLE IF NOT EXISTS event (
  number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL
) STRICT
"""

whole = threading.RLock()
"""Held while libraries hold locks of their own: a child that is forked then would find them taken, for ever."""


class Record(NamedTuple):
    """What is published: the value is a whole CloudEvent."""

    topic: str
    key: bytes
    value: bytes


class SpoolFull(Exception):
    """The spool has as many bytes as it may."""


class Spool:
    """One folder's spool, shared by every process that has it; used by one thread. Raises sqlite3.Error, OSError."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._max_bytes = max_bytes
        os.close(os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600))
        with whole:
            self._connection = sqlite3.connect(folder / FILE, timeout=BUSY_SECONDS, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")  # a power failure may take the last, no crash does
            self._connection.execute(TABLE)
        self._lock: IO[bytes] | None = None

    def put(self, records: Iterable[Record]) -> None:
        """Keep records behind those that are there. Raises SpoolFull, and keeps none of them then."""
        kept = list(records)
        with whole, self._transaction():
            if self.bytes() + sum(len(record.value) + len(record.key) for record in kept) > self._max_bytes:
                raise SpoolFull
            self._connection.executemany("INSERT INTO event (topic, key, value) VALUES (?, ?, ?)", kept)

    def first(self, count: int) -> list[tuple[int, Record]]:
        """The first records, with their numbers."""
        with whole:
            rows = self._connection.execute("SELECT * FROM event ORDER BY number LIMIT ?", (count,)).fetchall()
        return [(number, Record(topic, key, value)) for number, topic, key, value in rows]

    def remove(self, numbers: Sequence[int]) -> None:
        """These were acknowledged."""
        with whole, self._transaction():
            self._connection.executemany("DELETE FROM event WHERE number = ?", [(number,) for number in numbers])

    def is_empty(self) -> bool:
        """Whether it holds none."""
        with whole:
            return self._connection.execute("SELECT 1 FROM event LIMIT 1").fetchone() is None

    def count(self) -> int:
        """How many records it holds."""
        found: int = self._connection.execute("SELECT count(*) FROM event").fetchone()[0]
        return found

    def bytes(self) -> int:
        """The size of its pages that are in use."""
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        used: int = (pages - free) * size
        return used

    def may_send(self) -> bool:
        """Whether this process is the one that sends from it: one at a time, so that the order stays."""
        if self._lock is None:
            lock = (self.folder / LOCK).open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True

    def let_others_send(self) -> None:
        """What they put is theirs to send, while this process has nothing there."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def close(self) -> None:
        """Let go of everything."""
        self.let_others_send()
        with whole:
            self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except (sqlite3.Error, SpoolFull):
            if self._connection.in_transaction:  # else the next one could not begin
                self._connection.execute("ROLLBACK")
            raise
