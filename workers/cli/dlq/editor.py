"""A value in the operator's own editor."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import msgspec

from workers.cli.terminal import Exit, fail

DEFAULT = "vi"


def edited(value: bytes | None) -> tuple[bytes | None, Path]:
    """What `$VISUAL` or `$EDITOR` makes of a value, and the file that has it; None when it is unchanged or empty.

    JSON is shown with a member a line and kept without those line breaks; other bytes are shown and kept as they are.
    """
    before = pretty(value or b"")
    handle, name = tempfile.mkstemp(prefix="siltstone-letter-", suffix=".json")
    place = Path(name)
    with os.fdopen(handle, "wb") as file:
        file.write(before)
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or DEFAULT
    try:
        ended = subprocess.run([*shlex.split(command), name], check=False).returncode
    except (OSError, ValueError) as error:
        place.unlink()
        fail(f"the editor {command!a} cannot be started ({error}); set EDITOR, or say what to change", Exit.USAGE)
    if ended:
        fail(f"the editor {command!a} ended with {ended}: nothing is changed; {place} has its text", Exit.SOME_FAILED)
    after = place.read_bytes()
    if after == before or not after.strip():
        place.unlink()
        return None, place
    return compact(after), place


def pretty(value: bytes) -> bytes:
    """JSON with a member a line, every number as it is written; other bytes as they are."""
    return _formatted(value, indent=2, end=b"\n")


def compact(value: bytes) -> bytes:
    """JSON without space between its parts; other bytes as they are."""
    return _formatted(value, indent=-1)


def _formatted(value: bytes, *, indent: int, end: bytes = b"") -> bytes:
    try:
        return msgspec.json.format(value, indent=indent) + end
    except (msgspec.MsgspecError, RecursionError):
        return value
