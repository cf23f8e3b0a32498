"""`siltstone dlq show`."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from persistence import letters
from persistence.database import OPERATOR, Database
from workers.cli.database import with_database
from workers.cli.dlq.selecting import letter_id as id_of
from workers.cli.terminal import Exit, fail, printable, say, stdout
from workers.settings import Settings

SHOWN_BYTES = 4096  # of a value; the rest is told of
HEX_WIDTH = 16  # bytes a line
INDENT = "  "
_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|\{\s*\}|\[\s*\]|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)
HIDDEN = {"key", "value", "header_names", "header_values", "phase"}  # shown apart, or of no use to a person


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The letter's id, as `dlq list` prints it.")],
    raw: Annotated[
        Path | None, typer.Option(help="Write the value, byte for byte, to this file; - for standard output.")
    ] = None,
) -> None:
    """A dead letter: every field, its headers, its key and its value, made safe to print."""
    wanted = id_of(letter_id)

    async def run(_: Settings, database: Database) -> dict[str, Any] | None:
        async with database.transaction(readonly=True) as connection:
            return await letters.one(connection, wanted)

    letter = with_database(OPERATOR, run)
    if letter is None:
        fail(f"there is no dead letter {wanted}; `siltstone dlq list` shows those there are", Exit.NOT_FOUND)
    if raw is None:
        _print(letter)
    else:
        _write(letter, raw)


def _print(letter: Mapping[str, Any]) -> None:
    for name in (n for n in letter if n not in HIDDEN and letter[n] is not None):
        _line(f"{name.replace('_', ' '):18}{printable(str(letter[name]))}")
    headers = list(zip(letter["header_names"], letter["header_values"], strict=True))
    _line(f"\nheaders ({len(headers)})" if headers else "\nno headers")
    for name, value in headers:
        _line(f"  {printable(name)}: {'null' if value is None else one_line(value)}")
    key = letter["key"]
    _line("\nno key" if key is None else f"\nkey ({len(key)} bytes)\n  {one_line(key)}")
    value = letter["value"]
    if value is None:
        _line("\nno value (a tombstone)")
        return
    _line(f"\nvalue ({len(value)} bytes)\n{readable(value)}")


def _write(letter: Mapping[str, Any], place: Path) -> None:
    """The value's bytes to a file, or to standard output."""
    if letter["value"] is None:
        fail(f"the letter {letter['id']} has no value: its record was a tombstone", Exit.NOT_FOUND)
    value = bytes(letter["value"])
    if str(place) == "-":
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
        return
    try:
        place.write_bytes(value)
    except OSError as error:
        fail(f"{place} cannot be written: {error.strerror}", Exit.USAGE)
    say(f"{len(value)} bytes written to {place}")


def _line(text: str) -> None:
    stdout.print(text, markup=False)


def one_line(value: bytes) -> str:
    """Bytes as one line that is safe to print: text when they are UTF-8, else hexadecimal; cut at 4 KiB."""
    note = f" … {len(value)} bytes in all" if len(value) > SHOWN_BYTES else ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value[:SHOWN_BYTES].hex() + note
    return printable(text[:SHOWN_BYTES]).replace("\n", "\\n") + note


def readable(value: bytes) -> str:
    """A value, safe to print: JSON indented, other text as it is, bytes that are no UTF-8 as a hex dump."""
    note = ""
    try:
        text = _indented(value.decode())
        if len(text) > SHOWN_BYTES:
            text = text[:SHOWN_BYTES]
            note = f"\n… cut at {SHOWN_BYTES} characters; --raw FILE writes it whole"
        return printable(text) + note
    except UnicodeDecodeError:
        if len(value) > SHOWN_BYTES:
            note = f"\n… cut at {SHOWN_BYTES} bytes; --raw FILE writes it whole"
        return hex_dump(value[:SHOWN_BYTES]) + note


def _indented(text: str) -> str:
    """JSON with each member on a line, every token as it was written; other text unchanged."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    depth = 0
    made: list[str] = []
    for part in _LEXEME.findall(text):
        if len(part) > 1 and part[0] in "{[":
            made.append(part[0] + part[-1])
        elif part[0] not in "{[}],:":
            made.append(part)
        elif part in "{[":
            depth += 1
            made.append(part + "\n" + INDENT * depth)
        elif part in "}]":
            depth -= 1
            made.append("\n" + INDENT * depth + part)
        else:
            made.append(": " if part == ":" else ",\n" + INDENT * depth)
    return "".join(made)


def hex_dump(value: bytes) -> str:
    """Offset, bytes and printable ASCII, 16 bytes a line."""
    lines = []
    for at in range(0, len(value), HEX_WIDTH):
        row = value[at : at + HEX_WIDTH]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in row)  # noqa: PLR2004 - printable ASCII
        lines.append(f"{at:06x}  {row.hex(' '):{3 * HEX_WIDTH - 1}}  {text}")
    return "\n".join(lines)
