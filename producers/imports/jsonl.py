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

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import yaml

from contracts.registry import EVENT_TYPES
from producers.imports.imported import DAY_MS, EPOCH, Imported, Importer, Origin, Refused, Unreadable, instant, shown
from producers.storable import storable

KIND = "jsonl"
MAX_DATA_BYTES = 512 * 1024
_NAMESPACE = uuid.UUID("5d1f8a53-5f0b-4c39-9a3e-0f6c5a7c7b0e")
_MEMBERS = {"when", "type", "subject", "time", "id", "data"}


class BadMapping(Exception):
    """A mapping that cannot be used; the message says what is wrong, and where."""


@dataclass(frozen=True)
class Rule:
    """One event that a line may make."""

    when: dict[str, Any]
    type: str
    subject: Any
    time: Any
    id: Any
    data: dict[str, Any]


def mapping(text: str, name: str) -> list[Rule]:
    """The rules of a mapping's text; `name` stands in messages. Raises BadMapping."""
    try:
        whole = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadMapping(f"{name}{f', line {mark.line + 1}' if mark else ''}: it is no YAML") from None
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
    kind = f"siltstone.{str(item['type']).removeprefix('siltstone.').removesuffix('.v1')}.v1"
    if kind not in EVENT_TYPES:
        raise BadMapping(f"{where}: {item['type']} is no type of event; `siltstone schemas` lists them")
    when, data = item.get("when") or {}, item["data"]
    if not isinstance(when, dict) or not isinstance(data, dict):
        raise BadMapping(f"{where}: when and data are mappings")
    return Rule(when, kind, item["subject"], item.get("time"), item.get("id"), data)


def importer(rules: list[Rule]) -> Importer:
    """What reads files by these rules."""

    def events(content: bytes, name: str, origin: Origin) -> Imported:
        """The events of each line; one that is no JSON, or that no rule takes, is refused."""
        found = Imported()
        start = origin.start or EPOCH + timedelta(milliseconds=int.from_bytes(sha256(content).digest()[-8:]) % DAY_MS)
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip():
                continue
            try:
                members = json.loads(line, parse_float=Decimal)
            except (ValueError, RecursionError):
                found.refused.append(Refused(f"line {number}", "it is no JSON"))
                continue
            moment = shown(start + timedelta(milliseconds=number)) or ""
            made = list(_events(members, rules, origin, (line, moment)))
            if not made:
                found.refused.append(Refused(f"line {number}", "no event of the mapping is for it"))
            found.events += made
        if not found.events and not found.refused:
            raise Unreadable(f"{name} holds no lines")
        return found

    return events


def _events(members: Any, rules: list[Rule], origin: Origin, line: tuple[bytes, str]) -> Iterator[dict[str, Any]]:
    for place, rule in enumerate(rules):
        if not all(_found(members, path) == value for path, value in rule.when.items()):
            continue
        given = _value(members, rule.id)
        own = str(uuid.uuid5(_NAMESPACE, f"{place}:{sha256(line[0].strip()).hexdigest()}"))
        data = {name: _value(members, said) for name, said in rule.data.items()}
        yield {
            "specversion": "1.0",
            "id": own if given is None else str(given),
            "source": origin.source,
            "type": rule.type,
            "time": shown(instant(_value(members, rule.time))) or line[1],
            "subject": str(_value(members, rule.subject) or ""),
            "tenantid": origin.tenant,
            "datacontenttype": "application/json",
            "data": storable({name: value for name, value in data.items() if value is not None}, MAX_DATA_BYTES),
        }


def _value(members: Any, said: Any) -> Any:
    """What a mapping says of one member."""
    if isinstance(said, dict):
        return {name: _value(members, member) for name, member in said.items()}
    if not isinstance(said, str) or not said.startswith("$"):
        return said
    if said.startswith("$$"):
        return said[1:]
    return members if said == "$" else _found(members, said[1:])


def _found(members: Any, path: str) -> Any:
    for name in str(path).split("."):
        members = members.get(name) if isinstance(members, dict) else None
    return members
