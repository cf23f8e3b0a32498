"""The limit: the same rows, from memory, into the same table, as fast as one process writes them.

Rows are ready before the clock starts: nothing is fetched, decoded, deduplicated, merged, accounted or committed to
Kafka. COPY to a temporary table and one insert in key order, over two connections, as the worker's own role.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from contracts.decode import decode
from contracts.window import TimeWindow
from persistence import migrate
from persistence.logs import LOG_BY_NAME

BATCH = 2_000
CONNECTIONS = 2


def rows_of(values: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """The rows that a worker would write for these values."""
    window, now_ms = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC)), int(time.time() * 1000)
    rows = []
    for offset, value in enumerate(values):
        event = decode(value, None, (), now_ms, window)
        rows.append(LOG_BY_NAME[event.type.log].row(event, UUID(event.uid), ("bench", 0, offset)))
    return rows


async def limit(url: str, rows: Sequence[tuple[Any, ...]]) -> float:
    """Rows a second."""
    log = LOG_BY_NAME["extraction_event"]
    columns = ", ".join(f'"{c}"' for c in log.columns)
    insert = f"INSERT INTO {log.name} ({columns}) SELECT {columns} FROM staged ON CONFLICT DO NOTHING"  # noqa: S608

    async def write(which: int) -> None:
        connection = await asyncpg.connect(migrate.driver_dsn(url))
        await connection.execute("SET ROLE siltstone_worker")
        await connection.execute(f"CREATE TEMPORARY TABLE staged (LIKE {log.name}) ON COMMIT DELETE ROWS")
        await connection.execute("ALTER TABLE staged ALTER COLUMN ingested_at DROP NOT NULL")
        barrier.release()
        await begin.wait()
        for at in range(which * BATCH, len(rows), BATCH * CONNECTIONS):
            batch = sorted(rows[at : at + BATCH], key=lambda row: row[0].bytes)
            async with connection.transaction():
                await connection.copy_records_to_table("staged", records=batch, columns=log.columns)
                await connection.execute(insert)
        await connection.close()

    barrier, begin = asyncio.Semaphore(0), asyncio.Event()
    writers = [asyncio.create_task(write(which)) for which in range(CONNECTIONS)]
    for _ in writers:
        await barrier.acquire()
    began = time.perf_counter()
    begin.set()
    await asyncio.gather(*writers)
    return len(rows) / (time.perf_counter() - began)
