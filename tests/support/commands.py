"""Commands of the program, each in a process of its own that need not import the program again.

A server that has it imported forks once for each command: that is what makes hundreds of them affordable.
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import connection
from pathlib import Path
from signal import Signals

from workers.cli.main import COMMANDS, main

Done = subprocess.CompletedProcess[str]

_context = multiprocessing.get_context("forkserver")
_modules = {place.partition(":")[0] for place in COMMANDS.values()}
# What commands import only when they run; all of them together.
_WORKING = (
    *("workers.app", "workers.database", "workers.verify", "workers.redrive", "workers.importing", "workers.publisher"),
    *("workers.topics", "workers.letter_index", "workers.demo.command"),
    *("workers.cli.dlq.editing", "workers.cli.dlq.standing", "persistence.letter_actions", "persistence.letter_reads"),
    *("persistence.partitions", "persistence.redrives"),
)
_context.set_forkserver_preload([*sorted(_modules), *_WORKING, "tests.support.commands"])
_asking = threading.Lock()  # an exit code can be read once: by whoever asks first, and by every start


class Started:
    """`siltstone` with these arguments, started; as `subprocess.Popen`, as far as it is used here.

    `first` is called in its process before. It ends with the session when nobody ends it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        places: tuple[Path, Path, Path],
        first: Callable[[], None] | None = None,
    ) -> None:
        self.args = ["siltstone", *arguments]
        own = (list(arguments), dict(environment), Path.cwd(), places, first)
        self._process = _context.Process(target=_become, args=own, daemon=True)
        with _asking:
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        with _asking:
            return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(Signals.SIGKILL)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    stdin: bytes | None = None,
    *,
    seconds: float = 180,
    first: Callable[[], None] | None = None,
) -> Done:
    """Run `siltstone` with these arguments to its end; `first` is called in its process before."""
    with tempfile.TemporaryDirectory() as folder:
        given, stdout, stderr = (Path(folder) / name for name in ("stdin", "stdout", "stderr"))
        for place, content in ((given, stdin or b""), (stdout, b""), (stderr, b"")):
            place.write_bytes(content)
        process = Started(arguments, environment, (given, stdout, stderr), first)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return subprocess.CompletedProcess(list(arguments), code, *(p.read_bytes().decode() for p in (stdout, stderr)))


def _become(
    arguments: list[str],
    environment: dict[str, str],
    folder: Path,
    places: tuple[Path, Path, Path],
    first: Callable[[], None] | None,
) -> None:
    """In the new process: be the program, as a shell would have started it."""
    gc.freeze()  # what was imported stays
    os.environ.clear()
    os.environ.update(environment)
    for number, place in enumerate(places):
        opened = os.open(place, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.argv = ["siltstone", *arguments]
    os.chdir(folder)
    if first is not None:
        first()
    main()
