"""The processes of a system that is measured, and what they use."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).parent.parent
STOP_SECONDS = 30
LOG_LINES = 15  # shown of a process that failed
FRAME = re.compile(r"\s+(at |\.\.\. \d+ more)")  # a line of Java's stack traces: they would fill the end of any log


class Failed(Exception):
    """A system did not do what it was measured at; the message says how, with the last lines of its log."""


class Command(NamedTuple):
    """A process to start, in the clone's folder."""

    arguments: Sequence[str | Path]
    environment: dict[str, str]


class Processes:
    """Processes that run, and one log of them all."""

    def __init__(self, started: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
        self._started, self._log = started, log

    def check(self) -> None:
        """Raises Failed when one has ended."""
        for process in self._started:
            if (code := process.poll()) is not None:
                raise self.failed(f"process {process.pid} ended with {code}")

    def failed(self, why: str) -> Failed:
        """A failure, with the end of the log."""
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if not FRAME.match(line)]
        return Failed("\n".join([why, *lines[-LOG_LINES:]]))

    def cpu_seconds(self) -> float:
        """User and system time of all of them so far."""
        return sum(cpu_seconds(process.pid) for process in self._started)

    def peak_mb(self) -> float:
        """The sum of what each had resident at its peak."""
        return sum(peak_mb(process.pid) for process in self._started)


@contextmanager
def running(commands: Iterable[Command]) -> Iterator[Processes]:
    """The processes, ended when the block is left."""
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-log-") as folder:
        log = Path(folder) / "log"
        started: list[subprocess.Popen[bytes]] = []
        try:
            with log.open("wb") as output:
                for command in commands:
                    environment = os.environ | command.environment
                    started.append(
                        subprocess.Popen(
                            command.arguments, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
                        )
                    )
            yield Processes(started, log)
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its children, and those of them that it has outlived."""
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children()):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:  # since the list was made: the next look has it among those outlived
            continue
        total += times.user + times.system
    own = process.cpu_times()
    return total + float(own.children_user + own.children_system)


def peak_mb(pid: int) -> float:
    """What a process had resident at its peak; not a number where the system does not tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        found = None
    return int(found.group(1)) / 1024 if found else float("nan")
