"""PostgreSQL from a wheel: one server on 127.0.0.1, its data in a folder."""

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from localstack.account import Account, make_home, programs
from localstack.errors import failed
from localstack.folder import flush, write_whole
from localstack.ports import HOST
from localstack.processes import alive, end, find, kill, run, spawn, wait_until

LOGIN = "siltstone"  # the superuser, and its database
START_SECONDS = 120.0  # a recovery after a crash replays up to max_wal_size
STOP_SECONDS = 30.0
ORPHAN_SECONDS = 5.0  # backends notice the death of their postmaster within a second

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, a folder's name more
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "fsync": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "dynamic_shared_memory_type": "mmap",  # a container's /dev/shm has 64 MB; systemd empties it at a logout
}


@dataclass(frozen=True)
class Postgres:
    """One server: `place` holds data, log, and what a setup that was cut short left."""

    place: Path
    who: Account

    @property
    def data(self) -> Path:
        return self.place / "data"

    @property
    def log(self) -> Path:
        return self.place / "postgres.log"

    def running(self) -> psutil.Process | None:
        """The server of exactly this data, whoever started it.

        The number in postmaster.pid may by now be another process's: a server works in its data's folder.
        """
        try:
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
            if alive(process) and self._is_here(process):
                return process
        except (OSError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            pass
        return None

    def port(self) -> int | None:
        """Where the running server listens, as it wrote itself."""
        lines = self._pid_file()
        return int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else None  # noqa: PLR2004

    def prepare(self, password: str) -> None:
        """Make the data if there is none: aside, then renamed, so `data` is whole."""
        make_home(self.place, self.who)
        new = self.place / "data.new"
        if self.data.is_dir():
            return
        self._end_strays(0)
        shutil.rmtree(new, ignore_errors=True)
        secret = self.place / "initdb-password"
        try:
            write_whole(secret, password + "\n")
            self.who.owns(secret)
            self._run(
                "initdb", "-D", str(new), "-U", LOGIN, f"--pwfile={secret}", "--auth=scram-sha-256",
                "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                "--no-instructions",
            )  # fmt: skip
        finally:
            secret.unlink(missing_ok=True)
        self._single(new, f"CREATE DATABASE {LOGIN};")
        new.rename(self.data)
        flush(self.place)

    def set_password(self, password: str) -> None:
        """Give the login a new password, of letters, digits, - and _; the server is stopped first."""
        self.stop()
        self._clear_stale()
        self._single(self.data, f"ALTER ROLE {LOGIN} PASSWORD '{password}';")

    def launch(self, port: int, extra: Mapping[str, str]) -> psutil.Process | None:
        """Start the server; `ready` tells when it answers."""
        self._end_strays(ORPHAN_SECONDS)
        self._clear_stale()
        binaries = programs(self.who)
        settings = dict(SETTINGS)
        if (binaries.parent / "lib/pg_stat_statements.so").exists():
            settings["shared_preload_libraries"] = "pg_stat_statements"
        settings |= {**extra, "port": str(port)}
        self.log.touch(0o600)
        return spawn(
            [
                binaries / "postgres",
                "-D",
                self.data,
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            cwd=self.place,
            log=self.log,
            environment=_environment(),
            user=self.who.user,
        )

    def ready(self, process: psutil.Process | None) -> bool:
        """Wait until the server answers; False when it ended instead."""
        if process is None:
            return False

        def settled() -> bool:
            return not alive(process) or self._answers(process)

        if not wait_until(settled, START_SECONDS):
            raise failed(
                f"Postgres (process {process.pid}) does not answer after {START_SECONDS:.0f} s; "
                "it may be recovering from a crash: run `siltstone stack up` again",
                self.log,
            )
        return alive(process)

    def stop(self, mode: str = "fast", say: Callable[[str], None] = lambda _: None) -> bool:
        """Stop the server, `fast` (sessions are ended) or `immediate` (as in a crash); True when one ran.

        What does not end within 30 s is killed: the next start then recovers, as after a crash.
        """
        process = self.running()
        if process is not None:
            sent = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
            end(process, sent, STOP_SECONDS, say)
        self._end_strays(ORPHAN_SECONDS)
        return process is not None

    def _answers(self, process: psutil.Process) -> bool:
        lines = self._pid_file()
        return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"  # noqa: PLR2004

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _is_here(self, process: psutil.Process) -> bool:
        return process.name() == "postgres" and Path(process.cwd()) == self.data

    def _end_strays(self, patience_seconds: float) -> None:
        """End what a dead server or a setup that was killed left running: Postgres would refuse to start."""
        places = (self.place, self.data, self.place / "data.new")

        def is_stray(process: psutil.Process) -> bool:
            return process.name() in ("postgres", "initdb") and Path(process.cwd()) in places

        if self.running() is None and not wait_until(lambda: not find(is_stray), patience_seconds):
            kill(find(is_stray))

    def _clear_stale(self) -> None:
        """Remove the pid file of a dead server: its number may by now be that of another process of ours."""
        if self.running() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _single(self, data: Path, statement: str) -> None:
        self._run("postgres", "--single", "-D", str(data), "template1", told=statement + "\n")

    def _run(self, program: str, *arguments: str, told: str = "") -> None:
        done = run(
            [programs(self.who) / program, *arguments],
            cwd=self.place,
            environment=_environment(),
            user=self.who.user,
            told=told,
        )
        with self.log.open("a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        self.who.owns(self.log)
        if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
            raise failed(f"Postgres cannot be set up: {program} ended with {done.returncode}", self.log)


def _environment() -> dict[str, str]:
    """Nothing of the user's: no PG* variable or locale reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}
