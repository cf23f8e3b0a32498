"""The operating system's side of a part: running it, finding it again, ending it."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from localstack.errors import StackError

POLL_SECONDS = 0.02
LOG_MAX_BYTES = 16 * 1024 * 1024  # at a start a longer log becomes the one before, which is dropped

User = tuple[int, int] | None  # uid and gid to run as, where we are root; None: as we are

# The shell ends at once, so the part is a child of the system's first process, and outlives our command.
_DETACH = '"$@" </dev/null 1>&2 & echo $!'


def spawn(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path,
    environment: Mapping[str, str],
    user: User = None,
) -> psutil.Process | None:
    """Start `command` in a session of its own, its output appended to `log`; None when it ended at once."""
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        shell = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *map(str, command)],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            check=True,
            user=user and user[0],
            group=user and user[1],
            extra_groups=user and [],
        )
    try:
        return psutil.Process(int(shell.stdout))
    except psutil.NoSuchProcess:
        return None


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    user: User = None,
    told: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end, `told` on its standard input; capture its output, do not check its code."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        input=told,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        user=user and user[0],
        group=user and user[1],
        extra_groups=user and [],
    )


def alive(process: psutil.Process) -> bool:
    """`process` runs: neither gone, nor a zombie that nobody has reaped, nor another one with its number."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listens(process: psutil.Process, port: int) -> bool:
    """It is `process` that others reach on a TCP port."""
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in connections)


def find(wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Every live process for which `wanted` is true; those that may not be looked into are passed over."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and wanted(process) and alive(process):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(process: psutil.Process, signal: int, seconds: float, say: Callable[[str], None]) -> None:
    """Send `signal` and wait; after `seconds` say so, and send SIGKILL."""
    try:
        process.send_signal(signal)
    except psutil.NoSuchProcess:
        return
    if not wait_until(lambda: not alive(process), seconds):
        say(f"process {process.pid} ({process.name()}) did not stop within {seconds:.0f} s; killing it")
        kill([process])


def kill(processes: Sequence[psutil.Process], seconds: float = 10) -> None:
    """SIGKILL, and wait until they are gone."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    if not wait_until(lambda: not any(alive(p) for p in processes), seconds):
        raise StackError(f"process {processes[0].pid} does not end on SIGKILL; is its disk hanging?")
