"""`make bench-wrap`: what `siltstone wrap` costs an agent that prints 100 MB, in a terminal that takes everything.

The same program runs in a terminal directly and wrapped, in turn; it says how long its printing took. The broker's
address is one that nobody listens on, so that nothing but the agent's side is measured.
"""

import argparse
import csv
import os
import platform
import pty
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
COLUMNS = "at,megabytes,work_us_a_line,rounds,direct_s,wrapped_s,ratio,wrap_peak_mb,whole_s,cores,python"


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
        wrapped: list[str | Path] = [SILTSTONE, "wrap", "--tenant", "bench", "--", *program]
        found: dict[str, list[Run]] = {"direct": [], "wrapped": []}
        for number in range(rounds):
            environment = os.environ | {
                "SILTSTONE_SPOOL_FOLDER": str(Path(folder) / f"sessions-{number}"),  # none that was left behind
                "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            }
            for name, command in (("direct", program), ("wrapped", wrapped)):
                found[name].append(run(command, told, environment))
                subprocess.run(["pkill", "-f", folder], check=False)  # what reads the journal behind
            one = {name: runs[-1] for name, runs in found.items()}
            print(f"round {number + 1}: direct {one['direct'].printing:.2f} s, wrapped {one['wrapped'].printing:.2f} s")
    ratios = [w.printing / d.printing for d, w in zip(found["direct"], found["wrapped"], strict=True)]
    direct, printing = (statistics.median(r.printing for r in found[name]) for name in found)
    whole = statistics.median(r.whole for r in found["wrapped"])
    peak = max(r.peak_mb for r in found["wrapped"])
    ratio = statistics.median(ratios)
    print(f"{megabytes} MB: direct {direct:.2f} s, wrapped {printing:.2f} s, ratio {ratio:.3f}, peak {peak:.0f} MB")
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS.split(","))
        at, machine = datetime.now(UTC).isoformat(timespec="seconds"), (os.cpu_count(), platform.python_version())
        seconds = [round(value, 3) for value in (direct, printing, ratio)]
        writer.writerow([at, megabytes, work_us, rounds, *seconds, round(peak), round(whole, 2), *machine])


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
