"""What passes between a program and us: its output, kept first and shown second, and the keys."""

import errno
import os
import select
from collections.abc import Callable, Iterable, Mapping

from producers.wrap.outlet import Outlet

PIECE_BYTES = 65_536
MOST_LEFT_BYTES = 2 * 1024 * 1024  # of a program that has ended, in two pipes: the rest is what it left running's

Record = Callable[[bytes], None]
Ways = dict[int, Outlet]
"""From where bytes come to where they go."""
Gone = Callable[[int], bool]
"""Told that nobody reads any more what comes from a source: tells the program, and says whether to stop reading."""


def copy(
    outputs: Ways, keys: Ways, child: int, record: Record, gone: Gone, moments: Mapping[int, Callable[[], None]]
) -> None:
    """Pass on what comes, until the program has ended and nothing is left of its output.

    What it left running may hold its terminal for ever, and is not waited for. `moments` are called when they can be
    read and everything so far was shown.
    """
    passing, ended = _Passing(outputs, keys, record, gone), os.pidfd_open(child)
    is_last_look, after_end = False, 0
    while passing.is_open:
        ready = dict(passing.ready(ended, moments))
        printed = passing.serve(ready)
        if not printed:
            for moment in moments.keys() & ready:
                moments[moment]()
        if ended in ready:
            after_end += printed
            if (is_last_look and not printed) or after_end > MOST_LEFT_BYTES:
                break
            is_last_look = True  # what was printed while we looked the first time is there now
    for outlet in outputs.values():
        outlet.finish()
    os.close(ended)


class _Passing:
    """The ways that are left, and what is waited for on them: arranged anew only when bytes wait or a way ended."""

    def __init__(self, outputs: Ways, keys: Ways, record: Record, gone: Gone) -> None:
        self._outputs = dict(outputs)
        self._ways = outputs | keys
        self._outlets = {outlet.fileno(): outlet for outlet in self._ways.values()}
        self._record = record
        self._gone = gone
        self._poll: select.poll | None = None

    @property
    def is_open(self) -> bool:
        """Whether the program can still print."""
        return bool(self._outputs)

    def ready(self, ended: int, moments: Iterable[int]) -> list[tuple[int, int]]:
        """Wait; what can be done. `ended` when all its output is read, `moments` when all is shown."""
        if self._poll is None:
            self._poll = self._arranged(ended, moments)
        return self._poll.poll()

    def serve(self, ready: Mapping[int, int]) -> int:
        """Write and read what can be; how many bytes the program printed."""
        printed = 0
        for end, event in ready.items():
            if end in self._outlets and event & ~select.POLLIN:
                self._outlets[end].write()
                self._poll = None
            if end in self._ways and event & ~select.POLLOUT:
                printed += self._pass_on(end)
        return printed

    def _pass_on(self, source: int) -> int:
        piece, outlet = _read(source), self._ways[source]
        printed = len(piece) if source in self._outputs else 0
        if printed:
            self._record(piece)
        outlet.add(piece)
        if not piece or (outlet.is_gone and self._gone(source)):
            del self._ways[source]
            self._outputs.pop(source, None)
            self._poll = None
        if not outlet.is_empty:
            self._poll = None
        return printed

    def _arranged(self, ended: int, moments: Iterable[int]) -> select.poll:
        """A terminal takes keys and gives output: one end may wait for both."""
        events = {source: select.POLLIN for source, outlet in self._ways.items() if not outlet.is_full}
        if self._outputs.keys() <= events.keys():
            events[ended] = select.POLLIN
        waiting = [target for target, outlet in self._outlets.items() if not outlet.is_empty]
        for target in waiting:
            events[target] = events.get(target, 0) | select.POLLOUT
        if not waiting:
            events |= dict.fromkeys(moments, select.POLLIN)
        poll = select.poll()
        for end, event in events.items():
            poll.register(end, event)
        return poll


def _read(end: int) -> bytes:
    """What is there; nothing when the other end is closed, which Linux calls an error of a terminal."""
    try:
        return os.read(end, PIECE_BYTES)
    except BlockingIOError:  # another took it
        select.select([end], [], [])
        return _read(end)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""
