"""A stream that bytes go out by: it takes what it takes, and nobody waits for it."""

import contextlib
import errno
import os
import select
import stat

MOST_BYTES = 65_536  # given and not yet taken; a program that is further ahead waits, as for any terminal


class Outlet:
    """What is given to it goes to `target` in order, as fast as that takes it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._given: list[bytes] = []
        self._rest = memoryview(b"")  # of what was given before, what was not taken
        self._size = 0
        self._waits_for_nobody = not os.get_blocking(target) or stat.S_ISREG(os.fstat(target).st_mode)
        self.is_gone = False  # the reader of a pipe has closed it

    def fileno(self) -> int:
        """For select."""
        return self._target

    @property
    def is_empty(self) -> bool:
        return not self._size

    @property
    def is_full(self) -> bool:
        return self._size >= MOST_BYTES

    def add(self, piece: bytes) -> None:
        """It takes at once what it can, unless that might wait: then when select says so."""
        if self._size or not self._waits_for_nobody:
            self._given.append(piece)
            self._size += len(piece)
        elif piece:
            self._rest, self._size = memoryview(piece), len(piece)
            self.write()

    def write(self) -> None:
        """What it takes now; everything, once it has gone away."""
        if not self._rest:
            self._rest = memoryview(b"".join(self._given))
            self._given.clear()
        try:
            taken = os.write(self._target, self._rest)
        except BlockingIOError:
            return
        except OSError as error:
            self.is_gone = error.errno == errno.EPIPE
            taken = len(self._rest)
        self._rest = self._rest[taken:]
        self._size -= taken

    def finish(self) -> None:
        """Wait until it has taken everything."""
        while not self.is_empty:
            select.select([], [self], [])
            self.write()


def unshared(target: int) -> int:
    """A terminal or pipe opened anew, not blocking: others who have it see nothing of that. Else the same again."""
    with contextlib.suppress(OSError):
        if os.isatty(target) or stat.S_ISFIFO(os.fstat(target).st_mode):
            return os.open(f"/proc/self/fd/{target}", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    return target
