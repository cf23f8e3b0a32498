"""`make bench-cli`: how long a command takes before it has said anything, beside an interpreter with typer and rich.

Each in an interpreter of its own, in turn, with all bytecode written before: help, completion, and the shortest
question to Postgres on a local stack of its own. Seconds by the clock, memory at its peak.
"""

import csv
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from localstack import stack

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results_cli.csv"
COLUMNS = ("at", "commit", "what", "seconds", "ratio", "peak_mb", "rounds", "cores", "python")
ROUNDS = 15
BARE = "import typer, rich"
PROGRAM = "from workers.cli.main import main; main()"


class Call(NamedTuple):
    """A line that is timed: what it is called, code and arguments of an interpreter, and its own variables."""

    what: str
    code: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


CALLS = (
    Call(BARE, BARE),
    Call("siltstone --help", PROGRAM, ("--help",)),
    Call("siltstone dlq list --help", PROGRAM, ("dlq", "list", "--help")),
    Call(
        "completion of siltstone dlq li",
        PROGRAM,
        (),
        (("_SILTSTONE_COMPLETE", "complete_bash"), ("COMP_WORDS", "siltstone dlq li"), ("COMP_CWORD", "2")),
    ),
    Call("siltstone tenants list", PROGRAM, ("tenants", "list")),
    Call("siltstone dlq list", PROGRAM, ("dlq", "list")),
)


def timed(call: Call, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds, and the peak of resident memory in MB; the call must end well, or find nothing."""
    run = [sys.executable, "-c", f"import sys; sys.argv[0] = 'siltstone'; {call.code}", *call.arguments]
    began = time.perf_counter()
    process = subprocess.Popen(
        run, cwd=ROOT, env=environment | dict(call.environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit(f"{call.what} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # bytes there, else KiB


def main() -> None:
    """Print the medians and their ratios, and append them to results_cli.csv."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "stack"
        try:
            addresses = stack.up(place, say=print)
            environment = os.environ | addresses.environment()
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            subprocess.run([sys.executable, "-c", PROGRAM, "db", "upgrade"], cwd=ROOT, env=environment, check=True)
            found: dict[str, list[tuple[float, float]]] = {call.what: [] for call in CALLS}
            for number in range(ROUNDS + 1):
                for call in CALLS:
                    measured = timed(call, environment)
                    if number:  # the first writes bytecode
                        found[call.what].append(measured)
        finally:
            stack.down(place, delete=True)
    report(found)


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    """A line for each call, on the screen and in the file."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    medians = {what: statistics.median(seconds for seconds, _ in each) for what, each in found.items()}
    is_new = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        for what, seconds in medians.items():
            ratio, peak = seconds / medians[BARE], statistics.median(peak for _, peak in found[what])
            print(f"{what:36} {seconds:6.3f} s {ratio:6.1f} x {peak:6.0f} MB")
            row = (at, commit, what, f"{seconds:.3f}", f"{ratio:.2f}", f"{peak:.0f}")
            writer.writerow((*row, ROUNDS, os.cpu_count(), platform.python_version()))


if __name__ == "__main__":
    main()
