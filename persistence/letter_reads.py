"""What operators read of dead letters: pages, counts, one letter with its history, and what has landed beside it."""

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from contracts.event_type import EventType
from persistence.letter_search import Selection
from persistence.logs import LOGS
from persistence.states import Rule, State

UNRESOLVED = ("dead", "redriving", "parked")
COLUMNS = (
    'id, tenant_id, topic, partition, "offset", consumer_group, event_type, event_id, subject, reason, stage, '
    "error, exception, sqlstate, first_failed_at, last_failed_at, redrive_count, status, source, is_mended, "
    "resolved_at, resolution, resolved_log, event_uid"
)
EXPORT_PREFETCH = 10  # letters in memory at once: one may have many MiB
SAME_EVENT_MAX = 20


class Place(NamedTuple):
    """Where a letter stands among all, newest first: the key of a page."""

    last_failed_at: datetime
    id: uuid.UUID


async def page(
    connection: asyncpg.Connection, selection: Selection, limit: int, after: Place | None = None
) -> list[dict[str, Any]]:
    """The newest letters of a selection, or those that come after a place; without their bytes."""
    where, arguments = selection.where()
    if after is not None:
        where += f" AND (l.last_failed_at, l.id) < (${len(arguments) + 1}, ${len(arguments) + 2})"
        arguments += after
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM dead_letter AS l WHERE {where} "
        f"ORDER BY l.last_failed_at DESC, l.id DESC LIMIT ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [dict(row) for row in rows]


async def stats(connection: asyncpg.Connection, selection: Selection) -> list[dict[str, Any]]:
    """Counts of a selection, each with when the first was first refused and the last was last refused.

    A row for each `status`, `reason`, `topic`, `type`, `tenant` and `hour` of the last refusal. All but the statuses
    count only letters that are unresolved, unless the selection names statuses itself.
    """
    where, arguments = selection.where()
    counted = "true" if selection.statuses else f"status = ANY(${len(arguments) + 1}::text[])"
    given = arguments if selection.statuses else [*arguments, list(UNRESOLVED)]
    # Compiling this statement takes longer than running it.
    await connection.execute("SET LOCAL jit = off")
    rows = await connection.fetch(
        f"""
        SELECT CASE 0 WHEN grouping(status) THEN 'status' WHEN grouping(reason) THEN 'reason'
                      WHEN grouping(topic) THEN 'topic' WHEN grouping(type) THEN 'type'
                      WHEN grouping(tenant) THEN 'tenant' ELSE 'hour' END AS by,
               coalesce(status, reason, topic, type, tenant,
                        to_char(hour, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS value,
               count(*) AS count, min(first_failed_at) AS first_seen, max(last_failed_at) AS last_seen
        FROM (
          SELECT status, {counted} AS counted, reason, topic, event_type AS type, tenant_id AS tenant,
                 date_trunc('hour', last_failed_at, 'UTC') AS hour, first_failed_at, last_failed_at
          FROM dead_letter AS l WHERE {where}
        ) AS letters
        GROUP BY GROUPING SETS ((status), (counted, reason), (counted, topic), (counted, type), (counted, tenant),
                                (counted, hour))
        HAVING grouping(status) = 0 OR counted
        ORDER BY count DESC, value
        """,
        *given,
    )
    return [dict(row) for row in rows]


class Unresolved(NamedTuple):
    """The letters of one reason that are dead, redriving or parked, and the age of the oldest of them."""

    reason: str
    letters: int
    oldest_seconds: float


async def unresolved(connection: asyncpg.Connection) -> list[Unresolved]:
    """Every reason that has any; the statuses are written out, so that their partial index is used."""
    rows = await connection.fetch(
        f"""
        SELECT reason, count(*), extract(epoch FROM now() - min(first_failed_at))::float8
        FROM dead_letter WHERE status IN {UNRESOLVED} GROUP BY reason
        """
    )
    return [Unresolved(*row) for row in rows]


async def one(connection: asyncpg.Connection, letter: uuid.UUID) -> dict[str, Any] | None:
    """A letter whole, with its key, value and headers; None when the index has none of that id."""
    row = await connection.fetchrow("SELECT * FROM dead_letter WHERE id = $1", letter)
    return None if row is None else dict(row)


async def trips(connection: asyncpg.Connection, letter: uuid.UUID) -> list[dict[str, Any]]:
    """Every refusal of a letter, the first one first."""
    rows = await connection.fetch(
        "SELECT * FROM dead_letter_trip WHERE dead_letter_id = $1 ORDER BY redrive_count", letter
    )
    return [dict(row) for row in rows]


