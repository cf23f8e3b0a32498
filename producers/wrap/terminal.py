"""Runs a command in a pseudo-terminal or with pipes, and copies what passes; the command cannot tell.

Each piece is given to `record` first and to the terminal second. Nothing here waits for anything but the command and
the terminal itself.
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

PIECE_BYTES = 65_536
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells have them

Record = Callable[[bytes], None]
Resized = Callable[[int, int], None]


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

    with _signals_to(child), _raw_terminal(), _handler(signal.SIGWINCH, resize):
        _copy(master, child, record)
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
    targets = {process.stdout.fileno(): 1, process.stderr.fileno(): 2}
    open_ends, ended = set(targets), os.pidfd_open(process.pid)
    with _signals_to(process.pid):
        while open_ends:
            ready, _, _ = select.select([*open_ends, ended], [], [])
            if ready == [ended]:  # what it left running may hold the other ends for ever
                break
            for end in open_ends.intersection(ready):
                piece = os.read(end, PIECE_BYTES)
                if piece:
                    record(piece)
                    _write(targets[end], piece)
                else:
                    open_ends.discard(end)
        code = process.wait()
    os.close(ended)
    return 128 - code if code < 0 else code


def _become(command: Sequence[str]) -> None:
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - the command that the user gave
    except OSError as error:
        os._exit(_cannot_run(command, error))


def _cannot_run(command: Sequence[str], error: OSError) -> int:
    os.write(2, f"siltstone: {command[0]} cannot be run: {error.strerror}\r\n".encode())
    return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _copy(master: int, child: int, record: Record) -> None:
    """Output to the terminal and keys to the program, until it has ended and nothing is left of its output.

    What it left running may hold its terminal for ever, and is not waited for.
    """
    keys, ended = 0, os.pidfd_open(child)  # 0: our standard input
    watched = [master, keys, ended]
    is_terminal = os.isatty(keys)
    while True:
        ready, _, _ = select.select(watched, [], [])
        if master in ready:
            piece = _read_all(master)
            if not piece:
                break
            record(piece)
            _write(1, piece)
        elif ended in ready:
            break
        if keys in ready:
            typed = _read(keys)
            if typed:
                _write(master, typed)
            else:
                watched.remove(keys)
                if not is_terminal:
                    _write(master, b"\x04")  # the end of a file that was our input is the program's too
    os.close(ended)


def _read_all(master: int) -> bytes:
    """What is there, up to PIECE_BYTES: one read of a terminal gives 4 KiB at most."""
    pieces = [_read(master)]
    size = len(pieces[0])
    while pieces[-1] and size < PIECE_BYTES and select.select([master], [], [], 0)[0]:
        pieces.append(_read(master))
        size += len(pieces[-1])
    return b"".join(pieces)


def _read(end: int) -> bytes:
    """What is there; nothing when the other end is closed, which Linux calls an error of a terminal."""
    try:
        return os.read(end, PIECE_BYTES)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def _write(target: int, piece: bytes) -> None:
    """All of it; a target that has gone away is no reason to stop the command."""
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:
            select.select([], [target], [])
        except OSError:
            return


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
