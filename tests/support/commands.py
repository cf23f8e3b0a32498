"""Commands of the program, each in a process of its own that need not import the program again.

A server that has it imported forks once for each command: that is what makes hundreds of them affordable.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Done = subprocess.CompletedProcess[str]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["workers.cli.main", "tests.support.commands"])


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
        places = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
        places[0].write_bytes(stdin or b"")
        process = _context.Process(target=_become, args=(list(arguments), dict(environment), Path.cwd(), places, first))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(arguments), seconds)
        texts = [place.read_bytes().decode() for place in places[1:]]
        return subprocess.CompletedProcess(list(arguments), process.exitcode, *texts)


def _become(
    arguments: list[str],
    environment: dict[str, str],
    folder: Path,
    places: list[Path],
    first: Callable[[], None] | None,
) -> None:
    """In the new process: be the program, as a shell would have started it."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, place in enumerate(places):
        opened = os.open(place, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    sys.argv = ["siltstone", *arguments]
    from workers.cli.main import main  # noqa: PLC0415 - imported by the server already

    if first is not None:
        first()
    main()
