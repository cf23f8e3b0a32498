"""Reading and changing one place in JSON: what is not touched keeps its bytes, above all its numbers."""

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

Path = tuple[str | int, ...]
"""Member names and array indexes from the root on; empty for the whole."""

T = TypeVar("T")
_ROOT = re.compile(r"\$(?=[.\[=]|$)")
_STEP = re.compile(r'\.?([^\s.\[\]="]+)|\[([0-9]{1,9})\]|\[("(?:[^"\\]|\\.)*")\]')
_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_any = msgspec.json.Decoder(Raw)


class NoSuchPlace(Exception):
    """A path is malformed, or leads nowhere in this JSON; the message names the path, never what the JSON holds."""


def parse(text: str) -> Path:
    """`data.set.status`, `data.tags[0]`, `data["a.b"]`; a leading `$.` is accepted, and `$` is the whole."""
    path, rest = _scan(text)
    if rest:
        raise NoSuchPlace(f'{text[:64]!a} is no path: write data.set.status, data.tags[0] or data["a.b"]')
    return path


def parse_assignment(text: str) -> tuple[Path, str]:
    """`PATH=REST`, where a quoted member name may hold an equals sign too."""
    path, rest = _scan(text)
    if not rest.startswith("="):
        raise NoSuchPlace(f"{text[:64]!a} is no assignment: write PATH=VALUE, such as data.tags[0]=new")
    return path, rest[1:]


def _scan(text: str) -> tuple[Path, str]:
    """The longest path that the text begins with, and what follows it."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise NoSuchPlace(f"{text[:64]!a} is no UTF-8")
    root = _ROOT.match(text)
    at = root.end() if root else 0
    steps: list[str | int] = []
    while step := _STEP.match(text, at):
        name, index, quoted = step.groups()
        if quoted is not None:
            try:
                name = msgspec.json.decode(quoted, type=str)
            except msgspec.MsgspecError:
                break
        steps.append(name if index is None else int(index))
        at = step.end()
    if not steps and not root:
        raise NoSuchPlace(f'{text[:64]!a} begins with no path, such as data.set.status, data.tags[0] or data["a.b"]')
    return tuple(steps), text[at:]


def shown(path: Sequence[str | int]) -> str:
    """A path as error messages and `dlq show` write it."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def is_json(value: bytes) -> bool:
    """Whether the bytes are one JSON document in UTF-8, without half a surrogate pair."""
    try:
        value.decode()
        _any.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def read(value: bytes | None, path: Path) -> bytes | None:
    """The JSON at a path, as it is written there; None when there is nothing."""
    for depth, step in enumerate(path):
        if value is None:
            return None
        if isinstance(step, int):
            items = _array(value, path[:depth])
            value = bytes(items[step]) if step < len(items) else None
        else:
            member = _object(value, path[:depth]).get(step)
            value = None if member is None else bytes(member)
    return value


def put(value: bytes | None, path: Path, json: bytes, *, depth: int = 0) -> bytes:
    """The JSON with `json` at a path; objects that are missing or null on the way are made."""
    if depth == len(path):
        return json
    step = path[depth]
    if isinstance(step, int):
        items = _array(value, path[:depth])
        if step > len(items):
            raise NoSuchPlace(f"the array at {shown(path[:depth])} has {len(items)} elements, so none can be [{step}]")
        inner = bytes(items[step]) if step < len(items) else None
        items[step : step + 1] = [Raw(put(inner, path, json, depth=depth + 1))]
        return msgspec.json.encode(items)
    members = _object(value, path[:depth])
    inner = bytes(members[step]) if step in members else None
    members[step] = Raw(put(inner, path, json, depth=depth + 1))
    return msgspec.json.encode(members)


def remove(value: bytes, path: Path) -> bytes:
    """The JSON without what is at a path; the same bytes when there is nothing."""
    if not path:
        raise NoSuchPlace("the whole value cannot be removed; `siltstone dlq discard` is for that")
    outer = read(value, path[:-1])
    if outer is None or read(value, path) is None:
        return value
    step = path[-1]
    if isinstance(step, int):
        items = _array(outer, path[:-1])
        del items[step]
        return put(value, path[:-1], msgspec.json.encode(items))
    members = _object(outer, path[:-1])
    del members[step]
    return put(value, path[:-1], msgspec.json.encode(members))


def _object(value: bytes | None, at: Path) -> dict[str, Raw]:
    return _container(_members, value, "object", at) or {}


def _array(value: bytes | None, at: Path) -> list[Raw]:
    return _container(_items, value, "array", at) or []


def _container(decoder: "msgspec.json.Decoder[T]", value: bytes | None, kind: str, at: Path) -> T | None:
    if value is None or value.strip() == b"null":
        return None
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        raise NoSuchPlace(f"there is no {kind} at {shown(at)}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NoSuchPlace("the value is no JSON") from None
    except RecursionError:
        raise NoSuchPlace("the value is nested too deep to be changed in one place") from None
