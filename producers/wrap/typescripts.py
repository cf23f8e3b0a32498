"""Logs of `script`, of util-linux and of BSD: what its first and last line say is no output of the program."""

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from producers.account import Part
from producers.values import count, instant
from producers.wrap.frames import Frame, Kind
from producers.wrap.recorded import Head, moment, plain, side

TAIL_BYTES = 4_096  # in which the last line of a log stands

_FIRST = re.compile(rb"Script started on (?P<time>.+?)(?: \[(?P<facts>.*)\])?\r?\n")
_LAST = re.compile(
    rb"(?:\r?\n)?(?:Command exit status: (?P<status>-?\d+)\r?\n)?"
    rb"Script done on (?P<time>[^\n]+?)(?: \[(?P<facts>[^\n]*)\])?(?:\r?\n)?\Z"
)
_FACT = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class _End(NamedTuple):
    at: int  # the byte where the log's last line begins
    time: str
    facts: dict[str, str]


def head(path: Path, first: bytes, part: Part, start: datetime | None) -> Head | None:
    """What the first line of a log says; None for a file that begins in another way."""
    found = _FIRST.fullmatch(first)
    if not found:
        return None
    facts = _facts(found["facts"])
    began = moment(path, part, "Script started on", _text(found["time"]), start)
    columns, rows = (part.read(name, facts.pop(name, None), side) for name in ("COLUMNS", "LINES"))
    metadata: dict[str, Any] = {name.lower(): value for name, value in facts.items()}
    return Head(lambda: _frames(path, len(first), began or start, part), began, columns, rows, metadata)


def _frames(path: Path, begin: int, started: datetime | None, part: Part) -> Iterator[Frame]:
    end = _end(path, begin)
    yield from plain(path, begin, end.at if end else None)
    if end is None:  # whoever recorded it was killed
        yield Frame(0, Kind.ENDED, b"")
        return
    stated = end.facts.get("COMMAND_EXIT_CODE")
    code = part.read("COMMAND_EXIT_CODE", stated, _exit_code)
    done = part.read("Script done on", end.time, instant)
    lasted = max(timedelta(), done - started) if done and started else timedelta()
    yield Frame(lasted // timedelta(microseconds=1), Kind.ENDED, b"" if code is None else str(code).encode())


def _end(path: Path, begin: int) -> _End | None:
    size = path.stat().st_size
    at = max(begin, size - TAIL_BYTES)
    with path.open("rb") as file:
        file.seek(at, os.SEEK_SET)
        found = _LAST.search(file.read())
    if not found:
        return None
    facts = _facts(found["facts"])
    if found["status"]:
        facts.setdefault("COMMAND_EXIT_CODE", _text(found["status"]))
    return _End(at + found.start(), _text(found["time"]), facts)


def _facts(written: bytes | None) -> dict[str, str]:
    return dict(_FACT.findall(_text(written or b"")))


def _exit_code(value: str) -> int:
    return -count(value[1:]) if value.startswith("-") else count(value)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()
