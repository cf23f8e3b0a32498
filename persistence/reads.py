"""Reads of one tenant's record: row-level security adds the tenant to every query, and so its index is used."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from persistence.database import Database
from persistence.logs import LOGS, Log


@asynccontextmanager
async def as_tenant(database: Database, tenant_id: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that sees the rows of one tenant; `database` is opened as siltstone_reader."""
    async with database.transaction(readonly=True) as connection:
        await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant_id)
        yield connection


async def log_rows(connection: asyncpg.Connection) -> dict[str, int]:
    """How many rows each log has: one for every event."""
    counts = ", ".join(f"(SELECT count(*) FROM {log.name}) AS {log.name}" for log in LOGS)
    row = await connection.fetchrow(f"SELECT {counts}")
    return dict(row) if row else {}


async def events_counted(connection: asyncpg.Connection) -> int:
    """The events that the states have merged: each event is about one session, definition, run or exception."""
    counted: int = await connection.fetchval(
        """
        SELECT coalesce(sum(events), 0)::bigint FROM (
          SELECT events FROM session UNION ALL SELECT events FROM definition
          UNION ALL SELECT events FROM run UNION ALL SELECT events FROM exception
        ) AS states
        """
    )
    return counted


async def session_timeline(connection: asyncpg.Connection, session_id: str) -> list[dict[str, Any]]:
    """Everything stored about a session, in the order of time: `at`, `event`, `what`."""
    rows = await connection.fetch(
        """
        SELECT event_time AS at, ce_type AS event, what FROM (
          SELECT event_time, event_uid, ce_type,
                 concat_ws(' ', agent_name, state, 'exit ' || exit_code) AS what
          FROM session_event WHERE session_id = $1
          UNION ALL
          SELECT event_time, event_uid, ce_type, event_type || ': ' || coalesce(matched_value, pattern)
          FROM extraction_event WHERE session_id = $1
          UNION ALL
          SELECT event_time, event_uid, ce_type, concat_ws(' ', language, 'lines ' || line_start || '-' || line_end)
          FROM code_block_occurrence WHERE session_id = $1
        ) AS everything ORDER BY event_time, event_uid
        """,
        session_id,
    )
    return [dict(row) for row in rows]


async def run_of(connection: asyncpg.Connection, run_id: str) -> dict[str, Any] | None:
    """The state of a run; None when no event about it is stored."""
    row = await connection.fetchrow("SELECT * FROM run WHERE id = $1", run_id)
    return None if row is None else dict(row)


async def run_nodes(connection: asyncpg.Connection, run_id: str) -> list[dict[str, Any]]:
    """The nodes of a run, in the order of time."""
    rows = await connection.fetch(
        """
        SELECT event_time AS at, node_name, status, duration_ms, error_message
        FROM node_execution WHERE run_id = $1 ORDER BY event_time, event_uid
        """,
        run_id,
    )
    return [dict(row) for row in rows]


async def exception_history(connection: asyncpg.Connection, exception_id: str) -> list[dict[str, Any]]:
    """Every decision about an exception, in the order of time; `changes` is what it set."""
    rows = await connection.fetch(
        """
        SELECT event_time AS at, event_type, actor_type, actor_id, changes
        FROM exception_event WHERE exception_id = $1 ORDER BY event_time, event_uid
        """,
        exception_id,
    )
    return [dict(row) | {"changes": row["changes"] and json.loads(row["changes"])} for row in rows]


async def sums_of(
    connection: asyncpg.Connection, log: Log, uids: Sequence[bytes], columns: Sequence[str]
) -> tuple[int, dict[str, Decimal]]:
    """How many of these events have a row in a log, and the sum of each of these columns over them; 0 for no value."""
    sums = "".join(f', coalesce(sum("{column}"), 0)::numeric AS "{column}"' for column in columns)
    keys = [UUID(bytes=uid) for uid in uids]
    row = await connection.fetchrow(f"SELECT count(*) AS rows{sums} FROM {log.name} WHERE event_uid = ANY($1)", keys)
    if row is None:
        raise AssertionError("an aggregate always has a row")
    found = dict(row)
    return found.pop("rows"), found
