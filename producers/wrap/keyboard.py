"""Our terminal, while a program has one of its own."""

import contextlib
import fcntl
import os
import struct
import termios
import tty
from typing import Any, Self


class Keyboard:
    """Keys go through untouched, Ctrl-C too: the program's own terminal acts on them. Nothing where we have none."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        with contextlib.suppress(termios.error, OSError):
            if os.tcgetpgrp(0) == os.getpgrp():  # else we were started in the background, and who touches it is stopped
                self._before = termios.tcgetattr(0)

    @property
    def is_there(self) -> bool:
        """Whether our input is a terminal, and ours."""
        return self._before is not None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def copy_to(self, terminal: int) -> None:
        """Another terminal is as ours was."""
        if self._before:
            termios.tcsetattr(terminal, termios.TCSANOW, self._before)

    def take(self) -> None:
        if self._before:
            with contextlib.suppress(termios.error):
                tty.setraw(0, termios.TCSADRAIN)  # what was typed already is for the program

    def early(self) -> bytes:
        """What was typed before take(): Linux keeps an end of input that nobody read yet as NUL."""
        if not self._before:
            return b""
        count = struct.unpack("i", fcntl.ioctl(0, termios.FIONREAD, bytes(4)))[0]
        return os.read(0, count).replace(b"\0", self._before[6][termios.VEOF]) if count else b""

    def give_back(self) -> None:
        if self._before:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)
