"""Runs a command in a pseudo-terminal or with pipes, and copies what passes; the command cannot tell.

Each piece is given to `record` first and to the terminal second. Nothing waits for anything but the command and the
terminal, and keys pass while the terminal is slow.
"""

import contextlib
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from producers.wrap.outlet import Outlet, unshared

PIECE_BYTES = 65_536
END_OF_INPUT = b"\x04"  # typed
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells have them

Record = Callable[[bytes], None]
Resized = Callable[[int, int], None]
Ways = dict[int, Outlet]
"""From where bytes come to where they go."""
Gone = Callable[[int], bool]
"""Told that nobody reads any more what comes from a source: tells the program, and says whether to stop reading."""


def window() -> tuple[int, int]:
    """Columns and rows of the terminal that we are in; 80 and 24 where there is none."""
    for stream in (sys.__stdout__, sys.__stdin__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            columns, rows = os.get_terminal_size(stream.fileno())  # type: ignore[union-attr] # suppressed
            if columns and rows:
                return columns, rows
    return 80, 24


def in_terminal(command: Sequence[str], record: Record, resized: Resized) -> int:
    """Run in a pseudo-terminal of our terminal's size; its exit code, 128 and a signal's number when that ended it."""
    columns, rows = window()
    child, master = pty.fork()
    if child == 0:
        _become(command)
    _set_window(master, columns, rows)

    def resize(_number: int, _frame: FrameType | None) -> None:
        size = window()
        _set_window(master, *size)
        resized(*size)

    def gone(_terminal: int) -> bool:
        """As a pipe would, if the program had it: the signal is for those in the foreground, if any are left."""
        with contextlib.suppress(OSError):
            if foreground := os.tcgetpgrp(master):
                os.killpg(foreground, signal.SIGPIPE)
        return False

    os.set_blocking(master, False)
    with _signals_to(child), _raw_terminal(), _handler(signal.SIGWINCH, resize):
        _copy({master: Outlet(unshared(1))}, {0: Outlet(master)}, child, record, gone)
    os.close(master)
    return _exit_code(os.waitpid(child, 0)[1])


def with_pipes(command: Sequence[str], record: Record) -> int:
    """Run with its input ours, and its output and errors through pipes; its exit code as above."""
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        return _cannot_run(command, error)
    if process.stdout is None or process.stderr is None:
        raise AssertionError("pipes were asked for")
    pipes = {process.stdout.fileno(): process.stdout, process.stderr.fileno(): process.stderr}

    def gone(pipe: int) -> bool:
        pipes[pipe].close()
        return True

    with _signals_to(process.pid):
        _copy(dict(zip(pipes, (Outlet(unshared(1)), Outlet(unshared(2))), strict=True)), {}, process.pid, record, gone)
        code = process.wait()
    return 128 - code if code < 0 else code


def _become(command: Sequence[str]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and would leave ignored
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - the command that the user gave
    except OSError as error:
        os._exit(_cannot_run(command, error))


def _cannot_run(command: Sequence[str], error: OSError) -> int:
    os.write(2, f"siltstone: {command[0]} cannot be run: {error.strerror}\r\n".encode())
    return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _copy(outputs: Ways, keys: Ways, child: int, record: Record, gone: Gone) -> None:
    """Pass on what comes, until the program has ended and nothing is left of its output.

    What it left running may hold its terminal for ever, and is not waited for.
    """
    ways, ended = outputs | keys, os.pidfd_open(child)
    outlets = list(ways.values())
    while left := outputs.keys() & ways.keys():
        sources = [source for source, outlet in ways.items() if not outlet.is_full]
        end = [ended] if left.issubset(sources) else []  # else there may be more to read
        ready, taking, _ = select.select(sources + end, [outlet for outlet in outlets if not outlet.is_empty], [])
        for outlet in taking:
            outlet.write()
        if ended in ready and left.isdisjoint(ready):
            break
        for source in ways.keys() & set(ready):
            outlet, is_output = ways[source], source in outputs
            piece = _read(source)
            if piece and is_output:
                record(piece)
            outlet.add(piece or (b"" if is_output or os.isatty(source) else END_OF_INPUT))
            if not piece or (outlet.is_gone and gone(source)):
                del ways[source]
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


def _set_window(terminal: int, columns: int, rows: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Keys go through untouched, Ctrl-C too: the program's own terminal makes signals of them."""
    try:
        before = termios.tcgetattr(0)
    except termios.error:
        yield
        return
    tty.setraw(0)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _signals_to(child: int) -> Iterator[None]:
    """What is sent to us is sent on; that our terminal went away, too."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Ctrl-C without a pseudo-terminal reaches the whole group: the command decides what it means."""

    with contextlib.ExitStack() as handlers:
        for number in FORWARDED:
            handlers.enter_context(_handler(number, forward))
        handlers.enter_context(_handler(signal.SIGINT, ignore))
        yield


@contextlib.contextmanager
def _handler(number: signal.Signals, handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, before)


def _exit_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
