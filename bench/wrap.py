"""`make bench-wrap`: what `siltstone wrap` costs an agent that prints 100 MB, in a terminal that takes everything.

The same program runs in a terminal directly, in util-linux's `script`, which only keeps the bytes, and wrapped,
in turn; it says how long its printing took. The broker's address is one that nobody listens on, so that nothing but the
agent's side is measured.
"""

import argparse
import csv
import os
import platform
import pty
import shlex
import shutil
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
LINE_BYTES = 101
COLUMNS = (
    "at,megabytes,work_us_a_line,rounds,direct_s,script_s,wrapped_s,script_ratio,wrapped_ratio,wrap_peak_mb,whole_s,"
    "cores,python"
)


class Run(NamedTuple):
    """Seconds that the program's printing took, and the whole command; the wrapper's peak memory in MB."""

    printing: float
    whole: float
    peak_mb: float


def run(command: Sequence[str | Path], told: Path, environment: dict[str, str]) -> Run:
    """Run in a terminal that is read as fast as it goes."""
    began, peak = time.perf_counter(), 0.0
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True)
    os.close(theirs)
    pieces = 0
    try:
        while os.read(ours, 65_536):
            pieces += 1
            if pieces % 2_000 == 0:
                peak = max(peak, peak_mb(process.pid))
    except OSError:  # the other end is closed
        pass
    process.wait()
    os.close(ours)
    return Run(float(told.read_text()), time.perf_counter() - began, peak)


def measure(megabytes: int, rounds: int, work_us: float) -> None:
    """Print the medians, and append them to results_wrap.csv."""
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-wrap-") as folder:
        told = Path(folder) / "told"
        count = megabytes * 1_000_000 // LINE_BYTES
        program: list[str | Path] = [sys.executable, "-c", PRINTS, str(count), str(told), str(work_us * 100 / 1e6)]
        script: list[str | Path] = ["script", "-q", "-c", shlex.join(map(str, program)), Path(folder) / "typescript"]
        wrapped: list[str | Path] = [SILTSTONE, "wrap", "--tenant", "bench", "--", *program]
        commands = {"direct": program, "script": script, "wrapped": wrapped}
        if not shutil.which("script"):
            del commands["script"]
        found: dict[str, list[Run]] = {name: [] for name in commands}
        for number in range(rounds):
            environment = os.environ | {
                "SILTSTONE_SPOOL_FOLDER": str(Path(folder) / f"sessions-{number}"),  # none that was left behind
                "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            }
            for name, command in commands.items():
                found[name].append(run(command, told, environment))
                subprocess.run(["pkill", "-f", folder], check=False)  # what reads the journal behind
            print(
                f"round {number + 1}: " + ", ".join(f"{name} {runs[-1].printing:.2f} s" for name, runs in found.items())
            )
    keep(found, megabytes, work_us)


def keep(found: dict[str, list[Run]], megabytes: int, work_us: float) -> None:
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
    print(f"{megabytes} MB: " + ", ".join(f"{name} {seconds[name]:.2f} s ({ratios[name]:.3f})" for name in found))
    print(f"wrap held {peak:.0f} MB")
    row = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
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
    measure(options.megabytes, options.rounds, options.work_us)


if __name__ == "__main__":
    main()
