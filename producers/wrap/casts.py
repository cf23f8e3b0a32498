"""Asciicasts of all three versions as frames: https://docs.asciinema.org/manual/asciicast/v3/ and its predecessors."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from producers.account import Part, Refused, Remark, Tally
from producers.storable import REPLACEMENT
from producers.values import milliseconds_of_seconds
from producers.wrap.frames import Frame, Kind
from producers.wrap.recorded import MAX_HEADER_BYTES, Frames, Head, UnreadableRecording, json_of, moment, side

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_FILE_BYTES = 256 * 1024 * 1024  # of version 1, which is one JSON
MAX_LENGTH_US = 100 * 366 * 86_400 * 1_000_000
LEFT_OUT = {"i": "keys that were typed", "m": "markers"}

_WINDOW = re.compile(r"[0-9]{1,4}x[0-9]{1,4}")
_EXIT_CODE = re.compile(r"-?[0-9]{1,9}")


def head(path: Path, first: bytes, part: Part, start: datetime | None) -> Head | None:
    """A cast's header; None for any other file. Raises UnreadableRecording for a version that is not known."""
    found = json_of(first)
    if not isinstance(found, dict) and first.removeprefix(BOM_UTF8).startswith(b"{"):
        found = _whole(path)
    if not isinstance(found, dict) or "version" not in found or not {"width", "term", "stdout"} & found.keys():
        return None
    version = found["version"]
    if version not in (1, 2, 3):
        raise UnreadableRecording(f"{path} is an asciicast of version {version!r}; 1, 2 and 3 can be replayed")
    if version == 1 and not isinstance(found.get("stdout"), list):
        raise UnreadableRecording(f"{path} is an asciicast of version 1 without a list of what was shown (stdout)")
    window = found.get("term") if version == 3 else found  # noqa: PLR2004 - asciicast's versions
    names = ("cols", "rows") if window is not found else ("width", "height")
    sizes = window if isinstance(window, dict) else {}
    columns, rows = (part.read(name, sizes.get(name), side) for name in names)
    frames: Frames = (lambda: _first_version(found, part)) if version == 1 else (lambda: _lines_of(path, version, part))
    return Head(
        frames, moment(path, part, "timestamp", found.get("timestamp"), start), columns, rows, _metadata(found, window)
    )


def _whole(path: Path) -> dict[str, Any] | None:
    """A file that is one JSON object, as version 1 is."""
    if path.stat().st_size > MAX_FILE_BYTES:
        return None
    found = json_of(path.read_bytes())
    return found if isinstance(found, dict) else None


def _metadata(header: dict[str, Any], window: Any) -> dict[str, Any]:
    """What a header says beside version, window and time."""
    known = ("version", "width", "height", "timestamp", "stdout", "term")
    kept = {name: value for name, value in header.items() if name not in known and value not in (None, "", {}, [])}
    if window is not header and isinstance(window, dict):
        more = {name: value for name, value in window.items() if name not in ("cols", "rows") and value}
        kept |= {"term": more} if more else {}
    return kept


def _first_version(header: dict[str, Any], part: Part) -> Iterator[Frame]:
    """Version 1: intervals and texts in one list; the whole lasts as long as its duration says."""
    at_us, whole = 0, Characters()
    for number, item in enumerate(header["stdout"], 1):
        try:
            interval, text = item
            at_us += max(0, _microseconds(interval))
            shown = whole.add(text)
        except (ValueError, TypeError, OverflowError):
            part.words.append(Refused(f"stdout {number}", "it is not an interval and a text"))
            continue
        yield Frame(at_us, Kind.OUTPUT, shown)
    if rest := whole.rest():
        yield Frame(at_us, Kind.OUTPUT, rest)
    lasted = part.read("duration", header.get("duration"), milliseconds_of_seconds)
    yield Frame(max(at_us, (lasted or 0) * 1_000), Kind.ENDED, b"")


