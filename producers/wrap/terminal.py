"""Runs a command in a pseudo-terminal or with pipes, and copies what passes; the command cannot tell.

Each piece is given to `record` first and to the terminal second. Nothing waits for anything but the command and the
terminal, and keys pass while the terminal is slow.
"""

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from producers.wrap.copying import Record, Ways, copy
from producers.wrap.keyboard import Keyboard
from producers.wrap.outlet import Outlet, unshared

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells have them
FIRST_FILE = 3  # behind standard input, output and errors

Resized = Callable[[int, int], None]
Handler = Callable[[int, FrameType | None], None]


def window() -> tuple[int, int]:
    """Columns and rows of the terminal that we are in; 80 and 24 where there is none."""
    for stream in (sys.__stdout__, sys.__stdin__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            columns, rows = os.get_terminal_size(stream.fileno())  # type: ignore[union-attr] # suppressed
            if columns and rows:
                return columns, rows
    return 80, 24


def in_terminal(command: Sequence[str], record: Record, resized: Resized) -> int:
    """Run in a pseudo-terminal of our terminal's size; its exit code, 128 and a signal's number when that ended it.

    Input that is no terminal is the command's own, untouched.
    """
    return _InTerminal(command, resized).run(record)


class _InTerminal:
    """A command in a terminal of its own, and what is done for it when we get a signal."""

    def __init__(self, command: Sequence[str], resized: Resized) -> None:
        self._resized = resized
        self._keyboard = Keyboard()
        self._master, self._theirs = os.openpty()  # theirs stays open: the command may close and open it as it likes
        os.set_blocking(self._master, False)
        self._keyboard.copy_to(self._theirs)
        _set_window(self._master, *window())
        self._stopped = os.eventfd(0, os.EFD_CLOEXEC)
        self._child = os.fork()
        if self._child == 0:
            _lead(command, self._theirs)

    def run(self, record: Record) -> int:
        """Until it ends; its exit code."""
        handled: dict[signal.Signals, Handler] = {
            signal.SIGWINCH: self._resize,
            signal.SIGINT: self._interrupt,
            signal.SIGTSTP: self._stop,
            signal.SIGCHLD: self._has_changed,
        }
        keys: Ways = {0: Outlet(self._master)} if self._keyboard.is_there else {}
        with _signals_to(self._child, handled), self._keyboard:
            for outlet in keys.values():
                outlet.add(self._keyboard.early())
            copy(
                {self._master: Outlet(unshared(1))}, keys, self._child, record, self._gone, {self._stopped: self._pause}
            )
        for end in (self._theirs, self._master, self._stopped):
            os.close(end)
        return _exit_code(os.waitpid(self._child, 0)[1])

    def _to_foreground(self, number: int) -> None:
        """Those in the foreground of its terminal, if any are left."""
        with contextlib.suppress(OSError):
            if foreground := os.tcgetpgrp(self._master):
                os.killpg(foreground, number)

    def _resize(self, _number: int, _frame: FrameType | None) -> None:
        size = window()
        _set_window(self._master, *size)
        self._resized(*size)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-C where the terminal is not our input, or a signal to us alone."""
        self._to_foreground(signal.SIGINT)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z where the terminal is not our input; that the command stops stops us."""
        self._to_foreground(signal.SIGTSTP)

    def _has_changed(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ChildProcessError):  # it has ended
            if os.waitid(os.P_PID, self._child, os.WSTOPPED | os.WNOHANG):
                os.eventfd_write(self._stopped, 1)

    def _pause(self) -> None:
        """Stop as the command did, so that the shell that we were started from comes back; go on when it says so."""
        os.eventfd_read(self._stopped)
        self._keyboard.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._keyboard.take()
        _set_window(self._master, *window())
        self._to_foreground(signal.SIGCONT)
        os.kill(self._child, signal.SIGCONT)

    def _gone(self, _terminal: int) -> bool:
        """As a pipe would, if the program had it."""
        self._to_foreground(signal.SIGPIPE)
        return False


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

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Ctrl-C reaches the whole group: the command decides what it means."""

    outputs = dict(zip(pipes, (Outlet(unshared(1)), Outlet(unshared(2))), strict=True))
    with _signals_to(process.pid, {signal.SIGINT: ignore}):
        copy(outputs, {}, process.pid, record, gone, {})
        code = process.wait()
    return 128 - code if code < 0 else code


def _lead(command: Sequence[str], terminal: int) -> NoReturn:
    """In the forked child: lead the terminal's session as a shell would, and stop and end as the command does.

    Without a parent in its session nobody is stopped by Ctrl-Z: POSIX has no process of an orphaned group stopped so.
    """
    own_input = None if os.isatty(0) else os.dup(0)
    os.login_tty(terminal)
    child = os.fork()
    if child == 0:
        _become(command, own_input)
    for file in map(int, (path.name for path in Path("/proc/self/fd").iterdir())):
        if file >= FIRST_FILE:  # the journal's lock, and both ends of the terminal
            with contextlib.suppress(OSError):  # the listing's own
                os.close(file)
    with _signals_to(child, {}):
        while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
            os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(_exit_code(status))


def _become(command: Sequence[str], own_input: int | None) -> NoReturn:
    """In the child of that: the command, in the terminal's foreground."""
    os.setpgid(0, 0)
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(1, os.getpid())
    signal.signal(signal.SIGTTOU, before)
    if own_input is not None:
        os.dup2(own_input, 0)
        os.close(own_input)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and would leave ignored
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - the command that the user gave
    except OSError as error:
        os._exit(_cannot_run(command, error))


def _cannot_run(command: Sequence[str], error: OSError) -> int:
    os.write(2, f"siltstone: {command[0]} cannot be run: {error.strerror}\r\n".encode())
    return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _set_window(terminal: int, columns: int, rows: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.contextmanager
def _signals_to(child: int, handled: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """What is sent to us is sent on; that our terminal went away, too."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    before |= {number: signal.signal(number, handler) for number, handler in handled.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