async def refusals(connection: asyncpg.Connection, letters: Iterable[uuid.UUID]) -> set[tuple[uuid.UUID, int]]:
    """Letter and redrive count of every refusal of these letters; they are kept when a letter is purged."""
    rows = await connection.fetch(
        "SELECT dead_letter_id, redrive_count FROM dead_letter_trip WHERE dead_letter_id = ANY($1::uuid[])",
        list(letters),
    )
    return {(row["dead_letter_id"], row["redrive_count"]) for row in rows}


async def actions(connection: asyncpg.Connection, letter: uuid.UUID) -> list[dict[str, Any]]:
    """What operators did to a letter, in order, with the bytes before and after an edit."""
    rows = await connection.fetch("SELECT * FROM dead_letter_action WHERE dead_letter_id = $1 ORDER BY id", letter)
    return [dict(row) for row in rows]


async def same_event(
    connection: asyncpg.Connection, letter: uuid.UUID, tenant_id: str | None, event_id: str | None
) -> list[dict[str, Any]]:
    """The newest other letters that say the same tenant and event id; none when either is unknown."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM dead_letter WHERE tenant_id = $1 AND event_id = $2 AND id <> $3 "
        "ORDER BY last_failed_at DESC, id DESC LIMIT $4",
        tenant_id,
        event_id,
        letter,
        SAME_EVENT_MAX,
    )
    return [dict(row) for row in rows]


async def exported(connection: asyncpg.Connection, selection: Selection) -> AsyncIterator[dict[str, Any]]:
    """Every letter of a selection whole, with its `trips`, oldest first, by a cursor of the caller's transaction.

    The session's limits in time are lifted for this transaction: whoever reads may be slow.
    """
    where, arguments = selection.where()
    await connection.execute(
        "SET LOCAL statement_timeout = 0; SET LOCAL transaction_timeout = 0;"
        "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL jit = off"
    )
    statement = f"""
        SELECT l.*, (
          SELECT json_agg(json_build_object(
            'redrive_count', t.redrive_count, 'topic', t.topic, 'partition', t.partition, 'offset', t."offset",
            'reason', t.reason, 'stage', t.stage, 'error', t.error, 'failed_at', t.failed_at
          ) ORDER BY t.redrive_count)::text
          FROM dead_letter_trip AS t WHERE t.dead_letter_id = l.id
        ) AS trips
        FROM dead_letter AS l WHERE {where} ORDER BY l.last_failed_at, l.id
    """
    async for row in connection.cursor(statement, *arguments, prefetch=EXPORT_PREFETCH):
        yield dict(row) | {"trips": json.loads(row["trips"] or "[]")}


async def tenant_status(connection: asyncpg.Connection, tenant_id: str) -> str | None:
    """Of the tenant that the transaction is for; None when there is none."""
    status: str | None = await connection.fetchval("SELECT status FROM tenant WHERE tenant_id = $1", tenant_id)
    return status


async def is_stored(connection: asyncpg.Connection, kind: EventType, uid: bytes) -> bool:
    """Whether the log has the row of an event."""
    found = await connection.fetchval(f"SELECT true FROM {kind.log} WHERE event_uid = $1", UUID(uid))
    return bool(found)


async def state_row(connection: asyncpg.Connection, state: State, tenant_id: str, key: str) -> dict[str, Any] | None:
    """The `clock` of a thing as a dict by column, and its columns that need none; None when it has no row."""
    others = "".join(f', "{column.name}"' for column in state.columns if column.rule is not Rule.last)
    row = await connection.fetchrow(
        f"SELECT clock{others} FROM {state.name} WHERE tenant_id = $1 AND {state.key} = $2", tenant_id, key
    )
    if row is None:
        return None
    return dict(row) | {
        "clock": {c.name: at for c, at in zip(state.lasts, row["clock"], strict=True) if at is not None}
    }


async def later_events(
    connection: asyncpg.Connection, kind: EventType, tenant_id: str, subject: str, time: datetime
) -> tuple[int, datetime | None]:
    """How many events about a subject are stored with a later time, and the latest of their times."""
    logs = " UNION ALL ".join(
        f"SELECT event_time FROM {log.name} WHERE tenant_id = $1 AND {log.subject_column} = $2 AND event_time > $3"
        for log in LOGS
        if log.subject_column == f"{kind.about}_id"
    )
    row = await connection.fetchrow(
        f"SELECT count(*) AS count, max(event_time) AS last FROM ({logs}) AS later", tenant_id, subject, time
    )
    return (row["count"], row["last"]) if row else (0, None)
