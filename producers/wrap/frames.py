"""What a terminal did, as frames in the order of time."""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Kind(enum.IntEnum):
    """What a frame says."""

    OUTPUT = 1  # the bytes that the program printed
    RESIZE = 2  # the window's new size, b"columns rows"
    ENDED = 3  # how the program ended, b"exit code"; 128 and the signal's number when one ended it; b"" when unknown
    CUT = 4  # why no output after it is kept


class Frame(NamedTuple):
    """One moment: microseconds since the session began."""

    at_us: int
    kind: Kind
    data: bytes


@dataclass(frozen=True)
class About:
    """What is known of a session before its first output. `key` makes its ids: the same key, the same events."""

    key: bytes
    agent: str
    tenant: str
    source: str
    started: datetime
    columns: int
    rows: int
    metadata: dict[str, Any]
