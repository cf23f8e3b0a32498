"""The options of `siltstone dlq edit` as the steps of workers/mending.py; what is malformed ends the command."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.letter import is_ours
from contracts.text import refuse_constant
from workers import json_paths, mending
from workers.cli.terminal import Exit, fail
from workers.mending import Step


def content(file: Path) -> bytes:
    """The bytes of a file, or of standard input."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", Exit.NOT_FOUND)


def encoding(name: str) -> str:
    """The name of a text's encoding."""
    try:
        b"{}".decode(name)
    except UnicodeError:
        return name
    except LookupError:
        fail(f"--decode-as {name[:64]!a} is no encoding of text: write latin-1, cp1252, utf-16 …", Exit.USAGE)
    return name


def _is_json(text: str) -> bool:
    """Whether a text is JSON; its numbers are not looked into, since Python would refuse some and round others."""
    try:
        json.loads(text, parse_float=str, parse_int=str, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def json_of(text: str, option: str) -> bytes:
    """A text that is JSON."""
    if not _is_json(text):
        fail(f"{option} {text[:64]!a} is no JSON", Exit.USAGE)
    return as_bytes(text)


def _path(text: str) -> json_paths.Path:
    try:
        return json_paths.parse(text)
    except json_paths.NoSuchPlace as error:
        fail(str(error), Exit.USAGE)


def _assignment(text: str) -> tuple[json_paths.Path, str]:
    try:
        return json_paths.parse_assignment(text)
    except json_paths.NoSuchPlace as error:
        fail(str(error), Exit.USAGE)


def copies(given: Sequence[str]) -> list[Step]:
    """`--copy FROM=TO`."""
    assigned = [_assignment(text) for text in given]
    return [mending.copy_to(source, _path(target)) for source, target in assigned]


def sets(values: Sequence[str], texts: Sequence[str]) -> list[Step]:
    """`--set` takes JSON when its text is some; else, and for `--set-text`, the text becomes a JSON string."""
    steps = []
    for given, may_be_json in ((values, True), (texts, False)):
        for path, text in map(_assignment, given):
            as_it_is = may_be_json and _is_json(text)
            steps.append(mending.set_at(path, as_bytes(text if as_it_is else json.dumps(text))))
    return steps


def sets_id(values: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether the event's id is set to what was typed."""
    return any(_assignment(text)[0] == ("id",) for text in (*values, *texts))


def unsets(given: Sequence[str]) -> list[Step]:
    """`--unset PATH`."""
    return [mending.unset_at(_path(text)) for text in given]


def headers(dropped: Sequence[str], given: Sequence[str]) -> list[Step]:
    """`--drop-header NAME`, then `--header NAME=TEXT`."""
    steps = [mending.drop_header(name) for name in dropped]
    for header in given:
        name, equals, text = header.partition("=")
        if not name or not equals:
            fail(f"--header {header[:64]!a} is no NAME=TEXT", Exit.USAGE)
        if is_ours(name):
            fail(f"the header {name[:64]} is Siltstone's own: a redrive writes it", Exit.USAGE)
        steps.append(mending.set_header(name, as_bytes(text)))
    return steps


def as_bytes(text: str) -> bytes:
    """The bytes that were typed, also those that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")
