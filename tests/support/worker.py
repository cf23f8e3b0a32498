"""A worker as its user runs it: a process of its own."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.commands import Started
from tests.support.waiting import until

SILTSTONE = Path(sys.executable).parent / "siltstone"


class WorkerProcess:
    """`siltstone worker` in a process of its own, its log in a file.

    `anew` starts an interpreter for it, as a user does; otherwise it is forked from one that has the program imported.
    """

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str, anew: bool = False) -> None:
        self.log_path = log
        log.write_bytes(b"")
        own = os.environ | environment | {"SILTSTONE_HTTP_PORT": "0", "SILTSTONE_LOG_FORMAT": "json"}
        self.process: Started | subprocess.Popen[bytes]
        if anew:
            with log.open("ab") as opened:
                command = [str(SILTSTONE), "worker", *arguments]
                self.process = subprocess.Popen(command, env=own, stdout=opened, stderr=opened)
        else:
            self.process = Started(["worker", *arguments], own, (Path(os.devnull), log, log))

    @property
    def log(self) -> str:
        """Everything that it said so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def port(self) -> int | None:
        """The port of its HTTP, once it said so."""
        found = re.search(r'"http_port": (\d+)', self.log)
        return int(found.group(1)) if found else None

    async def ready(self, seconds: float = 60) -> "WorkerProcess":
        """Wait until it has joined its groups."""

        async def joined() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.log}")
            status, _ = await self.get("/health/ready")
            return status == 200

        await until("the worker is ready", joined, seconds)
        return self

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of its HTTP; (0, "") while it does not answer."""
        if self.port is None:
            return 0, ""
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.port}{path}")

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        _, body = await self.get("/metrics")
        total = 0.0
        for line in body.splitlines():
            if line.startswith((name + "{", name + " ")) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    async def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 45) -> int:
        """Send a signal and wait for the end; the exit code (negative for a signal)."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return await asyncio.to_thread(self.process.wait, seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()

    async def ended(self, seconds: float = 60) -> int:
        """Wait until it ends by itself; its exit code."""
        try:
            return await asyncio.to_thread(self.process.wait, seconds)
        finally:
            await self.stop(signal.SIGKILL)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log lines of one event."""
        lines = [line for line in self.log.splitlines() if line.startswith("{")]
        return [entry for line in lines if (entry := json.loads(line)).get("event") == name]


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own address
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
