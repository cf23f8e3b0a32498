"""What passes between a program and its terminal."""

import os
import subprocess

from producers.wrap.copying import copy
from producers.wrap.outlet import Outlet


def test_output_that_came_while_the_end_was_seen_is_kept() -> None:
    """The end and the output are looked at one after the other: what was printed in between is still to be read."""
    program = subprocess.Popen(["true"])
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    output, printed = os.pipe()
    shown, terminal = os.pipe()
    moment = os.eventfd(1)
    kept: list[bytes] = []

    def prints() -> None:
        os.eventfd_read(moment)
        os.write(printed, b"last words")

    copy({output: Outlet(terminal)}, {}, program.pid, kept.append, lambda _: True, {moment: prints})
    program.wait()
    assert kept == [b"last words"]
    assert os.read(shown, 100) == b"last words"
    for end in (output, printed, shown, terminal, moment):
        os.close(end)
