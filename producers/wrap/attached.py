"""Runs the agent's command with its output kept: the process that `siltstone wrap` becomes.

    python -P -m producers.wrap.attached FILE MOST_BYTES STARTED pty|pipes SENDER COMMAND…

FILE is the journal's, open and locked, STARTED the session's start in seconds since 1970, SENDER the process that sends
it when it is to be waited for, else 0. It imports the standard library alone: beside an agent it is small.
"""

import os
import select
import sys
import time
from contextlib import suppress

from producers.wrap import terminal
from producers.wrap.frames import Frame, Kind
from producers.wrap.journal import Journal

WAIT_SECONDS = 120.0


def run(journal: Journal, started: float, command: list[str], *, pty: bool) -> int:
    """Run the command; its exit code. Says on the terminal, once, when what it prints can be kept no longer."""
    told = False

    def add(kind: Kind, data: bytes) -> None:
        nonlocal told
        # By the clock that whoever reads behind looks at, to see how long nothing was printed.
        journal.add(Frame(max(0, int((time.time() - started) * 1_000_000)), kind, data))
        if journal.trouble and not told:
            told = True
            add(Kind.CUT, journal.trouble.encode())
            _say(f"\r\nsiltstone: what follows is not recorded: {journal.trouble}\r\n")

    def record(piece: bytes) -> None:
        add(Kind.OUTPUT, piece)

    def resized(columns: int, rows: int) -> None:
        add(Kind.RESIZE, f"{columns} {rows}".encode())

    code = terminal.in_terminal(command, record, resized) if pty else terminal.with_pipes(command, record)
    add(Kind.ENDED, str(code).encode())
    journal.close()
    return code


def wait_for(sender: int) -> None:
    """Wait until everything was sent; says when it was not."""
    with suppress(ChildProcessError):
        handle = os.pidfd_open(sender)
        ended, _, _ = select.select([handle], [], [], WAIT_SECONDS)
        if ended and os.waitstatus_to_exitcode(os.waitpid(sender, 0)[1]) == 0:
            return
    _say("siltstone: the session is not sent yet; siltstone spool flush sends it when Kafka can be reached\n")


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode())


def main() -> int:
    """The command's exit code."""
    file, most_bytes, started, how, sender, *command = sys.argv[1:]
    os.set_inheritable(int(file), False)  # the agent has no part in it
    journal = Journal(os.fdopen(int(file), "wb", buffering=0), int(most_bytes))
    code = run(journal, float(started), command, pty=how == "pty")
    if int(sender):
        wait_for(int(sender))
    return code


if __name__ == "__main__":
    sys.exit(main())
