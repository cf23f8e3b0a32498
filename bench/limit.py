"""The limit: the same rows into the same tables, from memory, as fast as one process writes them.

COPY to a temporary table and one insert in key order, over two connections, as the worker's own role. Nothing is
fetched, checked, merged, accounted, nor committed to Kafka. For extractions once with rows that are ready before the
clock starts, once from the events' bytes, decoded by bare structs that check nothing but types; for every family with
the rows that a worker left in all tables, each written once, as merging beforehand would.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
import msgspec
from aiokafka import ConsumerRecord
from asyncpg.pgproto.pgproto import UUID

from contracts.decode import decode
from contracts.event import event_uid, microseconds
from contracts.window import TimeWindow
from persistence import migrate
from persistence.logs import LOG_BY_NAME, LOGS, row_of
from persistence.states import STATES

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
        rows.append(row_of(event, record))
    return rows


async def limit_of_rows(url: str, rows: Sequence[Row]) -> float:
    """Rows a second, from rows that are ready."""
    return await _write(url, len(rows), lambda first, after: rows[first:after])


async def limit_of_bytes(url: str, values: Sequence[bytes]) -> float:
    """Rows a second, from the events' bytes."""
    return await _write(url, len(values), lambda first, after: [bare_row(value) for value in values[first:after]])


class Rows(NamedTuple):
    """What a worker left in one table: the columns that a writer fills, and the rows in the order of their keys."""

    table: str
    columns: tuple[str, ...]
    rows: list[Row]


async def rows_left(url: str) -> list[Rows]:
    """What is in the tables of the logs and of the states."""
    columns = {log.name: (log.columns, log.columns[0]) for log in LOGS}
    for state in STATES:
        names = ("tenant_id", state.key, *(column.name for column in state.columns), "clock")
        columns[state.name] = names, f"tenant_id, {state.key}"
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    found = []
    for table, (names, order) in columns.items():
        rows = await connection.fetch(f"SELECT {_named(names)} FROM {table} ORDER BY {order}")  # noqa: S608
        if rows:
            found.append(Rows(table, names, [tuple(row) for row in rows]))
    await connection.close()
    return found


async def seconds_of(url: str, left: Sequence[Rows]) -> float:
    """How long the same rows take into empty tables."""
    work = iter([(one, at) for one in left for at in range(0, len(one.rows), BATCH)])
    ready, begin = asyncio.Barrier(CONNECTIONS + 1), asyncio.Event()

    async def write() -> None:
        connection = await asyncpg.connect(migrate.driver_dsn(url))
        await connection.execute("SET ROLE siltstone_worker")
        inserts = {one.table: await _stage(connection, one.table, one.columns) for one in left}
        await ready.wait()
        await begin.wait()
        for one, at in work:
            async with connection.transaction():
                await connection.copy_records_to_table(
                    f"staged_{one.table}", records=one.rows[at : at + BATCH], columns=one.columns
                )
                await connection.execute(inserts[one.table])
        await connection.close()

    return await _timed([write() for _ in range(CONNECTIONS)], ready, begin)


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


async def _stage(connection: asyncpg.Connection, table: str, columns: Sequence[str]) -> str:
    """Make the table that rows are copied to, and the statement that takes them from there."""
    made = f"staged_{table}"
    await connection.execute(f"CREATE TEMPORARY TABLE {made} (LIKE {table}) ON COMMIT DELETE ROWS")
    if "kafka_offset" in columns:
        await connection.execute(f"ALTER TABLE {made} ALTER COLUMN ingested_at DROP NOT NULL")
    names = _named(columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {made} ON CONFLICT DO NOTHING"  # noqa: S608


async def _timed(writers: Sequence[Coroutine[Any, Any, None]], ready: asyncio.Barrier, begin: asyncio.Event) -> float:
    """Seconds from the moment when every writer has its connection, to the end of the last."""
    tasks = [asyncio.create_task(writer) for writer in writers]
    await ready.wait()
    began = time.perf_counter()
    begin.set()
    await asyncio.gather(*tasks)
    return time.perf_counter() - began


async def _write(url: str, count: int, rows: Callable[[int, int], Sequence[Row]]) -> float:
    ready, begin = asyncio.Barrier(CONNECTIONS + 1), asyncio.Event()

    async def write(which: int) -> None:
        connection = await asyncpg.connect(migrate.driver_dsn(url))
        await connection.execute("SET ROLE siltstone_worker")
        insert = await _stage(connection, LOG.name, LOG.columns)
        await ready.wait()
        await begin.wait()
        for at in range(which * BATCH, count, BATCH * CONNECTIONS):
            batch = sorted(rows(at, at + BATCH), key=lambda row: row[0].bytes)
            async with connection.transaction():
                await connection.copy_records_to_table(f"staged_{LOG.name}", records=batch, columns=LOG.columns)
                await connection.execute(insert)
        await connection.close()

    return count / await _timed([write(which) for which in range(CONNECTIONS)], ready, begin)
