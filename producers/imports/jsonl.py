"""Any JSON lines, by a mapping that says which events a line makes (producers/imports/mapping.py)."""

import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, BinaryIO

from producers.account import Refused, Remark, Tally
from producers.imports.imported import (
    DAY_MS,
    EPOCH,
    Importer,
    Item,
    Line,
    Named,
    Origin,
    Unreadable,
    iso,
    json_lines,
)
from producers.imports.mapping import Mapping, Reader, Rule
from producers.storable import clean, storable
from producers.values import NotUnderstood, instant

KIND = "jsonl"
READ_BYTES = 1024 * 1024
MILLISECOND = len("2026-01-31T12:00:00.123")  # of a time, what makes an identity
_NAMESPACE = uuid.UUID("5d1f8a53-5f0b-4c39-9a3e-0f6c5a7c7b0e")


def importer(mapped: Mapping) -> Importer:
    """What reads files by a mapping."""

    def read(file: BinaryIO, name: str, origin: Origin) -> Iterator[Item]:
        """The events of each line; one that is not JSON, or that no rule takes, is refused.

        Lines that are alike are told apart by how many came before, which stays when the file grows.
        """
        start, line = origin.start or _start(file), None
        seen, skipped, use = Counter[bytes](), Tally(), [_Use(rule) for rule in mapped.rules]
        for line in json_lines(file):
            if isinstance(line, Refused):
                yield line
                continue
            if skip := next((skip for skip in mapped.skips if skip.takes(line.members)), None):
                skipped.add(f"lines with {skip.said}")
                continue
            digest = sha256(line.raw.strip()).digest()
            seen[digest[:16]] += 1
            identity = digest.hex() if (nth := seen[digest[:16]]) == 1 else f"{digest.hex()}:{nth}"
            try:
                made = _distinct(_events(line, identity, use, origin, start))
                yield from (Named(event, f"line {line.number}") for event in made)
            except _LineRefused as refused:
                yield Refused(f"line {line.number}", str(refused))
        if line is None:
            raise Unreadable(f"{name} holds no lines")
        yield from skipped.words()
        for place, used in enumerate(use, 1):
            yield from used.words(f"the mapping's event {place}")

    return read


class _Use:
    """A rule, how many lines it took, and which of its paths none of them had: mostly a name that is misspelt."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.lines = 0
        self.missing: dict[str, Reader] = dict(rule.paths)

    def takes(self, members: Any) -> bool:
        if not self.rule.when.takes(members):
            return False
        self.lines += 1
        if self.missing:
            self.missing = {path: read for path, read in self.missing.items() if read(members) is None}
        return True

    def words(self, item: str) -> Iterator[Remark]:
        for path in self.missing if self.lines else ():
            yield Remark(item, "member", path, f"is in none of the {self.lines} lines that it is for")


def _start(file: BinaryIO) -> datetime:
    """When the lines of a file that has no times began: on EPOCH's day, at a time made of the whole content.

    Not of a part: two logs may begin alike, and their lines would be taken for the same events.
    """
    digest = sha256()
    while part := file.read(READ_BYTES):
        digest.update(part)
    file.seek(0)
    return EPOCH + timedelta(milliseconds=int.from_bytes(digest.digest()[-8:]) % DAY_MS)


class _LineRefused(Exception):
    """Why no event is made of a line."""


def _events(line: Line, identity: str, use: list[_Use], origin: Origin, start: datetime) -> list[dict[str, Any]]:
    taking = [(place, used.rule) for place, used in enumerate(use) if used.takes(line.members)]
    if not taking:
        raise _LineRefused("no event of the mapping is for it")
    return [_event(line, f"{place}:{identity}", rule, origin, start) for place, rule in taking]


def _event(line: Line, own: str, rule: Rule, origin: Origin, start: datetime) -> dict[str, Any]:
    given, subject = rule.id(line.members), rule.subject(line.members)
    data = {name: value for name, read in rule.data.items() if (value := read(line.members)) is not None}
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid5(_NAMESPACE, own)) if given is None else clean(str(given)),
        "source": origin.source,
        "type": rule.type,
        "time": _time(line, rule, start),
        "subject": "" if subject is None else clean(str(subject)),
        "tenantid": origin.tenant,
        "datacontenttype": "application/json",
        "data": storable(data, sys.maxsize, max_text_bytes=sys.maxsize),  # what is too large is refused, not cut
    }


def _time(line: Line, rule: Rule, start: datetime) -> str:
    """What the line says; without a word of it, the start and the line's number in milliseconds."""
    said = rule.time(line.members)
    if said is None:
        return iso(start + timedelta(milliseconds=line.number))
    try:
        return iso(instant(said), "microseconds")
    except NotUnderstood as error:
        raise _LineRefused(f"its time {clean(str(said))[:50]!r} is {error}") from None


def _distinct(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of one line: of those with the same id and millisecond the second gets `#2`, the third `#3`."""
    seen = Counter[tuple[str, str]]()
    for event in events:
        identity = event["id"], event["time"][:MILLISECOND]
        seen[identity] += 1
        if seen[identity] > 1:
            event["id"] += f"#{seen[identity]}"
    return events
