"""Bytes of a letter made safe to print, and the place in them that an error names."""

import json
import re
from typing import NamedTuple

from rich.cells import cell_len

from contracts.envelope import Headers, is_binary_mode
from workers.cli.terminal import printable

SHOWN_BYTES = 4096  # of a value; the rest is told of
SHOWN_LINE = 160  # characters of a marked line, and of a line around it when it lies beyond what is shown
AROUND = 60  # characters on either side of a caret
NOTE = 120  # characters of the error beside a marked line
HEX_WIDTH = 16  # bytes a line
INDENT = "  "
_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|\{\s*\}|\[\s*\]|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)
_AT_PATH = re.compile(r" - at `(?:key` in `)?(\$[^`\[]*)")
_ATTRIBUTE = re.compile(r"\bthe attribute (\w+)|^(specversion) is")
_COLUMN = re.compile(r", column (\w+)$")
_LINE_COLUMN = re.compile(r"at line (\d+), column (\d+)$")
_BYTE = re.compile(r"^(?:the value is no UTF-8|(.*) as an escape) at byte (\d+)")
_HEADER = re.compile(r"^(?:(?:the name of )?the record's header number (\d+)|the header ([\w-]+)) is ")


class Fault(NamedTuple):
    """Where an error says that a record is wrong: a member of its JSON, a header (from 0), or a byte of its value."""

    path: str | None = None
    header: int | None = None
    byte: int | None = None


def fault_of(error: str, value: bytes | None, headers: Headers) -> Fault:
    """The place that an error names, as far as the record has it."""
    if found := _HEADER.match(error):
        return _header(headers, int(found[1]) - 1 if found[1] else found[2])
    if value is None:
        return Fault()
    if found := _BYTE.match(error):
        at = int(found[2])
        is_there = at < len(value) and (found[1] is None or value.startswith(b"\\u", at))
        return Fault(byte=at if is_there else None)
    if found := _LINE_COLUMN.search(error):
        return Fault(byte=_byte_at(value, int(found[1]), int(found[2])))
    return _member(_path_of(error), headers)


def _member(path: str | None, headers: Headers) -> Fault:
    """A path of the event; in binary mode the value is its data alone, and headers are its attributes."""
    if path is None or not is_binary_mode(headers):
        return Fault(path=path)
    if path == "$.data" or path.startswith("$.data."):
        return Fault(path="$" + path.removeprefix("$.data"))
    return _header(headers, "ce_" + path.removeprefix("$."))


def _header(headers: Headers, which: int | str) -> Fault:
    """The header of a number (from 0) or name, when there is one."""
    numbers = [n for n, (name, _) in enumerate(headers) if which in (n, name)]
    return Fault(header=numbers[0] if numbers else None)


def _path_of(error: str) -> str | None:
    if found := _AT_PATH.search(error):
        return found[1]
    if found := _ATTRIBUTE.search(error):
        return f"$.{found[1] or found[2]}"
    if found := _COLUMN.search(error):
        return f"$.data.{found[1]}"
    return None


def _byte_at(value: bytes, line: int, column: int) -> int | None:
    """The byte of a character, both counted from 1; None when the text has no such place."""
    lines = value.decode("utf-8", "replace").split("\n")
    if line > len(lines) or column > len(lines[line - 1]) + 1:
        return None
    before = [*lines[: line - 1], lines[line - 1][: column - 1]]
    return len("\n".join(before).encode())


def pointed(value: bytes, at: int) -> str:
    """The line of a value that has byte `at`, as far as it fits, with a caret below that byte."""
    start = value.rfind(b"\n", 0, at) + 1
    end = value.find(b"\n", at)
    before = value[start:at].decode("utf-8", "backslashreplace")
    after = value[at : len(value) if end < 0 else end][: 4 * AROUND].decode("utf-8", "backslashreplace")
    left = "…" + before[-AROUND:] if len(before) > AROUND else before
    right = after[:AROUND] + "…" if len(after) > AROUND else after
    left, right = flat(left), flat(right)
    line = value.count(b"\n", 0, at) + 1
    return f"line {line}, column {len(before) + 1} (byte {at})\n  {left}{right}\n  {' ' * cell_len(left)}^"


