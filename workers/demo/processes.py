"""Worker processes as a user runs them: started, killed, stopped in order, and never left behind."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

# The same program from the same interpreter, wherever it is installed; -P keeps the current folder out of its path.
PROGRAM = (sys.executable, "-P", "-c", "from workers.cli.main import main; main()")
READY_SECONDS = 60.0
STOP_SECONDS = 40.0  # above the worker's own limit for finishing what is in flight
POLL_SECONDS = 0.1


class WorkerFailed(Exception):
    """A worker ended by itself or did not become ready; the message has its last words."""


class Worker:
    """One `siltstone worker`, its log in a file."""

    def __init__(self, number: int, environment: Mapping[str, str], folder: Path) -> None:
        self.number = number
        self._log = folder / f"worker-{number}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*PROGRAM, "worker"],
                env=dict(environment) | {"SILTSTONE_HTTP_PORT": "0", "SILTSTONE_LOG_FORMAT": "json"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demonstration alone, which then stops its workers
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it has joined its groups."""
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(self._answers):
                self.check()
                await asyncio.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Raise WorkerFailed when it has ended."""
        if self._process.poll() is not None:
            raise WorkerFailed(f"worker {self.number} ended with exit code {self._process.returncode}: {self._last()}")

    def kill(self) -> None:
        """SIGKILL: it can neither finish nor say goodbye."""
        self._process.kill()
        self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, and its exit code once it has finished what is in flight."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, STOP_SECONDS)

    def end(self) -> None:
        """Whatever happened, it does not outlive the demonstration: SIGTERM, then SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self.kill()

    def _answers(self) -> bool:
        port = re.search(r'"http_port": (\d+)', self._log.read_text(errors="replace"))
        if port is None:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port.group(1)}/health/ready", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _last(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        plain = [line for line in lines if not line.startswith("{")]
        if plain:
            return plain[-1]
        try:
            return str(json.loads(lines[-1]).get("because", lines[-1]))
        except (IndexError, ValueError):
            return "it said nothing"
