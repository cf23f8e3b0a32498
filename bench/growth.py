"""`make bench-growth`: how a row's cost grows with rows, tenants, partitions and workers, and memory with sizes."""

import argparse
import asyncio
import csv
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import asyncpg

from bench.growth_drain import Rig
from bench.growth_questions import QUESTIONS, Answer
from bench.processes import Failed
from bench.quick import POSTGRES_SETTINGS, prepare
from localstack import stack
from persistence import migrate
from workers.settings import load

RESULTS = Path(__file__).parent / "results_growth.csv"
COLUMNS = (
    "at,what,setting,events,rounds,rows_per_s,rows_per_s_min,rows_per_s_max,us_a_row,worker_cpu_us,postgres_cpu_us,"
    "compared,ratio_to_first,cpu_ratio_to_first,peak_mb,goal,is_met,cores,versions"
)
RATED = ("rows a second", "min", "max", "µs a row", "workers' CPU", "Postgres' CPU", "CPU ratio")
SIZES = (100_000, 1_000_000, 10_000_000)


async def measure(folder: Path, options: argparse.Namespace) -> list[str]:
    """Bring up a stack of its own, answer one question after another, print and record; those that failed."""
    addresses = stack.up(folder, say=lambda text: print(text, flush=True), postgres_settings=POSTGRES_SETTINGS)
    await prepare(load(addresses.environment()), 0)
    pid = stack.status(folder).postgres.pid or 0
    rig = Rig(addresses, pid, options.events, options.rounds, options.rows)
    connection = await asyncpg.connect(migrate.driver_dsn(addresses.database_url))
    postgres = await connection.fetchval("SHOW server_version")
    await connection.close()
    versions = f"Python {platform.python_version()}, PostgreSQL {postgres}" + "".join(
        f", {name} {version(name)}" for name in ("aiokafka", "asyncpg")
    )
    failed = []
    for name in options.only:
        began = time.perf_counter()
        try:
            answers = await QUESTIONS[name](rig)
        except Failed as error:
            failed.append(f"{name}: {error}")
            print(failed[-1], flush=True)
            continue
        for answer in answers:
            show(answer)
            record(answer, rig, versions)
        print(f"\n{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return failed


def figures(answer: Answer, name: str) -> list[float]:
    """Rows a second (median, least, most), and the medians of what a row costs: time, the workers' CPU, Postgres'."""
    drains = answer.found[name]
    rates = [one.rate for one in drains]
    rate = statistics.median(rates)
    cpu = (statistics.median(one.worker_us for one in drains), statistics.median(one.postgres_us for one in drains))
    return [rate, min(rates), max(rates), 1e6 / rate, *cpu]


def peak(answer: Answer, name: str) -> float:
    """The highest of all rounds, in MB, of all workers together."""
    return max(one.peak_mb for one in answer.found[name])


def show(answer: Answer) -> None:
    """One table: µs are of one row; the goal, and whether it is met."""
    is_rated = answer.compared != "peak"
    heads = (*(RATED if is_rated else ()), f"{answer.compared} ratio", "peak MB")
    print(f"\n{answer.what:62}" + "".join(f"{head:>14}" for head in heads))
    for name in answer.found:
        rates, costs = figures(answer, name)[:3], figures(answer, name)[3:]
        cells = [*(f"{rate:,.0f}" for rate in rates), *(f"{cost:,.1f}" for cost in costs)]
        cells = [*cells, f"{answer.cpu_ratio(name):.2f}"] if is_rated else []
        cells += [f"{answer.ratio(name):.2f}", f"{peak(answer, name):,.0f}"]
        print(f"  {name:60}" + "".join(f"{cell:>14}" for cell in cells))
    if answer.goal:
        print(f"goal: {answer.goal}: {'met' if answer.is_met else 'MISSED'}")
    print(flush=True)


def record(answer: Answer, rig: Rig, versions: str) -> None:
    """Append a line a setting."""
    new = not RESULTS.exists()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS.split(","))
        for name in answer.found:
            shown = [_blank_or(value, 1) for value in figures(answer, name)]
            ratios = (answer.compared, round(answer.ratio(name), 3), _blank_or(answer.cpu_ratio(name), 3))
            compared = (*ratios, round(peak(answer, name)))
            goal = (answer.goal, "" if answer.is_met is None else answer.is_met)
            machine = (os.cpu_count() or 0, versions)
            writer.writerow([at, answer.what, name, rig.events, rig.rounds, *shown, *compared, *goal, *machine])


def _blank_or(value: float, digits: int) -> float | str:
    return "" if math.isnan(value) else round(value, digits)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS), metavar="NAME",
                        help=f"questions: {', '.join(QUESTIONS)}")  # fmt: skip
    parser.add_argument("--events", type=_positive, default=200_000)
    parser.add_argument("--rounds", type=_positive, default=3)
    parser.add_argument("--rows", type=_positive, nargs="+", default=SIZES, help="rows that are there already")
    parser.add_argument("--keep", type=Path, help="a folder for the stack, kept running; else a temporary one")
    return parser.parse_args(arguments)


def main() -> None:
    """Parse the options and measure."""
    options = options_of()
    if options.keep:
        failed = asyncio.run(measure(options.keep, options))
    else:
        with tempfile.TemporaryDirectory(prefix="siltstone-bench-") as folder:
            try:
                failed = asyncio.run(measure(Path(folder) / "stack", options))
            finally:
                stack.down(Path(folder) / "stack", delete=True)
    if failed:
        raise SystemExit("\n".join(["these questions have no answer:", *failed]))


if __name__ == "__main__":
    main()
