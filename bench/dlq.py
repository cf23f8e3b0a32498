"""`make bench-dlq`: the dead-letter commands on 100,000 letters: the first page, the statistics, and a redrive."""

import argparse
import asyncio
import csv
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from bench.drain import fresh_database
from bench.events import encoded, extractions, tenants
from bench.quick import POSTGRES_SETTINGS
from localstack import stack
from persistence import letter_reads, migrate
from persistence.database import Database
from persistence.letter_search import Selection
from persistence.roles import OPERATOR
from workers import kafka, topics
from workers.settings import Settings, load

RESULTS = Path(__file__).parent / "results_dlq.csv"
COLUMNS = ("at", "letters", "list_ms", "stats_ms", "redrive_per_s", "redrive_peak_mb", "cores", "python")
REASONS = ("tenant_unknown", "schema_invalid", "bad_time", "unstorable_text")
ROUNDS = 5

LOAD = """
INSERT INTO dead_letter (id, tenant_id, topic, partition, "offset", consumer_group, event_type, event_id, subject,
  reason, stage, error, key, value, header_names, header_values, record_timestamp, letter_topic, letter_partition,
  letter_offset, first_failed_at, last_failed_at, status)
SELECT gen_random_uuid(), j ->> 'tenantid', $1, number % 12, number / 12, 'g', j ->> 'type', j ->> 'id',
  j ->> 'subject', ($4::text[])[1 + number % 4], 'schema', 'an error at `$.data`',
  convert_to((j ->> 'tenantid') || '/' || (j ->> 'subject'), 'UTF8'), value, '{}', '{}', 0, 'dlq', 0, number,
  now() - number * interval '1 second', now() - number * interval '1 second', 'dead'
FROM (SELECT v AS value, convert_from(v, 'UTF8')::json AS j, $3::int + n::int - 1 AS number
      FROM unnest($2::bytea[]) WITH ORDINALITY AS u(v, n)) AS l
"""


async def fill(settings: Settings, url: str, count: int) -> None:
    """Letters of events that would be stored now, so that every one of them can be sent."""
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    await connection.execute(
        "INSERT INTO tenant (tenant_id, name) SELECT t, t FROM unnest($1::text[]) AS t ON CONFLICT DO NOTHING",
        tenants(),
    )
    values = [encoded(event) for event in extractions(count)]
    topic = next(iter(kafka.topics(settings).values()))
    for at in range(0, count, 10_000):
        await connection.execute(LOAD, topic, values[at : at + 10_000], at, list(REASONS))
    await connection.execute("ANALYZE dead_letter")
    await connection.close()


def timed(environment: dict[str, str], *arguments: str) -> tuple[float, float]:
    """Seconds that a command takes, and its peak resident memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "siltstone"), *arguments],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"siltstone {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


async def median_of(ask: Callable[[], Awaitable[object]]) -> float:
    """The median of some rounds, in seconds."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await ask()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


async def measure(count: int, folder: Path) -> None:
    """Bring up a stack of its own, load letters, run the commands, print and record."""
    addresses = stack.up(folder, say=lambda text: print(text, flush=True), postgres_settings=POSTGRES_SETTINGS)
    environment = addresses.environment() | {"SILTSTONE_TOPIC_PREFIX": f"bench{uuid.uuid4().hex[:8]}."}
    settings = load(environment)
    await migrate.upgrade(settings.owner_url)
    await topics.apply(settings)
    async with fresh_database(addresses.database_url, make_url(addresses.database_url).database or "") as url:
        await fill(settings, url, count)
        environment |= {"DATABASE_URL": url}
        async with Database(url, OPERATOR).transaction(readonly=True) as connection:
            listing = await median_of(lambda: letter_reads.page(connection, Selection(), 50))
            counting = await median_of(lambda: letter_reads.stats(connection, Selection()))
        one, _ = timed(environment, "dlq", "redrive", "--all", "--limit", "1", "--yes")
        seconds, peak = timed(environment, "dlq", "redrive", "--all", "--yes")
    rate = (count - 1) / (seconds - one)
    print(f"\n{count} letters; medians of {ROUNDS}, without the start of the program\n")
    print(f"list, first page   {listing * 1000:>10,.0f} ms")
    print(f"stats              {counting * 1000:>10,.0f} ms")
    print(f"redrive            {rate:>10,.0f} a second, at most {peak:.0f} MB")
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        figures = [round(listing * 1000), round(counting * 1000), round(rate), round(peak)]
        at = datetime.now(UTC).isoformat(timespec="seconds")
        writer.writerow([at, count, *figures, os.cpu_count() or 0, platform.python_version()])


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-") as folder:
        try:
            asyncio.run(measure(options.letters, Path(folder) / "stack"))
        finally:
            stack.down(Path(folder) / "stack", delete=True)


if __name__ == "__main__":
    main()
