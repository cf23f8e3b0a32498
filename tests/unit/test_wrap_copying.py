"""What passes between a program and its terminal."""

import os
import select
import subprocess
from pathlib import Path

from producers.wrap.copying import MOST_LEFT_BYTES, copy
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


def test_what_a_program_left_running_is_not_followed_for_ever(tmp_path: Path) -> None:
    """However fast it prints: what the program itself had printed is less than two pipes hold."""
    program = subprocess.Popen(["true"])
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    (tmp_path / "left").touch()
    os.truncate(tmp_path / "left", 20 * MOST_LEFT_BYTES)
    kept: list[bytes] = []
    with (tmp_path / "left").open("rb") as output, (tmp_path / "shown").open("wb") as terminal:
        outputs = {output.fileno(): Outlet(terminal.fileno())}
        copy(outputs, {}, program.pid, kept.append, lambda _: True, {})
    program.wait()
    assert MOST_LEFT_BYTES < sum(map(len, kept)) < 2 * MOST_LEFT_BYTES
    assert (tmp_path / "shown").stat().st_size == sum(map(len, kept))


def test_a_stream_that_might_wait_is_written_to_when_it_takes_something() -> None:
    """Sockets, and others' terminals, cannot be opened anew: keys and errors must not wait behind them."""
    shown, terminal = os.pipe()
    outlet = Outlet(terminal)
    outlet.add(b"a")
    assert select.select([shown], [], [], 0) == ([], [], [])
    outlet.add(b"b")
    outlet.write()
    assert outlet.is_empty
    os.set_blocking(terminal, False)
    outlet = Outlet(terminal)
    outlet.add(b"c")
    assert outlet.is_empty
    assert os.read(shown, 100) == b"abc"
    os.close(shown)
    os.close(terminal)
