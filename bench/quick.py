"""`make bench-quick`: one worker process against the limit, side by side in one run, medians of several rounds."""

import argparse
import asyncio
import csv
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from bench.drain import drain, fresh_database
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


async def prepare(settings: Settings, count: int) -> list[bytes]:
    """Migrate, make tenants, and the events that are published."""
    await migrate.upgrade(settings.owner_url)
    connection = await asyncpg.connect(migrate.driver_dsn(settings.owner_url))
    await connection.execute(
        "INSERT INTO tenant (tenant_id, name) SELECT t, t FROM unnest($1::text[]) AS t ON CONFLICT DO NOTHING",
        tenants(),
    )
    await connection.close()
    return [encoded(event) for event in extractions(count)]


async def publish(settings: Settings, values: Sequence[bytes], *, bare: bool) -> None:
    """Make the topics and publish (`bare`: the value and key alone, without the attributes again as headers)."""
    await topics.apply(settings)
    defaults = Defaults(topic_prefix=settings.topic_prefix)
    records: Iterable[Outgoing | RefusedLine] = outgoing(
        values, defaults, TimeWindow(settings.oldest_time), check=False
    )
    began = time.perf_counter()
    if bare:
        records = (replace(record, headers=[]) for record in records if isinstance(record, Outgoing))
    report = await publisher.publish(settings, records)
    print(
        f"published {report.acknowledged.total()} {'bare' if bare else 'whole'} records in "
        f"{time.perf_counter() - began:.1f} s, {sum(map(len, values)) / len(values):.0f} bytes each",
        flush=True,
    )


FROM_ROWS = "limit, from ready rows"
FROM_BYTES = "limit, from bytes"
WORKERS = {"one worker, bare records": True, "one worker, whole records": False}
PEAK = "peak memory, MB"


async def measure(count: int, rounds: int, folder: Path) -> None:
    """Bring up a stack of its own, measure in turn, print and record."""
    addresses = stack.up(folder, say=lambda text: print(text, flush=True), postgres_settings=POSTGRES_SETTINGS)
    environments = {
        name: addresses.environment() | {"SILTSTONE_TOPIC_PREFIX": f"bench{uuid.uuid4().hex[:8]}."} for name in WORKERS
    }
    values = await prepare(load(addresses.environment()), count)
    for name, bare in WORKERS.items():
        await publish(load(environments[name]), values, bare=bare)
    rows = rows_of(values)
    template = make_url(addresses.database_url).database or ""
    rates: dict[str, list[float]] = {name: [] for name in (FROM_ROWS, FROM_BYTES, *WORKERS)}
    peaks: dict[str, float] = dict.fromkeys(WORKERS, 0)
    for number in range(rounds):
        async with fresh_database(addresses.database_url, template) as url:
            rates[FROM_ROWS].append(await limit_of_rows(url, rows))
        for name in WORKERS:
            async with fresh_database(addresses.database_url, template) as url:
                rate, peak = await drain(url, environments[name], count)
            rates[name].append(rate)
            peaks[name] = max(peaks[name], peak)
        async with fresh_database(addresses.database_url, template) as url:
            rates[FROM_BYTES].append(await limit_of_bytes(url, values))
        print(f"round {number + 1}: " + ", ".join(f"{n} {f[-1]:,.0f}" for n, f in rates.items()), flush=True)
    show(rates, peaks)
    record(count, rates, peaks)


def ratio(rates: dict[str, list[float]], name: str, limit: str) -> list[float]:
    """Of each round, one rate as a share of another."""
    return [rate / of for rate, of in zip(rates[name], rates[limit], strict=True)]


def show(rates: dict[str, list[float]], peaks: dict[str, float]) -> None:
    """The medians and their ratios, each of one round."""
    print(f"\n{'rows a second':28}{'median':>10}{'min':>10}{'max':>10}{'of rows':>10}{'of bytes':>10}{PEAK:>18}")
    for name, found in rates.items():
        shares = [f"{statistics.median(ratio(rates, name, limit)):>10.2f}" for limit in (FROM_ROWS, FROM_BYTES)]
        numbers = f"{statistics.median(found):>10,.0f}{min(found):>10,.0f}{max(found):>10,.0f}"
        print(f"{name:28}{numbers}{''.join(shares)}{peaks[name]:>18.0f}" if name in peaks else f"{name:28}{numbers}")


COLUMNS = (
    "at,bench,events,rounds,limit_from_rows,limit_from_bytes,worker,ratio_to_rows,ratio_to_bytes,peak_mb,cores,python"
)


def record(count: int, rates: dict[str, list[float]], peaks: dict[str, float]) -> None:
    """Append the medians to results.csv, a line for each form of the records."""
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS.split(","))
        for name, bare in WORKERS.items():
            medians = [round(statistics.median(rates[n])) for n in (FROM_ROWS, FROM_BYTES, name)]
            ratios = [round(statistics.median(ratio(rates, name, limit)), 3) for limit in (FROM_ROWS, FROM_BYTES)]
            at = datetime.now(UTC).isoformat(timespec="seconds")
            bench = "quick, bare records" if bare else "quick"
            machine = (os.cpu_count() or 0, platform.python_version())
            writer.writerow([at, bench, count, len(rates[name]), *medians, *ratios, round(peaks[name]), *machine])


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder for the stack, kept running; else a temporary one")
    options = parser.parse_args()
    if options.keep:
        asyncio.run(measure(options.events, options.rounds, options.keep))
        return
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-") as folder:
        try:
            asyncio.run(measure(options.events, options.rounds, Path(folder) / "stack"))
        finally:
            stack.down(Path(folder) / "stack", delete=True)


if __name__ == "__main__":
    main()
