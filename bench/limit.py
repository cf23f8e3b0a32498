"""The limit: the same rows into the same table, from memory, as fast as one process writes them.

COPY to a temporary table and one insert in key order, over two connections, as the worker's own role. Nothing is
fetched, checked, merged, accounted, nor committed to Kafka. Once with rows that are ready before the clock starts,
once from the events' bytes, decoded by bare structs that check nothing but types.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
from aiokafka import ConsumerRecord
from asyncpg.pgproto.pgproto import UUID

from contracts.decode import decode
from contracts.event import event_uid, microseconds
from contracts.window import TimeWindow
from persistence import migrate
from persistence.logs import LOG_BY_NAME

BATCH = 2_000
CONNECTIONS = 2
LOG = LOG_BY_NAME["extraction_event"]

Row = tuple[Any, ...]


class _Data(msgspec.Struct, gc=False):
    agent_name: str
    event_type: str
    pattern: str
    metadata: msgspec.Raw
    matched_value: str | None = None
    original_line: str | None = None
    line_number: int | None = None
    code_block_language: str | None = None
    risk_level: str | None = None
    auto_confirmable: bool = False


class _Event(msgspec.Struct, gc=False):
    id: str
    source: str
    type: str
    subject: str
    tenantid: str
    time: datetime
    data: _Data


_decoder = msgspec.json.Decoder(_Event)


def bare_row(value: bytes) -> Row:
    """The row of one event, by the shortest way there is."""
    e = _decoder.decode(value)
    d = e.data
    uid = UUID(event_uid(microseconds(e.time), e.tenantid, e.source, e.id))
    own = (d.agent_name, d.event_type, d.pattern, d.matched_value, d.original_line, d.line_number)
    more = (d.code_block_language, d.risk_level, d.auto_confirmable, bytes(d.metadata).decode(), None)
    return (uid, e.tenantid, e.subject, e.time, e.type, e.id, e.source, None, None, *own, *more, "bench", 0, 0)


def rows_of(values: Sequence[bytes]) -> list[Row]:
    """The rows that a worker would write for these values."""
    window, now_ms = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC)), int(time.time() * 1000)
    rows = []
    for offset, value in enumerate(values):
        record = ConsumerRecord("bench", 0, offset, now_ms, 0, None, value, None, -1, len(value), ())
        event = decode(value, None, (), now_ms, window)
        rows.append(LOG.row(event, record))
    return rows


async def limit_of_rows(url: str, rows: Sequence[Row]) -> float:
    """Rows a second, from rows that are ready."""
    return await _write(url, len(rows), lambda first, after: rows[first:after])


async def limit_of_bytes(url: str, values: Sequence[bytes]) -> float:
    """Rows a second, from the events' bytes."""
    return await _write(url, len(values), lambda first, after: [bare_row(value) for value in values[first:after]])


async def _write(url: str, count: int, rows: Callable[[int, int], Sequence[Row]]) -> float:
    columns = ", ".join(f'"{c}"' for c in LOG.columns)
    insert = f"INSERT INTO {LOG.name} ({columns}) SELECT {columns} FROM staged ON CONFLICT DO NOTHING"  # noqa: S608
    ready, begin = asyncio.Barrier(CONNECTIONS + 1), asyncio.Event()

    async def write(which: int) -> None:
        connection = await asyncpg.connect(migrate.driver_dsn(url))
        await connection.execute("SET ROLE siltstone_worker")
        await connection.execute(f"CREATE TEMPORARY TABLE staged (LIKE {LOG.name}) ON COMMIT DELETE ROWS")
        await connection.execute("ALTER TABLE staged ALTER COLUMN ingested_at DROP NOT NULL")
        await ready.wait()
        await begin.wait()
        for at in range(which * BATCH, count, BATCH * CONNECTIONS):
            batch = sorted(rows(at, at + BATCH), key=lambda row: row[0].bytes)
            async with connection.transaction():
                await connection.copy_records_to_table("staged", records=batch, columns=LOG.columns)
                await connection.execute(insert)
        await connection.close()

    writers = [asyncio.create_task(write(which)) for which in range(CONNECTIONS)]
    await ready.wait()
    began = time.perf_counter()
    begin.set()
    await asyncio.gather(*writers)
    return count / (time.perf_counter() - began)
