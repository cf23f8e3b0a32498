"""`siltstone import`, behind its options: a file's events checked, published, read again where they were stored.

A file is put away only after everything in it was found again, with the sums of its numbers.
"""

import asyncio
import json
import os
import shutil
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from contracts.decode import decode
from contracts.event import Event
from contracts.fields import Data, kinds_of
from contracts.refusal import Refusal
from contracts.window import TimeWindow
from persistence.database import Database
from persistence.logs import LOG_BY_NAME
from persistence.reads import as_tenant, sums_of
from producers.account import Differs, LeftOut, Refused, Remark, Word
from producers.event_lines import Defaults, Outgoing, record_of
from producers.imports.imported import Importer, Named, Origin, Unreadable
from workers.decoding import defect

NUMBERS = ("integer", "bigint", "numeric")  # kinds of columns that are summed
UIDS_AT_ONCE = 5_000
LOOK_SECONDS = 0.5


@dataclass
class Expected:
    """What a log must hold of a file: the keys of the rows, each with a hash of its event; a numeric column's sum."""

    contents: dict[bytes, int] = field(default_factory=dict)
    sums: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    @property
    def rows(self) -> int:
        return len(self.contents)

    def add(self, event: Event, content: int) -> None:
        """Of an event that is not in it."""
        self.contents[event.uid] = content
        for name in _numbers(type(event.data)):
            if isinstance(value := getattr(event.data, name), int | Decimal):
                self.sums[name] += value

    def parts(self) -> Iterator[list[bytes]]:
        """The keys, UIDS_AT_ONCE at a time."""
        keys = iter(self.contents)
        while part := list(islice(keys, UIDS_AT_ONCE)):
            yield part


@cache
def _numbers(data: type[Data]) -> list[str]:
    return [name for name, kind in kinds_of(data).items() if kind in NUMBERS]


@dataclass
class File:
    """One file: its events by type, what was said of the rest of it, and what the logs must hold."""

    path: Path
    folder: Path = Path()
    """Where it lies below the folder that was given."""
    kinds: Counter[str] = field(default_factory=Counter)
    said: Counter[type[Word]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """How many parts of each kind no event was made of."""
    check_counts: bool = True
    """Whether it is not whole when it states other numbers than were found in it."""
    expected: dict[str, Expected] = field(default_factory=lambda: defaultdict(Expected))
    trouble: list[str] = field(default_factory=list)
    """Why it cannot be put away, beside what was refused."""
    was: os.stat_result | None = None
    """What the file was when it was opened."""

    @property
    def is_accounted_for(self) -> bool:
        """Whether every part of it is stored, or left out as a part of its kind is."""
        return not (self.said[Refused] or (self.check_counts and self.said[Differs]))

    @property
    def is_whole(self) -> bool:
        return self.is_accounted_for and not self.trouble


class NotRead(Exception):
    """A file of which nothing more is imported; the message says why."""


def read(file: File, importer: Importer, origin: Origin, window: TimeWindow, prefix: str) -> Iterator[Outgoing | Word]:
    """A file's records and what is said of the rest, as they are read; `file` counts both. Raises NotRead.

    What is left out is counted alone, and not given.
    """
    defaults = Defaults(topic_prefix=prefix)
    now_ms = int(time.time() * 1000)
    try:
        with file.path.open("rb") as plain:
            file.was = os.fstat(plain.fileno())
            opened = plain if plain.seekable() else BytesIO(plain.read())  # it may be read twice
            for item in importer(opened, str(file.path), origin):
                taken = _record(item, file, defaults, window, now_ms) if isinstance(item, dict) else item
                if isinstance(taken, LeftOut):
                    file.left_out[taken.kind] += taken.number
                    continue
                if isinstance(taken, Refused | Remark | Differs):
                    file.said[type(taken)] += 1
                if taken is not None:
                    yield taken
    except OSError as error:
        raise NotRead(f"{file.path} cannot be read: {error.strerror}") from None
    except Unreadable as error:
        raise NotRead(str(error)) from None
    except Exception as error:
        left = "the rest" if file.kinds else "all"
        raise NotRead(
            f"{file.path}: the importer fails on it, {left} of it is left out: {defect(error).message}"
        ) from error


def _number(value: object) -> Any:
    """Decimal numbers as JSON has them, with their digits."""
    if isinstance(value, Decimal):
        return float(value) if value == Decimal(str(float(value))) else str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


_encode = json.JSONEncoder(ensure_ascii=False, default=_number).encode


def _record(
    made: dict[str, Any], file: File, defaults: Defaults, window: TimeWindow, now_ms: int
) -> Outgoing | Refused | None:
    """None for what the file holds already, to the byte."""
    item = made.item if isinstance(made, Named) else f"{made['type']} {made['id']}"
    value = _encode(made).encode(errors="surrogatepass")
    try:
        record = record_of(value, defaults, window, check=False)
        event = decode(record.value, record.key, record.headers, now_ms, window)
    except Refusal as refusal:
        return Refused(item, f"{refusal.reason.value}: {refusal.message}")
    expected, content = file.expected[event.type.log], hash(record.value)
    if (known := expected.contents.get(event.uid)) is None:
        file.kinds[event.type_name] += 1
        expected.add(event, content)
        return record
    return None if known == content else Refused(item, "another event of the file has its id and time")


@dataclass
class _Part:
    """What one log must hold of a file, and how many of the rows were there when it was last looked at."""

    file: File
    log: str
    expected: Expected
    rows: int = 0


async def verify(
    database: Database, tenant: str, files: Sequence[File], seconds: float, advance: Callable[[], None]
) -> None:
    """Read again what the workers stored, until it is all there or no row of any file came for `seconds`.

    What is missing, or sums up to something else, is in the file's `trouble`. `advance` is called for each file that
    is all there. `database` is opened as the reader.
    """
    waiting = [_Part(file, name, expected) for file in files for name, expected in file.expected.items()]
    deadline = time.monotonic() + seconds
    while True:
        looked, waiting = waiting, []
        for part in looked:
            rows, sums = await _stored(database, tenant, part.log, part.expected)
            if rows > part.rows:
                part.rows, deadline = rows, time.monotonic() + seconds
            if rows < part.expected.rows:
                waiting.append(part)
                continue
            part.file.trouble += _differing(part, sums)
        late = {id(part.file) for part in waiting}
        for _ in {id(part.file) for part in looked} - late:
            advance()
        if not waiting or time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_SECONDS)
    for part in waiting:
        part.file.trouble.append(f"{part.log}: {part.rows} of {part.expected.rows} events are stored")