def _microseconds(time: Any) -> int:
    if isinstance(time, bool):
        raise TypeError(time)
    passed = int(float(time) * 1_000_000)
    if passed > MAX_LENGTH_US:
        raise OverflowError(f"{time} s are more than a hundred years")
    return passed


class Characters:
    """Texts as bytes; a character of two halves may be split over two of them, as recorders in JavaScript do."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, text: Any) -> bytes:
        """The bytes up to a half at the end, which waits for the other. A half alone is U+FFFD. Raises TypeError."""
        if not isinstance(text, str):
            raise TypeError("it is not a text")
        shown: str = self._half + text
        self._half = shown[-1:] if "\ud800" <= shown[-1:] <= "\udbff" else ""
        whole = shown[: len(shown) - len(self._half)]
        return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()

    def rest(self) -> bytes:
        """A half that still waits, at the end."""
        return REPLACEMENT.encode() if self._half else b""


class _Events:
    """The lines of a cast, one after the other; what is none of a terminal's output is accounted for."""

    def __init__(self, version: int, part: Part) -> None:
        self._has_intervals = version == 3  # noqa: PLR2004
        self._words = part.words
        self._at_us = 0
        self._whole = Characters()
        self.left_out = Tally()
        self.has_ended = False

    def frame(self, number: int, line: bytes) -> Frame | None:
        """The frame of an event; None when it is none. Raises ValueError and its like for what is no event."""
        time, code, data = json.loads(line)
        passed = _microseconds(time)
        at_us = self._at_us + passed if self._has_intervals else passed
        if at_us > MAX_LENGTH_US:
            raise OverflowError(f"{time} s are more than a hundred years")
        if at_us < self._at_us:
            self._remark(number, "time", time, "is before the event above; it counts as the same moment")
        self._at_us = max(at_us, self._at_us)
        if self.has_ended:
            self.left_out.add("events after the end")
            return None
        text = str(data)
        match code:
            case "o" if isinstance(data, str):
                return Frame(self._at_us, Kind.OUTPUT, self._whole.add(data))
            case "o":
                self._words.append(Refused(f"line {number}", "its output is not a text"))
            case "r" if _WINDOW.fullmatch(text):
                return Frame(self._at_us, Kind.RESIZE, text.replace("x", " ").encode())
            case "x" if _EXIT_CODE.fullmatch(text):
                self.has_ended = True
                return Frame(self._at_us, Kind.ENDED, text.encode())
            case "r" | "x":
                self._remark(number, "size" if code == "r" else "exit status", data, "is not understood")
            case _:
                self.left_out.add(LEFT_OUT.get(code, f"events of code {str(code)[:20]!r}"))
        return None

    def end(self) -> Iterator[Frame]:
        """The end, where no event was one: nobody knows with which exit status."""
        if self.has_ended:
            return
        if rest := self._whole.rest():
            yield Frame(self._at_us, Kind.OUTPUT, rest)
        yield Frame(self._at_us, Kind.ENDED, b"")

    def _remark(self, number: int, name: str, value: Any, reason: str) -> None:
        self._words.append(Remark(f"line {number}", name, str(value)[:100], reason))


def _lines_of(path: Path, version: int, part: Part) -> Iterator[Frame]:
    events = _Events(version, part)
    try:
        with path.open("rb") as file:
            file.readline(MAX_HEADER_BYTES)
            for number, line in enumerate(_lines(file), 2):
                if line.strip() and not line.startswith(b"#") and (frame := _frame(events, path, number, line)):
                    yield frame
        yield from events.end()
    finally:
        part.words.extend(events.left_out.words())


def _frame(events: _Events, path: Path, number: int, line: bytes) -> Frame | None:
    try:
        return events.frame(number, line)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        why = (
            str(error) if isinstance(error, OverflowError) else "it is not an event of an asciicast: [time, code, data]"
        )
        raise UnreadableRecording(f"{path}, line {number}: {why}") from None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES):
        yield line
