"""`make bench-wrap`: what `siltstone wrap` costs an agent that prints 100 MB, into a terminal and into a pipe.

Both are read as fast as they go. The same program runs directly, with what only passes the bytes on (Python's own
`pty.spawn`, `cat`), with what only keeps them (util-linux's `script`, `tee`), and wrapped, in turn; it says how long
its printing took. The broker's address is one that nobody listens on, so that nothing but the agent's side is measured.
"""

import argparse
import csv
import os
import platform
import pty
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.processes import peak_mb

RESULTS = Path(__file__).parent / "results_wrap.csv"
SILTSTONE = Path(sys.executable).parent / "siltstone"
PRINTS = """
import sys, time
count, told, work = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
line = "step {:9d}: what an agent says while it works, " + "x" * 40 + "\\n"
began = time.perf_counter()
for number in range(0, count, 100):
    sys.stdout.write("".join(line.format(number + n) for n in range(100)))
    until = time.perf_counter() + work
    while time.perf_counter() < until:
        pass
sys.stdout.flush()
open(told, "w").write(str(time.perf_counter() - began))
"""
RELAYS = "import os, pty, sys; pty.spawn(sys.argv[1:], lambda terminal: os.read(terminal, 65536))"
SHELL, SCRIPT = "/bin/sh", "/usr/bin/script"
LINE_BYTES = 101
PIECE_BYTES, LOOK_EVERY = 65_536, 500  # reads between two looks at the wrapper's memory
COLUMNS = (
    "at,into,megabytes,work_us_a_line,rounds,direct_s,relayed_s,kept_s,wrapped_s,relayed_ratio,kept_ratio,"
    "wrapped_ratio,wrap_peak_mb,whole_s,cores,python"
)


class Run(NamedTuple):
    """Seconds that the program's printing took, and the whole command; the wrapper's peak memory in MB."""

    printing: float
    whole: float
    peak_mb: float


def run(command: Sequence[str | Path], into: str, told: Path, environment: dict[str, str]) -> Run:
    """Run with its output read as fast as it goes."""
    began, peak = time.perf_counter(), 0.0
    process, ours = (_in_terminal if into == "terminal" else _in_pipe)(command, environment)
    pieces = 0
    try:
        while os.read(ours, PIECE_BYTES):
            pieces += 1
            if pieces % LOOK_EVERY == 0:
                peak = max(peak, peak_mb(process))
    except OSError:  # the other end of a terminal is closed
        pass
    os.waitpid(process, 0)
    os.close(ours)
    return Run(float(told.read_text()), time.perf_counter() - began, peak)


def _in_terminal(command: Sequence[str | Path], environment: dict[str, str]) -> tuple[int, int]:
    """Its process, and the other end of the terminal that it leads, as it would a user's."""
    process, ours = pty.fork()
    if process == 0:
        os.execve(command[0], [str(word) for word in command], environment)  # noqa: S606 - no shell's
    return process, ours


def _in_pipe(command: Sequence[str | Path], environment: dict[str, str]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    return process.pid, ours


def measure(into: str, megabytes: int, rounds: int, work_us: float) -> None:
    """Print the medians, and append them to results_wrap.csv."""
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-wrap-") as folder:
        told, log = Path(folder) / "told", Path(folder) / "kept"
        count = megabytes * 1_000_000 // LINE_BYTES
        program: list[str | Path] = [sys.executable, "-c", PRINTS, str(count), str(told), str(work_us * 100 / 1e6)]
        line = shlex.join(map(str, program))
        commands: dict[str, list[str | Path]] = {
            "direct": program,
            "relayed": [sys.executable, "-c", RELAYS, *program]
            if into == "terminal"
            else [SHELL, "-c", f"{line} | cat"],
            "kept": [SCRIPT, "-q", "-c", line, log] if into == "terminal" else [SHELL, "-c", f"{line} | tee {log}"],
            "wrapped": [SILTSTONE, "wrap", "--tenant", "bench", "--", *program],
        }
        found: dict[str, list[Run]] = {name: [] for name in commands}
        for number in range(rounds):
            environment = os.environ | {
                "SILTSTONE_SPOOL_FOLDER": str(Path(folder) / f"sessions-{number}"),  # none that was left behind
                "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            }
            for name, command in commands.items():
                found[name].append(run(command, into, told, environment))
                subprocess.run(["pkill", "-f", folder], check=False)  # what reads the journal behind
            times = ", ".join(f"{name} {runs[-1].printing:.2f} s" for name, runs in found.items())
            print(f"into a {into}, round {number + 1}: {times}")
    keep(found, into, megabytes, work_us)


def keep(found: dict[str, list[Run]], into: str, megabytes: int, work_us: float) -> None:
    """Print the medians, with each round's ratio to the direct run of that round, and append them."""
    seconds = {name: statistics.median(run.printing for run in runs) for name, runs in found.items()}
    ratios = {
        name: statistics.median(
            run.printing / direct.printing for run, direct in zip(runs, found["direct"], strict=True)
        )
        for name, runs in found.items()
    }
    whole = statistics.median(run.whole for run in found["wrapped"])
    peak = max(run.peak_mb for run in found["wrapped"])
    print(
        f"{megabytes} MB into a {into}: "
        + ", ".join(f"{name} {seconds[name]:.2f} s ({ratios[name]:.3f})" for name in found)
    )
    print(f"wrap held {peak:.0f} MB")
    row = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "into": into,
        "megabytes": megabytes,
        "work_us_a_line": work_us,
        "rounds": len(found["direct"]),
        **{f"{name}_s": round(value, 3) for name, value in seconds.items()},
        **{f"{name}_ratio": round(value, 3) for name, value in ratios.items() if name != "direct"},
        "wrap_peak_mb": round(peak),
        "whole_s": round(whole, 2),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS.split(","))
        if new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work-us", type=float, default=0, help="of work a line, beside its printing")
    options = parser.parse_args()
    for into in ("terminal", "pipe"):
        measure(into, options.megabytes, options.rounds, options.work_us)


if __name__ == "__main__":
    main()
