"""Runs a module behind an agent's back: in a process of its own, that takes little of the processor from the agent.

python -m workers.wrap.behind MODULE [FOLDER]

With a session's folder it loads nothing while that session's program prints in floods: loading alone takes half a
second of a processor, which a program of two seconds feels.
"""

import os
import runpy
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from producers.wrap.journal import Reader
from workers.wrap.flood import LOOK_SECONDS, Flood

PYTHON = (sys.executable, "-P", "-m")  # never a module of the folder that the agent works in
NICENESS = 10  # more, and it would come to nothing on a busy machine
AUTOGROUP = Path("/proc/self/autogroup")  # sched(7); of our session, which start() began
QUIET_LOOKS = 2  # in a row: a program begins to print a little after we do


def start(log: Path, module: str, *folder: Path) -> "subprocess.Popen[bytes]":
    """A process that outlives us, out of our terminal's reach."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [*PYTHON, "workers.wrap.behind", module, *folder],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def main() -> None:
    """Become the module."""
    step_back()
    for folder in sys.argv[2:]:
        wait_for_ebb(Path(folder))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def step_back() -> None:
    """The agent comes first, also where Linux weighs sessions of processes against each other and not each alone."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))  # who starts another has it
    with suppress(OSError):
        AUTOGROUP.write_text(str(NICENESS))


def wait_for_ebb(session: Path) -> None:
    """Until its program prints less, or has ended; what is wrong with the session is for the module to say."""
    with suppress(OSError, ValueError, TypeError), reader_of(session) as reader:
        flood, quiet = Flood(reader), 0
        while quiet < QUIET_LOOKS and not reader.writer_is_gone():
            time.sleep(LOOK_SECONDS)
            quiet = 0 if flood.is_on() else quiet + 1


def reader_of(session: Path) -> Reader:
    """Wait for whoever else reads it. Raises FileNotFoundError once it is sent."""
    while True:
        try:
            return Reader(session)
        except BlockingIOError:
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
