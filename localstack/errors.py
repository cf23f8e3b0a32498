"""What the stack's commands end with when they cannot go on."""

from pathlib import Path

TAIL_LINES = 8  # enough for a Java exception's message or Postgres's FATAL and its HINT


class StackError(Exception):
    """The message says what happened, to which part, and what to do."""


def failed(what: str, log: Path) -> StackError:
    """`what` went wrong in a part, with the last lines of its log and where the rest is."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        lines = []
    tail = "".join(f"\n    {line[:300]}" for line in lines) or " (it is empty)"
    return StackError(f"{what}\nthe end of its log, {log}:{tail}")