def _differing(part: _Part, sums: dict[str, Decimal]) -> Iterator[str]:
    for column, wanted in part.expected.sums.items():
        if sums[column] != wanted:
            yield f"{part.log}: {column} sums up to {sums[column]}, and to {wanted} in the file"


async def _stored(database: Database, tenant: str, name: str, expected: Expected) -> tuple[int, dict[str, Decimal]]:
    rows, sums = 0, defaultdict[str, Decimal](Decimal)
    for part in expected.parts():
        async with as_tenant(database, tenant) as connection:
            some, of_some = await sums_of(connection, LOG_BY_NAME[name], part, list(expected.sums))
        rows += some
        for column, value in of_some.items():
            sums[column] += value
    return rows, sums


class Kept(Exception):
    """A file that is not moved; the message says why."""


def put_away(file: File, folder: Path) -> Path:
    """Move a file into a folder, where it lay in its own, beside what is there; the place. Raises OSError and Kept."""
    now = file.path.lstat()
    if not stat.S_ISREG(now.st_mode):
        raise Kept("it is a link or a pipe, not a file of its own")
    if file.was is None or _version(now) != _version(file.was):
        raise Kept("it was changed after it was read; import it again")
    folder /= file.folder
    folder.mkdir(parents=True, exist_ok=True)
    for target in _names(folder, file.path):
        try:
            target.open("xb").close()  # another import may look for a name at the same moment
        except FileExistsError:
            continue
        try:
            return Path(shutil.move(file.path, target))
        except OSError:
            target.unlink()
            raise
    raise AssertionError("there is always another name")


def _version(was: os.stat_result) -> tuple[int, int, int, int]:
    return was.st_dev, was.st_ino, was.st_size, was.st_mtime_ns


def _names(folder: Path, path: Path) -> Iterator[Path]:
    yield folder / path.name
    number = 1
    while True:
        yield folder / f"{path.stem}-{number}{path.suffix}"
        number += 1
