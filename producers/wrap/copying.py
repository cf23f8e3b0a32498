"""What passes between a program and us: its output, kept first and shown second, and the keys."""

import errno
import os
import select
from collections.abc import Callable, Mapping

from producers.wrap.outlet import Outlet

PIECE_BYTES = 65_536

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
    ways, ended = outputs | keys, os.pidfd_open(child)
    outlets = list(ways.values())
    while left := outputs.keys() & ways.keys():
        sources = [source for source, outlet in ways.items() if not outlet.is_full]
        end = [ended] if left.issubset(sources) else []  # else there may be more to read
        waiting = [outlet for outlet in outlets if not outlet.is_empty]
        ready, taking, _ = select.select([*sources, *end, *(() if waiting else moments)], waiting, [])
        if left.isdisjoint(ready):
            for moment in moments.keys() & set(ready):
                moments[moment]()
        if ended in ready and left.isdisjoint(ready):
            break
        for source in ways.keys() & set(ready):
            piece, outlet = _read(source), ways[source]
            if piece and source in outputs:
                record(piece)
            outlet.add(piece)
            if not piece or (outlet.is_gone and gone(source)):
                del ways[source]
        for outlet in taking:
            outlet.write()
    for outlet in outputs.values():
        outlet.finish()
    os.close(ended)


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
