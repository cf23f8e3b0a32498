"""Output that comes so fast that whoever prints it needs the processor more than we do."""

import time

from producers.wrap.journal import Reader

LOOK_SECONDS = 0.2  # between two looks
FLOOD_BYTES = 1024 * 1024  # in LOOK_SECONDS
FLOOD_SECONDS = 30.0


class Flood:
    """Whether a session's output is one; it is read a little later then."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._ahead = 0
        self._until = 0.0

    def is_on(self) -> bool:
        """Whether more than FLOOD_BYTES came since the last look; never for longer than FLOOD_SECONDS."""
        before, self._ahead = self._ahead, self._reader.bytes_ahead()
        if self._ahead - before < FLOOD_BYTES or self._reader.writer_is_gone():
            self._until = 0.0
            return False
        self._until = self._until or time.monotonic() + FLOOD_SECONDS
        return time.monotonic() < self._until
