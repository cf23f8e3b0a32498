"""Any JSON lines, by a mapping in YAML that says which events a line makes.

events:
  - when: {kind: error}         # members of the line that must be equal; without it: every line
    type: extraction.recorded
    subject: $session.id        # $ and names by points: a member of the line; $ alone: the whole line
    time: $at                   # ISO 8601, or seconds or milliseconds since 1970; may be left out
    id: $id                     # may be left out: then it is made of the line
    data:
      agent_name: $agent
      event_type: error         # anything else stands for itself; $$ for one $
      pattern: $rule
"""

import math
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, BinaryIO

from contracts.registry import EVENT_TYPES
from producers.imports.imported import (
    DAY_MS,
    EPOCH,
    Importer,
    Item,
    Line,
    Named,
    Origin,
    Refused,
    Unreadable,
    instant,
    iso,
    json_lines,
)
from producers.imports.yaml_text import BadYaml, load
from producers.storable import clean, storable

KIND = "jsonl"
READ_BYTES = 1024 * 1024
MILLISECOND = len("2026-01-31T12:00:00.123")  # of a time, what makes an identity
_NAMESPACE = uuid.UUID("5d1f8a53-5f0b-4c39-9a3e-0f6c5a7c7b0e")
_MEMBERS = {"when", "type", "subject", "time", "id", "data"}

Reader = Callable[[Any], Any]  # of the members of a line


class BadMapping(Exception):
    """A mapping that cannot be used; the message says what is wrong, and where."""


@dataclass(frozen=True)
class Rule:
    """One event that a line may make."""

    type: str
    when: list[tuple[Reader, Any]]
    subject: Reader
    time: Reader
    id: Reader
    data: dict[str, Reader]

    def takes(self, members: Any) -> bool:
        return all(read(members) == value for read, value in self.when)


def mapping(text: str, name: str) -> list[Rule]:
    """The rules of a mapping's text; `name` stands in messages. Raises BadMapping."""
    try:
        whole = load(text)
    except BadYaml as error:
        raise BadMapping(f"{name}: {error}") from None
    items = whole.get("events") if isinstance(whole, dict) else None
    if not isinstance(items, list) or not items:
        raise BadMapping(f"{name}: a mapping with a list `events` is expected")
    return [_rule(item, f"{name}, event {place}") for place, item in enumerate(items, 1)]


def _rule(item: Any, where: str) -> Rule:
    if not isinstance(item, dict) or not {"type", "subject", "data"} <= item.keys():
        raise BadMapping(f"{where}: it needs type, subject and data")
    if unknown := item.keys() - _MEMBERS:
        raise BadMapping(
            f"{where}: unknown: {', '.join(sorted(map(str, unknown)))}; known: {', '.join(sorted(_MEMBERS))}"
        )
    if (foreign := next(_foreign(item), None)) is not None:
        kind = type(foreign).__name__
        raise BadMapping(f"{where}: {foreign} is a {kind} to YAML, which an event cannot hold there; put it in quotes")
    kind = f"siltstone.{str(item['type']).removeprefix('siltstone.').removesuffix('.v1')}.v1"
    if kind not in EVENT_TYPES:
        raise BadMapping(f"{where}: {item['type']} is no type of event; `siltstone schemas` lists them")
    when, data = item.get("when") or {}, item["data"]
    if not isinstance(when, dict) or not isinstance(data, dict):
        raise BadMapping(f"{where}: when and data are mappings")
    return Rule(
        type=kind,
        when=[(_at(str(path)), Decimal(str(v)) if isinstance(v, float) else v) for path, v in when.items()],
        subject=_reader(item["subject"]),
        time=_reader(item.get("time")),
        id=_reader(item.get("id")),
        data={name: _reader(said) for name, said in data.items()},
    )


def _foreign(value: Any) -> Iterator[Any]:
    """What stands in a value of YAML and has no JSON: dates, names that are no text, numbers that are not finite."""
    match value:
        case dict():
            for name, member in value.items():
                yield from [] if isinstance(name, str) else [name]
                yield from _foreign(member)
        case list():
            for member in value:
                yield from _foreign(member)
        case float() if not math.isfinite(value):
            yield value
        case None | str() | int() | float():
            return
        case _:
            yield value


def importer(rules: list[Rule]) -> Importer:
    """What reads files by these rules."""

    def read(file: BinaryIO, name: str, origin: Origin) -> Iterator[Item]:
        """The events of each line; one that is no JSON, or that no rule takes, is refused.

        Lines that are alike are told apart by how many came before, which stays when the file grows.
        """
        start, line = origin.start or _start(file), None
        seen = Counter[bytes]()
        for line in json_lines(file):
            if isinstance(line, Refused):
                yield line
                continue
            digest = sha256(line.raw.strip()).digest()
            seen[digest[:16]] += 1
            identity = digest.hex() if (nth := seen[digest[:16]]) == 1 else f"{digest.hex()}:{nth}"
            try:
                made = _distinct(_events(line, identity, rules, origin, start))
                yield from (Named(event, f"line {line.number}") for event in made)
            except _LineRefused as refused:
                yield Refused(f"line {line.number}", str(refused))
        if line is None:
            raise Unreadable(f"{name} holds no lines")

    return read


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


def _events(line: Line, identity: str, rules: list[Rule], origin: Origin, start: datetime) -> list[dict[str, Any]]:
    taking = [(place, rule) for place, rule in enumerate(rules) if rule.takes(line.members)]
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
    if (moment := instant(said)) is None:
        raise _LineRefused(f"its time {clean(str(said))[:50]!r} is none of ISO 8601, and no seconds or milliseconds")
    return iso(moment, "microseconds")


def _distinct(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of one line: of those with the same id and millisecond the second gets `#2`, the third `#3`."""
    seen = Counter[tuple[str, str]]()
    for event in events:
        identity = event["id"], event["time"][:MILLISECOND]
        seen[identity] += 1
        if seen[identity] > 1:
            event["id"] += f"#{seen[identity]}"
    return events


def _reader(said: Any) -> Reader:
    """What gives a line's value for what a mapping says of one member."""
    if isinstance(said, dict):
        readers = {name: _reader(member) for name, member in said.items()}
        return lambda members: {name: read(members) for name, read in readers.items()}
    if not isinstance(said, str) or not said.startswith("$"):
        return lambda _: said
    if said.startswith("$$"):
        return lambda _: said[1:]
    return _at(said[1:]) if said != "$" else lambda members: members


def _at(path: str) -> Reader:
    """What finds a member by its names with points between; None where there is none."""
    names = path.split(".")

    def read(members: Any) -> Any:
        for name in names:
            members = members.get(name) if isinstance(members, dict) else None
        return members

    return read
