"""`make bench-families`: each family's events, by size, against the limit: the same final rows, merged beforehand.

A first drain, which is not timed, leaves the rows that the limit then writes (bench/limit.py). Then rounds, in each
of which the limit, one worker process and two are measured in random order, each in a fresh database.
"""

import argparse
import asyncio
import csv
import os
import platform
import random
import statistics
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from bench.drain import Timed, fresh_database, timed
from bench.families import FAMILIES, consumed, padded
from bench.limit import Rows, rows_left, seconds_of
from bench.processes import Command, Failed, running
from bench.quick import POSTGRES_SETTINGS, prepare, publish
from localstack import stack
from persistence import migrate
from persistence.logs import LOGS
from workers.settings import load

RESULTS = Path(__file__).parent / "results_families.csv"
COLUMNS = "at,family,bytes,events,system,rounds,median,min,max,ratio,cores,python"
SIZES = {512: 100_000, 1024: 100_000, 10_240: 20_000}
"""Bytes of a value at least, and how many records are published of them."""
ACCOUNTED = "SELECT coalesce(sum(upper(r) - lower(r)), 0)::int FROM ingest_batch, unnest(stored + duplicate) AS r"
LIMIT = "limit, from ready rows"
WORKERS = {"one worker": 1, "two workers": 2}


@dataclass(frozen=True)
class Case:
    """A family's events of one size, as they lie in topics of their own."""

    family: str
    size: int
    records: int
    environment: dict[str, str]


async def drained(url: str, case: Case, processes: int) -> Timed:
    """Let workers store the events of a case. Raises Failed when they do not."""
    own = {"DATABASE_URL": url, "KAFKA_GROUP_ID": uuid.uuid4().hex, "SILTSTONE_HTTP_PORT": "0"}
    chosen = [argument for family in consumed(case.family) for argument in ("--family", family.value)]
    program = Path(sys.executable).parent / "siltstone"
    command = Command([program, "worker", *chosen], case.environment | own)
    connection = await asyncpg.connect(migrate.driver_dsn(url))

    async def all_work() -> bool:
        workers = await connection.fetchval("SELECT count(DISTINCT worker)::int FROM ingest_batch")
        return bool(workers == processes)

    try:
        with running([command] * processes) as workers:
            return await timed(workers, case.records, lambda: connection.fetchval(ACCOUNTED), complete=all_work)
    finally:
        await connection.close()


async def logged(url: str) -> int:
    """How many events are in the logs."""
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    try:
        return sum([await connection.fetchval(f"SELECT count(*)::int FROM {log.name}") for log in LOGS])  # noqa: S608
    finally:
        await connection.close()


async def measure_case(case: Case, server: str, rounds: int, draw: random.Random) -> dict[str, list[float]]:
    """Records a second of each, by round: what the limit writes counts for the records that made it."""
    template = make_url(server).database or ""
    async with fresh_database(server, template) as url:
        await drained(url, case, 1)
        left: Sequence[Rows] = await rows_left(url)
        stored = await logged(url)
    rates: dict[str, list[float]] = {name: [] for name in (LIMIT, *WORKERS)}
    for _ in range(rounds):
        for name in draw.sample(list(rates), len(rates)):
            async with fresh_database(server, template) as url:
                if name == LIMIT:
                    rates[name].append(stored / await seconds_of(url, left))
                    continue
                found = await drained(url, case, WORKERS[name])
                if (now := await logged(url)) != stored:
                    raise Failed(f"{stored} events were stored at first, and {now} by {name}")
                rates[name].append(found.rate * stored / case.records)
    return rates


def record(case: Case, rates: dict[str, list[float]]) -> None:
    """Print a case, and append it to the results."""
    is_new = not RESULTS.exists()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS.split(","))
        for name, found in rates.items():
            ratio = statistics.median(mine / limit for mine, limit in zip(found, rates[LIMIT], strict=True))
            figures = [round(statistics.median(found)), round(min(found)), round(max(found)), round(ratio, 3)]
            head = [at, case.family, case.size, case.records, name, len(found)]
            writer.writerow([*head, *figures, os.cpu_count() or 0, platform.python_version()])
            shown = "".join(f"{figure:>9,}" for figure in figures[:3])
            print(f"{case.family:12}{case.size:>7}  {name:24}{shown}{ratio:>8.2f}", flush=True)


async def measure(families: Sequence[str], sizes: Sequence[int], rounds: int, folder: Path) -> None:
    """Bring up a stack of its own, and measure case after case."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    addresses = stack.up(folder, say=lambda text: print(text, flush=True), postgres_settings=POSTGRES_SETTINGS)
    await prepare(load(addresses.environment()), 0)
    print(f"{'events':12}{'bytes':>7}  {'distinct events a second':24}{'median':>9}{'min':>9}{'max':>9}{'ratio':>8}")
    for family in families:
        for size in sizes:
            prefix = {"SILTSTONE_TOPIC_PREFIX": f"bench{uuid.uuid4().hex[:8]}."}
            case = Case(family, size, SIZES[size], addresses.environment() | prefix)
            values = [padded(event, size) for event in FAMILIES[family](case.records)]
            await publish(load(case.environment), values, bare=False)
            try:
                record(case, await measure_case(case, addresses.database_url, rounds, random.Random(seed)))
            except Failed as failed:
                print(f"{family} of {size} bytes failed: {failed}", flush=True)


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--sizes", nargs="+", type=int, choices=list(SIZES), default=list(SIZES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-") as folder:
        try:
            asyncio.run(measure(options.only, options.sizes, options.rounds, Path(folder) / "stack"))
        finally:
            stack.down(Path(folder) / "stack", delete=True)


if __name__ == "__main__":
    main()