def one_line(value: bytes) -> str:
    """Bytes as one line that is safe to print: text when they are UTF-8, else hexadecimal; cut at 4 KiB."""
    note = f" … {len(value)} bytes in all" if len(value) > SHOWN_BYTES else ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value[:SHOWN_BYTES].hex() + note
    return flat(text[:SHOWN_BYTES]) + note


def readable(value: bytes, path: str | None = None, note: str = "") -> str:
    """A value, safe to print: JSON indented, other text as it is, bytes that are no UTF-8 as a hex dump.

    The line of the member at `path` is marked with `note`, and shown also when it lies beyond what is cut.
    """
    try:
        lines, places = _laid_out(value.decode())
    except UnicodeDecodeError:
        cut = f"\n… cut at {SHOWN_BYTES} bytes; --raw FILE writes it whole" if len(value) > SHOWN_BYTES else ""
        return hex_dump(value[:SHOWN_BYTES]) + cut
    marked = places.get(path) if path is not None else None
    if marked is not None:
        line = lines[marked]
        line = line[:SHOWN_LINE] + "…" if len(line) > SHOWN_LINE else line
        lines[marked] = f"{line}  <-- {flat(note)[:NOTE]}"
    text = "\n".join(lines)
    if len(text) <= SHOWN_BYTES:
        return printable(text)
    shown = printable(text[:SHOWN_BYTES]) + f"\n… cut at {SHOWN_BYTES} characters; --raw FILE writes it whole"
    if marked is None or sum(len(line) + 1 for line in lines[: marked + 1]) <= SHOWN_BYTES:
        return shown
    around = [*(line[:SHOWN_LINE] for line in lines[max(0, marked - 2) : marked]), lines[marked]]
    return f"{shown}\n… line {marked + 1} of it, indented:\n" + printable("\n".join(around))


def _laid_out(text: str) -> tuple[list[str], dict[str, int]]:
    """JSON with each member on a line, every token as it was written; and the line of each member, by its path.

    Other text is unchanged, and has no members.
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text.split("\n"), {}
    layout = _Layout()
    for part in _LEXEME.findall(text):
        layout.add(part)
    return layout.lines, layout.places


class _Layout:
    """The lines of JSON as its tokens come; an array's elements have its path and []."""

    def __init__(self) -> None:
        self.lines = [""]
        self.places = {"$": 0}
        self._path = "$"
        self._open: list[str] = []
        self._last = ""

    def add(self, part: str) -> None:
        """One more token."""
        if part in "{[":
            self.lines[-1] += part
            self._open.append(self._path + ("[]" if part == "[" else ""))
            self._break()
        elif part in "}]":
            self._open.pop()
            self._break()
            self.lines[-1] += part
        elif part == ",":
            self.lines[-1] += part
            self._path = self._open[-1]
            self._break()
        elif part == ":":
            self.lines[-1] += ": "
            self._path = f"{self._open[-1]}.{json.loads(self._last)}"
            self.places[self._path] = len(self.lines) - 1
        else:
            self._last = part
            self.lines[-1] += part[0] + part[-1] if part[0] in "{[" else part

    def _break(self) -> None:
        self.lines.append(INDENT * len(self._open))


def hex_dump(value: bytes) -> str:
    """Offset, bytes and printable ASCII, 16 bytes a line."""
    lines = []
    for at in range(0, len(value), HEX_WIDTH):
        row = value[at : at + HEX_WIDTH]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in row)  # noqa: PLR2004 - printable ASCII
        lines.append(f"{at:06x}  {row.hex(' '):{3 * HEX_WIDTH - 1}}  {text}")
    return "\n".join(lines)


def flat(text: str) -> str:
    """Text on one line, safe to print."""
    return printable(text).replace("\n", "\\n")


def counted(number: int) -> str:
    """`1 letter`, `2 letters`."""
    return f"{number} letter" if number == 1 else f"{number} letters"
