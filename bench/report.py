"""What a run of `bench.run` found: the table, the bars, and the lines of results_peers.csv."""

import csv
import math
import os
import platform
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.latency import Latency
from bench.trial import Found
from localstack.kafka_jars import KAFKA_VERSION

RESULTS = Path(__file__).parent / "results_peers.csv"
WIDTH = 150
BAR = 60  # characters of the longest
NAN = float("nan")
LIMIT, OURS = "limit", "Siltstone"  # families
BYTES, ROWS = "limit-bytes", "limit-rows"

HEADINGS = (
    "rows/s", "min", "max", "2nd\nhalf", "of limit\n(bytes)", "of limit\n(rows)", "ours\nto it",
    "CPU\nown", "CPU\nPostgres", "CPU\nKafka", "peak\nMB", "latency\nat/s", "p50\nms", "p99\nms", "max\nms",
)  # fmt: skip
NOTES = (
    "rows/s is a median, and beside it the same of the second half of a run, without what a program does slowly at "
    "first; shares and ratios are medians of those of each round; `ours` is Siltstone's faster variant. "
    "CPU is in µs a row: of the system's own processes, of Postgres, of Kafka. Latency is from publishing to the "
    "commit of the row, at a rate of a tenth of rows/s, at most 2,000: medians of three rounds."
)

COLUMNS = (
    "at", "system", "version", "settings", "events", "rounds", "rows_per_s", "min", "max", "second_half",
    "of_limit_from_bytes", "of_limit_from_rows", "ours_to_it", "cpu_own_us", "cpu_postgres_us",
    "cpu_kafka_us", "peak_mb", "latency_at_per_s",
    "p50_ms", "p99_ms", "max_ms", "kafka", "postgres", "python", "cores",
)  # fmt: skip


@dataclass
class Result:
    """What was found of one system or limit; `runs` by the number of the round, without those that failed."""

    title: str
    family: str
    events: int
    version: str = ""
    settings: str = ""
    runs: dict[int, Found] = field(default_factory=dict)
    latencies: list[Latency] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        return [found.rate for found in self.runs.values()]

    @property
    def median(self) -> float:
        """Not a number where every run failed."""
        return statistics.median(self.rates) if self.runs else NAN

    @property
    def latency(self) -> Latency | None:
        """The medians of the rounds, figure by figure."""
        return Latency(*map(statistics.median, zip(*self.latencies, strict=True))) if self.latencies else None

    def used(self, name: str) -> float:
        """The median of a figure of the runs that have it."""
        found = [value for run in self.runs.values() if not math.isnan(value := getattr(run, name))]
        return statistics.median(found) if found else NAN


def ratio(one: Result, other: Result | None) -> float:
    """The median of what one is to the other in each round that both have."""
    both = [(found.rate, other.runs[n].rate) for n, found in one.runs.items() if n in other.runs] if other else []
    return statistics.median(a / b for a, b in both) if both else NAN


def best(results: Mapping[str, Result], family: str) -> Result | None:
    """Of a family's systems the one with the highest median."""
    found = [result for result in results.values() if result.family == family and result.runs]
    return max(found, key=lambda result: result.median, default=None)


def show(results: Mapping[str, Result]) -> None:
    """Print the table, what failed, the bars, and ours to each peer's best."""
    console = Console(width=WIDTH, highlight=False)
    console.print()
    table = Table(box=None, caption=NOTES, caption_justify="left")
    table.add_column("", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for result in results.values():
        table.add_row(result.title, *_figures(result, results))
    console.print(table, "")
    for result in results.values():
        for failure in result.failures:
            console.print(f"{result.title}: {failure}\n", markup=False)
    most = max((result.median for result in results.values() if result.runs), default=0)
    for result in results.values():
        if result.runs:
            bar = "█" * max(round(BAR * result.median / most), 1)
            console.print(f"{result.title:34}{bar} {result.median:,.0f}", markup=False)
    console.print()
    peers = [best(results, family) for family in dict.fromkeys(r.family for r in results.values())]
    for ours in (result for result in results.values() if result.family == OURS and result.runs):
        for peer in peers:
            if peer and peer.family not in (OURS, LIMIT):
                console.print(f"{ours.title}: {ratio(ours, peer):.2f} times {peer.title}", markup=False)


def _figures(result: Result, results: Mapping[str, Result]) -> list[str]:
    ours = best(results, OURS)
    late = result.latency
    numbers = [
        (result.median, ",.0f"),
        (min(result.rates, default=NAN), ",.0f"),
        (max(result.rates, default=NAN), ",.0f"),
        (result.used("late_rate"), ",.0f"),
        (ratio(result, results.get(BYTES)), ".3f"),
        (ratio(result, results.get(ROWS)), ".3f"),
        (ratio(ours, result) if ours else NAN, ".2f"),
        *((result.used(name), ".0f") for name in ("own_us", "postgres_us", "kafka_us", "peak_mb")),
        (late.rate if late else NAN, ",.0f"),
        *((figure, ",.1f") for figure in (late[1:] if late else (NAN,) * 3)),
    ]
    return ["" if math.isnan(number) else format(number, form) for number, form in numbers]


def record(results: Mapping[str, Result], rounds: int, postgres: str) -> None:
    """Append a line a system."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    machine = [KAFKA_VERSION, postgres, platform.python_version(), os.cpu_count() or 0]
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        for result in results.values():
            what = [at, result.title, result.version, result.settings, result.events, f"{len(result.runs)}/{rounds}"]
            writer.writerow(what + [figure.replace(",", "") for figure in _figures(result, results)] + machine)
