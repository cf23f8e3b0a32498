"""`siltstone import`, behind its options: a file's events checked, published, read again where they were stored.

A file is put away only after everything in it was found again, with the sums of its numbers.
"""

import asyncio
import json
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from contracts.decode import decode
from contracts.event import Event
from contracts.fields import kinds_of
from contracts.refusal import Refusal
from contracts.window import TimeWindow
from persistence.database import Database
from persistence.logs import LOG_BY_NAME
from persistence.reads import as_tenant, sums_of
from producers.event_lines import Defaults, Outgoing, record_of
from producers.imports.imported import Importer, Origin, Refused, Unreadable

NUMBERS = ("integer", "bigint", "numeric")  # kinds of columns that are summed
UIDS_AT_ONCE = 5_000
LOOK_SECONDS = 0.5


@dataclass
class Expected:
    """What a log must hold of a file: the keys of the rows, and the sum of each column of numbers."""

    uids: list[bytes] = field(default_factory=list)
    sums: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, event: Event) -> None:
        self.uids.append(event.uid)
        for name, kind in kinds_of(type(event.data)).items():
            if kind in NUMBERS and isinstance(value := getattr(event.data, name), int | Decimal):
                self.sums[name] += value


@dataclass
class File:
    """One file: its events by type, what of it was refused, and what the logs must hold."""

    path: Path
    kinds: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    expected: dict[str, Expected] = field(default_factory=lambda: defaultdict(Expected))
    trouble: list[str] = field(default_factory=list)
    """Why it cannot be put away, beside what was refused."""

    @property
    def is_whole(self) -> bool:
        return not (self.refused or self.trouble)


class NotRead(Exception):
    """A file that nothing was imported of; the message says why."""


def read(
    path: Path, importer: Importer, origin: Origin, window: TimeWindow, prefix: str
) -> tuple[File, list[Outgoing]]:
    """A file's records, and what is known of it. Raises NotRead."""
    try:
        imported = importer(path.read_bytes(), str(path), origin)
    except OSError as error:
        raise NotRead(f"{path} cannot be read: {error.strerror}") from None
    except Unreadable as error:
        raise NotRead(str(error)) from None
    file, records = File(path, refused=imported.refused), []
    defaults = Defaults(topic_prefix=prefix)
    now_ms = int(time.time() * 1000)
    for made in imported.events:
        value = json.dumps(made, ensure_ascii=False, default=_number).encode()
        try:
            record = record_of(value, defaults, window, check=False)
            event = decode(record.value, record.key, record.headers, now_ms, window)
        except Refusal as refusal:
            file.refused.append(Refused(f"{made['type']} {made['id']}", f"{refusal.reason.value}: {refusal.message}"))
            continue
        file.kinds[event.type_name] += 1
        file.expected[event.type.log].add(event)
        records.append(record)
    return file, records


def _number(value: object) -> Any:
    """Decimal numbers as JSON has them, with their digits."""
    if isinstance(value, Decimal):
        return float(value) if value == Decimal(str(float(value))) else str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


async def verify(
    database: Database, tenant: str, files: Iterable[File], seconds: float, advance: Callable[[], None]
) -> None:
    """Read again what the workers stored of each file, until it is all there or nothing new came for `seconds`.

    What is missing, or sums up to something else, is in the file's `trouble`. `database` is opened as the reader.
    """
    for file in files:
        file.trouble += [said async for said in _missing(database, tenant, file, seconds)]
        advance()


async def _missing(database: Database, tenant: str, file: File, seconds: float) -> Any:
    for name, expected in file.expected.items():
        deadline, last = time.monotonic() + seconds, -1
        while True:
            rows, sums = await _stored(database, tenant, name, expected)
            if rows != last:
                last, deadline = rows, time.monotonic() + seconds
            if rows >= len(expected.uids) or time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_SECONDS)
        if rows != len(expected.uids):
            yield f"{name}: {rows} of {len(expected.uids)} events are stored"
            continue
        for column, wanted in expected.sums.items():
            if sums[column] != wanted:
                yield f"{name}: {column} sums up to {sums[column]}, and to {wanted} in the file"


async def _stored(database: Database, tenant: str, name: str, expected: Expected) -> tuple[int, dict[str, Decimal]]:
    rows, sums = 0, defaultdict[str, Decimal](Decimal)
    for at in range(0, len(expected.uids), UIDS_AT_ONCE):
        async with as_tenant(database, tenant) as connection:
            part = expected.uids[at : at + UIDS_AT_ONCE]
            some, of_some = await sums_of(connection, LOG_BY_NAME[name], part, list(expected.sums))
        rows += some
        for column, value in of_some.items():
            sums[column] += value
    return rows, sums


def put_away(file: File, folder: Path) -> Path:
    """Move a file into a folder, beside what is there; where it went. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for target in _names(folder, file.path):
        if not target.exists():
            return Path(shutil.move(file.path, target))
    raise AssertionError("there is always another name")


def _names(folder: Path, path: Path) -> Iterator[Path]:
    yield folder / path.name
    number = 1
    while True:
        yield folder / f"{path.stem}-{number}{path.suffix}"
        number += 1
