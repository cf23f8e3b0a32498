"""A mapping in YAML: which events the lines of a file make.

skip:
  - {kind: summary}             # lines that no event is made of: they are counted by their condition
events:
  - when: {kind: error}         # members of the line that must be equal; without it: every line
    type: extraction.recorded
    subject: $session.id        # $ and names by points: a member of the line; $ alone: the whole line
    time: $at                   # ISO 8601, or seconds or milliseconds since 1970; may be left out
    id: $id                     # may be left out: then it is made of the line
    data:
      agent_name: $agent
      event_type: error         # anything else stands for itself; $$ for one $
      pattern: $rules.0         # a number counts in a list, from 0
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from contracts.registry import EVENT_TYPES
from producers.imports.yaml_text import BadYaml, load

_MEMBERS = {"when", "type", "subject", "time", "id", "data"}

Reader = Callable[[Any], Any]  # of the members of a line


class BadMapping(Exception):
    """A mapping that cannot be used; the message says what is wrong, and where."""


@dataclass(frozen=True)
class Condition:
    """Members of a line that must be equal to something."""

    said: str
    equal: list[tuple[Reader, Any]]

    def takes(self, members: Any) -> bool:
        return all(read(members) == value for read, value in self.equal)


@dataclass(frozen=True)
class Rule:
    """One event that a line may make. `paths` are the members of a line that it reads, as the mapping names them."""

    type: str
    when: Condition
    subject: Reader
    time: Reader
    id: Reader
    data: dict[str, Reader]
    paths: dict[str, Reader]


@dataclass(frozen=True)
class Mapping:
    """What is skipped, and what is made of the other lines."""

    rules: list[Rule]
    skips: list[Condition]


def mapping(text: str, name: str) -> Mapping:
    """A mapping's text; `name` stands in messages. Raises BadMapping."""
    try:
        whole = load(text)
    except BadYaml as error:
        raise BadMapping(f"{name}: {error}") from None
    items = whole.get("events") if isinstance(whole, dict) else None
    if not isinstance(items, list) or not items:
        raise BadMapping(f"{name}: a mapping with a list `events` is expected")
    if unknown := whole.keys() - {"events", "skip"}:
        raise BadMapping(f"{name}: unknown: {', '.join(sorted(map(str, unknown)))}; known: events, skip")
    skips = whole.get("skip") or []
    if not isinstance(skips, list) or not all(isinstance(skip, dict) and skip for skip in skips):
        raise BadMapping(f"{name}: skip is a list of conditions, each a mapping such as {{type: summary}}")
    return Mapping(
        [_rule(item, f"{name}, event {place}") for place, item in enumerate(items, 1)],
        [_condition(skip, f"{name}, skip {place}") for place, skip in enumerate(skips, 1)],
    )


def _rule(item: Any, where: str) -> Rule:
    if not isinstance(item, dict) or not {"type", "subject", "data"} <= item.keys():
        raise BadMapping(f"{where}: it needs type, subject and data")
    if unknown := item.keys() - _MEMBERS:
        raise BadMapping(
            f"{where}: unknown: {', '.join(sorted(map(str, unknown)))}; known: {', '.join(sorted(_MEMBERS))}"
        )
    _refuse_foreign(item, where)
    kind = f"siltstone.{str(item['type']).removeprefix('siltstone.').removesuffix('.v1')}.v1"
    if kind not in EVENT_TYPES:
        raise BadMapping(f"{where}: {item['type']} is not a type of event; `siltstone schemas` lists them")
    when, data = item.get("when") or {}, item["data"]
    if not isinstance(when, dict) or not isinstance(data, dict):
        raise BadMapping(f"{where}: when and data are mappings")
    read = [data, *(item.get(name) for name in ("subject", "time", "id"))]
    return Rule(
        type=kind,
        when=_condition(when, where),
        subject=_reader(item["subject"]),
        time=_reader(item.get("time")),
        id=_reader(item.get("id")),
        data={name: _reader(said) for name, said in data.items()},
        paths={f"${path}": _at(path) for one in read for path in _paths(one)},
    )


def _condition(when: dict[str, Any], where: str) -> Condition:
    _refuse_foreign(when, where)
    said = ", ".join(f"{path}: {value}" for path, value in when.items())
    return Condition(
        said, [(_at(str(path)), Decimal(str(v)) if isinstance(v, float) else v) for path, v in when.items()]
    )


def _refuse_foreign(value: Any, where: str) -> None:
    if (foreign := next(_foreign(value), None)) is not None:
        kind = type(foreign).__name__
        raise BadMapping(f"{where}: {foreign} is a {kind} to YAML, which an event cannot hold there; put it in quotes")


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


def _paths(said: Any) -> Iterator[str]:
    """The paths that what a mapping says leads along."""
    if isinstance(said, dict):
        for member in said.values():
            yield from _paths(member)
    elif isinstance(said, str) and said.startswith("$") and not said.startswith("$$") and said != "$":
        yield said[1:]


def _at(path: str) -> Reader:
    """What finds a member by its names with points between, and places in lists; None where there is none."""
    names = path.split(".")

    def read(members: Any) -> Any:
        for name in names:
            if isinstance(members, list) and name.isascii() and name.isdigit():
                members = members[int(name)] if int(name) < len(members) else None
            else:
                members = members.get(name) if isinstance(members, dict) else None
        return members

    return read
