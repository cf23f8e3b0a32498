"""`make profile`: where the time of a drain goes, in the worker and in Postgres, on one page.

py-spy starts the worker and samples its stack; each sample counts for the innermost of our stages that is on it.
pg_stat_statements says how long each statement ran and how much it wrote ahead. All of it per row.
"""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from bench.drain import fresh_database
from bench.families import FAMILIES, consumed, padded
from bench.quick import POSTGRES_SETTINGS, prepare, publish
from localstack import stack
from persistence import migrate
from workers.settings import load

BIN = Path(sys.executable).parent
SAMPLES_A_SECOND = 100
PRELOADED = {"shared_preload_libraries": "pg_stat_statements", "track_io_timing": "on"}
STATEMENTS = """
SELECT regexp_replace(left(query, 60), '\\s+', ' ', 'g') AS statement, calls::int, total_exec_time AS ms,
       wal_bytes::float8 AS wal
FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT 12
"""

STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ledger", ("insert_ledgers", "_fill_ledgers", "to_ranges", "spans_of")),
    ("commit of offsets", ("workers/offsets.py",)),
    ("dead letters", ("workers/dead_letters.py",)),
    ("rows", ("persistence/logs.py", "persistence/batch.py")),
    ("decode", ("contracts/",)),
    ("merge", ("persistence/merge.py", "persistence/state_sql.py")),
    ("encode and send to Postgres", ("copy_records_to_table", "asyncpg/")),
    ("fetch and unpack", ("aiokafka/",)),
    ("pipeline", ("persistence/", "workers/", "faststream/")),
    ("event loop", ("asyncio/",)),
)
"""What a frame belongs to, by a part of its name or path; of a stack the innermost frame that is here counts."""
WORKING = "run_forever"
"""The frame of a worker that has started."""


class Profile(NamedTuple):
    """What was seen in one drain: seconds by stage, seconds in all, and the database's statements."""

    rows: int
    seconds: float
    cpu: dict[str, float]
    statements: list[asyncpg.Record]
    wal_bytes: int


def stage_of(stack_text: str) -> str | None:
    """The stage of a sampled stack, `outer;…;inner`; None for what is only start-up."""
    if WORKING not in stack_text or "importlib" in stack_text:
        return None
    for frame in reversed(stack_text.split(";")):
        for stage, marks in STAGES:
            if any(mark in frame for mark in marks):
                return stage
    return "rest"


def seconds_by_stage(raw: Path) -> dict[str, float]:
    """Seconds of CPU of each stage, the most first, from py-spy's raw output."""
    samples_of: Counter[str] = Counter()
    for line in raw.read_text(encoding="utf-8").splitlines():
        stack_text, _, samples = line.rpartition(" ")
        if stage := stage_of(stack_text):
            samples_of[stage] += int(samples)
    return {stage: samples / SAMPLES_A_SECOND for stage, samples in samples_of.most_common()}


async def profile(url: str, environment: dict[str, str], count: int, family: str, folder: Path) -> Profile:
    """Drain `count` events with a worker under py-spy."""
    raw = folder / "stacks.txt"
    chosen = [argument for name in consumed(family) for argument in ("--family", name.value)]
    command = [str(BIN / "py-spy"), "record", "--nonblocking", "-r", str(SAMPLES_A_SECOND), "-f", "raw"]
    group = {"DATABASE_URL": url, "KAFKA_GROUP_ID": uuid.uuid4().hex, "SILTSTONE_HTTP_PORT": "0"}
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()")
    before = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    with (folder / "worker.log").open("wb") as log:
        spy = subprocess.Popen(  # noqa: ASYNC220 - started once, before the clock
            [*command, "-o", str(raw), "--", str(BIN / "siltstone"), "worker", *chosen],
            env=os.environ | environment | group,
            stdout=log,
            stderr=log,
        )
    try:
        began = await _until(connection, 1, spy)
        ended = await _until(connection, count, spy)
        after = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        statements = await connection.fetch(STATEMENTS)
    finally:
        for child in psutil.Process(spy.pid).children(recursive=True):
            child.send_signal(signal.SIGTERM)
        spy.wait(60)
        await connection.close()
    return Profile(count, ended - began, seconds_by_stage(raw), statements, int(after - before))


async def _until(connection: asyncpg.Connection, count: int, spy: "subprocess.Popen[bytes]") -> float:
    """When so many records were accounted for."""
    query = "SELECT coalesce(sum(upper(r) - lower(r)), 0)::int FROM ingest_batch, unnest(stored + duplicate) AS r"
    deadline = time.monotonic() + 600
    while await connection.fetchval(query) < count:
        if spy.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the worker ended, or took too long")
        await asyncio.sleep(0.05)
    return time.perf_counter()


def page(seen: Profile) -> Iterator[str]:
    """The page: the worker's stages, then the database's statements."""
    busy = sum(seen.cpu.values())
    yield f"{seen.rows:,} rows in {seen.seconds:.1f} s under py-spy: {seen.rows / seen.seconds:,.0f} a second"
    yield f"\n{'worker':34}{'µs a row':>12}{'share':>10}"
    for stage, seconds in seen.cpu.items():
        yield f"{stage:34}{seconds / seen.rows * 1e6:>12.1f}{seconds / busy:>10.0%}"
    waiting = max(0.0, seen.seconds - busy)
    yield f"{'all of it':34}{busy / seen.rows * 1e6:>12.1f}"
    yield f"{'waiting (for Postgres, Kafka)':34}{waiting / seen.rows * 1e6:>12.1f}"
    yield f"\n{'Postgres':64}{'calls':>8}{'µs a row':>12}{'WAL bytes a row':>18}"
    for one in seen.statements:
        figures = f"{one['ms'] / seen.rows * 1000:>12.1f}{one['wal'] / seen.rows:>18.0f}"
        yield f"{one['statement']:64}{one['calls']:>8}{figures}"
    yield f"WAL of all kinds: {seen.wal_bytes / seen.rows:,.0f} bytes a row"


async def measure(family: str, count: int, size: int, folder: Path, stacks: Path | None) -> None:
    """Bring up a stack of its own, publish, profile one drain, print."""
    addresses = stack.up(folder / "stack", postgres_settings=POSTGRES_SETTINGS | PRELOADED)
    environment = addresses.environment() | {"SILTSTONE_TOPIC_PREFIX": f"profile{uuid.uuid4().hex[:8]}."}
    settings = load(environment)
    await prepare(settings, 0)
    values: Sequence[bytes] = [padded(event, size) for event in FAMILIES[family](count)]
    await publish(settings, values, bare=False)
    template = make_url(addresses.database_url).database or ""
    async with fresh_database(addresses.database_url, template) as url:
        seen = await profile(url, environment, count, family, folder)
    if stacks:
        shutil.copy(folder / "stacks.txt", stacks)
    print("\n".join(page(seen)))


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=list(FAMILIES), default="extraction")
    parser.add_argument("--events", type=int, default=150_000)
    parser.add_argument("--size", type=int, default=0, help="bytes of a value at least")
    parser.add_argument("--stacks", type=Path, help="a file for the sampled stacks, as flame graphs are made of")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # a new topic has no leader at first: it tries again
    with tempfile.TemporaryDirectory(prefix="siltstone-profile-") as folder:
        try:
            asyncio.run(measure(options.family, options.events, options.size, Path(folder), options.stacks))
        finally:
            stack.down(Path(folder) / "stack", delete=True)


if __name__ == "__main__":
    main()
