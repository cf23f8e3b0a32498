"""`siltstone wrap` as its user runs it: in a terminal, in a shell's line, with pipes; and what came of it."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import SILTSTONE

DEAD = "127.0.0.1:9"  # a port that nobody listens on


class Terminal:
    """`siltstone wrap` in a terminal of 100 columns and 30 rows; what it showed is in `shown`."""

    def __init__(self, installation: Installation, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.shown = b""
        self.process = subprocess.Popen(
            [SILTSTONE, "wrap", "--tenant", "acme", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment_of(installation) | (environment or {}),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - nothing else runs there
        )
        self._theirs = theirs

    @property
    def blocks_nobody(self) -> bool:
        """Whether the description that wrap was given has become one that does not block."""
        return bool(fcntl.fcntl(self._theirs, fcntl.F_GETFL) & os.O_NONBLOCK)

    def type(self, text: bytes) -> None:
        os.write(self._own, text)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        os.close(self._theirs)
        os.close(self._own)

    async def see(self, text: bytes, seconds: float = 30) -> None:
        """Wait until it has shown a text."""

        async def seen() -> bool:
            self._read()
            return text in self.shown

        await until(f"the terminal shows {text!r}, after {self.shown[-2000:]!r}", seen, seconds)

    async def ended(self, seconds: float = 60) -> int:
        async def over() -> bool:
            self._read()
            return self.process.poll() is not None

        await until("wrap ends", over, seconds)
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        os.set_blocking(self._own, False)
        with contextlib.suppress(OSError):
            while piece := os.read(self._own, 65_536):
                self.shown += piece


def environment_of(installation: Installation) -> dict[str, str]:
    return (
        os.environ | installation.environment | {"SILTSTONE_SPOOL_FOLDER": str(spool_of(installation)), "TERM": "xterm"}
    )


def spool_of(installation: Installation) -> Path:
    return installation.folder / "sessions"


def wrap(installation: Installation, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """`siltstone wrap` without a terminal around it."""
    own = environment_of(installation) | options.pop("environment", {})
    return subprocess.run(
        [SILTSTONE, "wrap", "--tenant", "acme", *arguments],
        env=own,
        capture_output=True,
        check=False,
        timeout=120,
        **options,
    )


def start(installation: Installation, *arguments: str, stdout: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    """The same, in the background; its output is lost unless `stdout` says otherwise."""
    return subprocess.Popen(
        [str(SILTSTONE), "wrap", "--tenant", "acme", *arguments],
        env=environment_of(installation),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
    )


def is_stopped(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it waits for SIGCONT."""
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    return stat.rpartition(")")[2].split()[0] == "T"


def folder_without_utf8(installation: Installation) -> Path:
    """A folder whose name ends in a byte that is none."""
    folder = Path(os.fsdecode(os.fsencode(installation.folder) + b"/d\xff"))
    folder.mkdir()
    return folder


def shell(installation: Installation, rest: str) -> subprocess.CompletedProcess[bytes]:
    """`siltstone wrap` as a line of a shell."""
    line = f"{SILTSTONE} wrap --tenant acme {rest}"
    own = environment_of(installation)
    return subprocess.run(["bash", "-c", line], env=own, capture_output=True, check=False, timeout=60)


async def ready(installation: Installation) -> None:
    await installation.create_topics()
    await installation.worker("--family", "extraction").ready()


async def session_of(installation: Installation, state: str, seconds: float = 60) -> dict[str, Any]:
    """Wait until the one session is in a state; its row."""

    async def found() -> dict[str, Any]:
        rows = await installation.fetch("SELECT * FROM session")
        assert len(rows) <= 1
        return rows[0] if rows and rows[0]["state"] == state else {}

    return await until(f"the session is {state}", found, seconds)


async def sent(installation: Installation, seconds: float = 60) -> None:
    async def empty() -> bool:
        return not any(spool_of(installation).iterdir())

    await until("the spool is empty", empty, seconds)


def spool_command(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([SILTSTONE, "spool", *arguments], env=environment, capture_output=True, check=False)


def recorders(installation: Installation, module: str = "workers.wrap.recording") -> list[int]:
    """The processes of a module that have this installation's spool."""
    found = subprocess.run(["pgrep", "-f", f"{module}"], capture_output=True, check=False)
    own = f"SILTSTONE_SPOOL_FOLDER={spool_of(installation)}".encode()
    numbers = []
    for number in found.stdout.split():
        with contextlib.suppress(OSError):
            if own in Path(f"/proc/{int(number)}/environ").read_bytes().split(b"\0"):
                numbers.append(int(number))
    return numbers
