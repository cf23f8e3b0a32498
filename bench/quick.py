"""`make bench-quick`: one worker process against the limit, side by side in one run, medians of several rounds."""

import argparse
import asyncio
import contextlib
import csv
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from bench.events import encoded, extractions, tenants
from bench.limit import limit_of_bytes, limit_of_rows, rows_of
from contracts.window import TimeWindow
from localstack import stack
from persistence import migrate
from producers.event_lines import Defaults, Outgoing, RefusedLine, outgoing
from workers import publisher, topics
from workers.settings import Settings, load

POSTGRES_SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
RESULTS = Path(__file__).parent / "results.csv"
POLL_SECONDS = 0.02


@contextlib.asynccontextmanager
async def fresh_database(url: str, template: str) -> AsyncIterator[str]:
    """A copy of the migrated database, checkpointed; dropped afterwards."""
    admin = await asyncpg.connect(migrate.driver_dsn(url))
    name = f"bench_{uuid.uuid4().hex[:8]}"
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        await admin.execute("CHECKPOINT")
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


async def drain(url: str, environment: dict[str, str], count: int) -> tuple[float, float]:
    """Rows a second from the first visible row to the last, and the worker's peak resident memory in MB."""
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
    worker = subprocess.Popen(  # noqa: ASYNC220 - started once, before the clock
        [str(Path(sys.executable).parent / "siltstone"), "worker", "--family", "extraction"],
        env=os.environ
        | environment
        | {"DATABASE_URL": url, "KAFKA_GROUP_ID": uuid.uuid4().hex, "SILTSTONE_HTTP_PORT": "0"},
        stderr=log,
        stdout=log,
    )
    try:
        began, seen_first, seen = 0.0, 0, 0
        deadline = time.monotonic() + 300
        while seen < count:
            await asyncio.sleep(POLL_SECONDS)
            seen = await connection.fetchval(
                "SELECT coalesce(sum(upper(r) - lower(r)), 0)::int FROM ingest_batch, unnest(stored) AS r"
            )
            if seen and not began:
                began, seen_first = time.perf_counter(), seen
            if worker.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise SystemExit(f"the worker ended, or took too long:\n{log.read().decode()}")
        rate = (count - seen_first) / (time.perf_counter() - began)
        stored = await connection.fetchval("SELECT count(*) FROM extraction_event")
        counted = await connection.fetchval("SELECT sum(extractions) FROM session")
        if not stored == counted == count:
            raise SystemExit(f"published {count}, but {stored} rows and {counted} counted")
        return rate, _peak_mb(worker.pid)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
        await connection.close()


def _peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) / 1024 if found else float("nan")


async def prepare(settings: Settings, count: int, *, bare: bool) -> list[bytes]:
    """Migrate, make topics and tenants, publish the events (`bare`: without repeating attributes as headers)."""
    await migrate.upgrade(settings.owner_url)
    connection = await asyncpg.connect(migrate.driver_dsn(settings.owner_url))
    await connection.execute(
        "INSERT INTO tenant (tenant_id, name) SELECT t, t FROM unnest($1::text[]) AS t ON CONFLICT DO NOTHING",
        tenants(),
    )
    await connection.close()
    await topics.apply(settings)
    values = [encoded(event) for event in extractions(count)]
    defaults = Defaults(topic_prefix=settings.topic_prefix)
    records: Iterable[Outgoing | RefusedLine] = outgoing(
        values, defaults, TimeWindow(settings.oldest_time), check=False
    )
    began = time.perf_counter()
    if bare:
        records = (replace(record, headers=[]) for record in records if isinstance(record, Outgoing))
    report = await publisher.publish(settings, records)
    print(
        f"published {report.acknowledged.total()} in {time.perf_counter() - began:.1f} s, "
        f"{sum(map(len, values)) / count:.0f} bytes each",
        flush=True,
    )
    return values


async def measure(count: int, rounds: int, folder: Path, *, bare: bool) -> None:
    """Bring up a stack of its own, measure in turn, print and record."""
    addresses = stack.up(folder, say=lambda text: print(text, flush=True), postgres_settings=POSTGRES_SETTINGS)
    environment = addresses.environment() | {"SILTSTONE_TOPIC_PREFIX": f"bench{uuid.uuid4().hex[:8]}."}
    values = await prepare(load(environment), count, bare=bare)
    rows = rows_of(values)
    template = make_url(addresses.database_url).database or ""
    figures: dict[str, list[float]] = {name: [] for name in FIGURES}
    for number in range(rounds):
        async with fresh_database(addresses.database_url, template) as url:
            figures["limit, from rows"].append(await limit_of_rows(url, rows))
        async with fresh_database(addresses.database_url, template) as url:
            rate, peak = await drain(url, environment, count)
        async with fresh_database(addresses.database_url, template) as url:
            figures["limit, from bytes"].append(await limit_of_bytes(url, values))
        figures["one worker"].append(rate)
        figures["peak memory, MB"].append(peak)
        print(f"round {number + 1}: " + ", ".join(f"{n} {f[-1]:,.0f}" for n, f in figures.items()), flush=True)
    show("quick, bare records" if bare else "quick", count, figures)


FIGURES = ("limit, from rows", "limit, from bytes", "one worker", "peak memory, MB")
COLUMNS = (
    "at,bench,events,rounds,limit_from_rows,limit_from_bytes,worker,ratio_to_rows,ratio_to_bytes,peak_mb,cores,python"
)


def show(bench: str, count: int, figures: dict[str, list[float]]) -> None:
    """The medians and their ratios, printed and appended to results.csv."""
    print(f"\n{'rows a second':24}{'median':>12}{'min':>12}{'max':>12}")
    for name, found in figures.items():
        print(f"{name:24}{statistics.median(found):>12,.0f}{min(found):>12,.0f}{max(found):>12,.0f}")
    ratios = []
    for name in ("limit, from rows", "limit, from bytes"):
        found = [w / lim for w, lim in zip(figures["one worker"], figures[name], strict=True)]
        ratios.append(statistics.median(found))
        print(f"{'of the ' + name:24}{ratios[-1]:>12.2f}{min(found):>12.2f}{max(found):>12.2f}")
    medians = [round(statistics.median(figures[name])) for name in FIGURES[:3]]
    row = [datetime.now(UTC).isoformat(timespec="seconds"), bench, count, len(figures["one worker"]), *medians]
    row += [*(round(r, 3) for r in ratios), round(max(figures["peak memory, MB"])), os.cpu_count() or 0]
    row.append(platform.python_version())
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS.split(","))
        writer.writerow(row)


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder for the stack, kept running; else a temporary one")
    parser.add_argument("--bare", action="store_true", help="records without the attributes as headers")
    options = parser.parse_args()
    if options.keep:
        asyncio.run(measure(options.events, options.rounds, options.keep, bare=options.bare))
        return
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-") as folder:
        try:
            asyncio.run(measure(options.events, options.rounds, Path(folder) / "stack", bare=options.bare))
        finally:
            stack.down(Path(folder) / "stack", delete=True)


if __name__ == "__main__":
    main()
