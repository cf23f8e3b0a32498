"""How fast a system empties a topic into a fresh database."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import asyncpg
from sqlalchemy.engine import make_url

from bench.processes import Command, Failed, Processes, running
from persistence import migrate

FIRST_POLL_SECONDS = 0.02  # until the clock runs
LAST_POLL_SECONDS = 0.05  # at most so often, once it runs
LONGEST_POLL_SECONDS = 2.0
LIMIT_SECONDS = 300
STALL_SECONDS = 60  # without a new row

LEDGER = "SELECT coalesce(sum(upper(r) - lower(r)), 0)::int FROM ingest_batch, unnest(stored) AS r"

Ask = Callable[[], Awaitable[int]]


class Timed(NamedTuple):
    """From the first look at which rows were there, and every process at work, to the look that found the last."""

    rows: int
    seconds: float
    used: tuple[float, ...]  # of each meter
    late_rate: float  # rows a second of the second half: without what a program does slowly at first

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@contextlib.asynccontextmanager
async def fresh_database(url: str, template: str, strategy: str = "WAL_LOG") -> AsyncIterator[str]:
    """A copy of the migrated database, checkpointed; dropped afterwards. A large one is copied sooner by FILE_COPY."""
    admin = await asyncpg.connect(migrate.driver_dsn(url))
    name = f"bench_{uuid.uuid4().hex[:8]}"
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY {strategy}')
        await admin.execute("CHECKPOINT")
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


async def timed(
    processes: Processes,
    count: int,
    rows: Ask,
    *,
    complete: Callable[[], Awaitable[bool]],
    meters: tuple[Callable[[], float], ...] = (),
) -> Timed:
    """Wait for `count` rows. Those of the first sight do not count, nor any until all consumers have `complete`d.

    It looks seldom in the middle and often at last: a look counts every row, and costs what the system could use.
    """
    first = began = 0.0
    before: tuple[float, ...] = ()
    wait = FIRST_POLL_SECONDS
    started = moved = time.perf_counter()
    last = 0
    middle: tuple[int, float] | None = None
    while True:
        seen, now = await rows(), time.perf_counter()
        if seen >= count:
            break
        processes.check()
        last, moved = seen, now if seen != last else moved
        if now > min(started + LIMIT_SECONDS, moved + STALL_SECONDS):
            raise processes.failed(f"{seen} of {count} rows after {now - started:.0f} s")
        if began:
            if middle is None and seen - first >= (count - first) / 2:
                middle = seen, now
            left = (count - seen) * (now - began) / max(seen - first, 1)
            wait = min(max(min(left / 3, now - began), LAST_POLL_SECONDS), LONGEST_POLL_SECONDS)
        elif seen and await complete():
            first, began = await rows(), time.perf_counter()
            before = tuple(meter() for meter in meters)
        await asyncio.sleep(wait)
    if not began or first >= count:
        raise Failed("every row was there before the clock could start: it needs more --events")
    used = tuple(meter() - at for meter, at in zip(meters, before, strict=True))
    late_rate = (count - middle[0]) / (now - middle[1]) if middle else float("nan")
    return Timed(int(count - first), now - began, used, late_rate)


async def drain(url: str, environment: dict[str, str], count: int) -> tuple[float, float]:
    """Rows a second of one worker, and its peak resident memory in MB."""
    own = {"DATABASE_URL": url, "KAFKA_GROUP_ID": uuid.uuid4().hex, "SILTSTONE_HTTP_PORT": "0"}
    program = Path(sys.executable).parent / "siltstone"
    command = Command([program, "worker", "--family", "extraction"], environment | own)
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    try:
        with running([command]) as processes:
            found = await timed(processes, count, lambda: connection.fetchval(LEDGER), complete=_at_once)
            await check_stored(connection, count)
            return found.rate, processes.peak_mb()
    except Failed as failed:
        raise SystemExit(str(failed)) from None
    finally:
        await connection.close()


async def check_stored(connection: asyncpg.Connection, count: int) -> None:
    """Raises Failed unless the log and the states hold each of `count` extractions once."""
    stored = await connection.fetchval("SELECT count(*) FROM extraction_event")
    counted = await connection.fetchval("SELECT sum(extractions) FROM session")
    if not stored == counted == count:
        raise Failed(f"published {count}, but {stored} rows and {counted} counted")


async def _at_once() -> bool:
    return True
