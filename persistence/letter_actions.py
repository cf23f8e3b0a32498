"""What operators do with dead letters, each with its row in dead_letter_action: edit, park, discard, restore, purge."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from contracts.record import Message
from persistence.database import execute_many
from persistence.letter_search import Selection
from persistence.letters import SENT, Letter, index, message_of

EDITABLE = ("dead", "parked")
EDIT_MAX_ROWS = 500  # letters a transaction: their rows stay locked until it ends
EDIT_MAX_BYTES = 16 * 1024 * 1024  # of values, so that memory does not grow with the letters' size
MOVE_MAX_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Move:
    """An action that gives letters of some statuses another."""

    name: str
    past: str  # of the name
    sources: tuple[str, ...]
    target: str


PARK = Move("park", "parked", ("dead",), "parked")
DISCARD = Move("discard", "discarded", ("dead", "parked"), "discarded")
RESTORE = Move("restore", "restored", ("parked", "discarded"), "dead")


class Editable(NamedTuple):
    """A letter to edit: what came, and what a redrive would send now."""

    id: uuid.UUID
    record_timestamp: int
    original: Message
    current: Message


class Edit(NamedTuple):
    """What a letter sends from now on."""

    letter: Editable
    after: Message


async def count_by_status(connection: asyncpg.Connection, selection: Selection) -> dict[str, int]:
    """How many letters a selection has of each status."""
    condition, arguments = selection.where()
    rows = await connection.fetch(
        f"SELECT status, count(*)::int AS n FROM dead_letter AS l WHERE {condition} GROUP BY 1 ORDER BY 1", *arguments
    )
    return {row["status"]: row["n"] for row in rows}


async def count_by_reason(
    connection: asyncpg.Connection, selection: Selection, statuses: Sequence[str]
) -> list[dict[str, Any]]:
    """How many letters a selection has of these statuses, by reason and topic, most first."""
    condition, arguments = selection.where(2)
    rows = await connection.fetch(
        f"""
        SELECT reason, topic, count(*)::int AS letters, min(first_failed_at) AS oldest FROM dead_letter AS l
        WHERE l.status = ANY($1::text[]) AND {condition} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
        """,
        list(statuses),
        *arguments,
    )
    return [dict(row) for row in rows]


async def editable_ids(
    connection: asyncpg.Connection, selection: Selection, after: uuid.UUID | None
) -> list[uuid.UUID]:
    """The next letters of a selection that can be edited, by id: as many as one transaction takes."""
    condition, arguments = selection.where(4)
    rows = await connection.fetch(
        f"""
        SELECT l.id, coalesce(octet_length(l.value), 0) + coalesce(octet_length(l.mended_value), 0) AS bytes
        FROM dead_letter AS l
        WHERE l.status = ANY($1::text[]) AND ($2::uuid IS NULL OR l.id > $2) AND {condition}
        ORDER BY l.id LIMIT $3
        """,
        EDITABLE,
        after,
        EDIT_MAX_ROWS,
        *arguments,
    )
    chosen: list[uuid.UUID] = []
    total = 0
    for row in rows:
        total += row["bytes"]
        if chosen and total > EDIT_MAX_BYTES:
            break
        chosen.append(uuid.UUID(bytes=row["id"].bytes))
    return chosen


async def editable(connection: asyncpg.Connection, ids: Sequence[uuid.UUID], *, lock: bool) -> list[Editable]:
    """These letters as they are now, less those that changed their status; with `lock`, less those that others lock."""
    rows = await connection.fetch(
        f"""
        SELECT id, record_timestamp, key, value, header_names, header_values,
               is_mended, mended_key, mended_value, mended_header_names, mended_header_values
        FROM dead_letter WHERE id = ANY($1::uuid[]) AND status = ANY($2::text[])
        ORDER BY id {"FOR UPDATE SKIP LOCKED" if lock else ""}
        """,
        ids,
        EDITABLE,
    )
    return [_editable(row) for row in rows]


def _editable(row: asyncpg.Record) -> Editable:
    original = message_of(row)
    current = message_of(row, "mended_") if row["is_mended"] else original
    return Editable(uuid.UUID(bytes=row["id"].bytes), row["record_timestamp"], original, current)


async def keep(connection: asyncpg.Connection, edits: Sequence[Edit], actor: str, why: str | None) -> None:
    """Keep edits of letters that this transaction has locked, each with its action; what came is never changed.

    A letter that is as it came again counts as not edited.
    """
    await execute_many(
        connection,
        f"""
        WITH before AS (
          SELECT {SENT} FROM dead_letter AS l WHERE id = $1
        ), changed AS (
          UPDATE dead_letter SET
            is_mended = $2,
            mended_key = CASE WHEN $2 THEN $3::bytea END,
            mended_value = CASE WHEN $2 THEN $4::bytea END,
            mended_header_names = CASE WHEN $2 THEN $5::text[] END,
            mended_header_values = CASE WHEN $2 THEN $6::bytea[] END
          WHERE id = $1
        )
        INSERT INTO dead_letter_action (
          dead_letter_id, actor, action, why, key_before, key_after, value_before, value_after,
          header_names_before, header_values_before, header_names_after, header_values_after
        ) SELECT $1, $7, 'edit', $8, before.key, $3, before.value, $4,
                 before.header_names, before.header_values, $5, $6
        FROM before
        """,
        [
            (
                edit.letter.id,
                edit.after != edit.letter.original,
                *_columns(edit.after),
                actor,
                why,
            )
            for edit in edits
        ],
    )


def _columns(message: Message) -> tuple[bytes | None, bytes | None, list[str], list[bytes | None]]:
    """A message as the four columns of one."""
    return (
        message.key,
        message.value,
        [name for name, _ in message.headers],
        [value for _, value in message.headers],
    )


async def take_in(
    connection: asyncpg.Connection, letter: Letter, status: str, mended: Message | None, actor: str
) -> bool:
    """Index a letter that was exported elsewhere, as it stood there; False when the index has it, or had it."""
    if await connection.fetchval("SELECT EXISTS (SELECT FROM dead_letter_trip WHERE dead_letter_id = $1)", letter.id):
        return False
    await index(connection, [letter], max_redrives=1)
    await connection.execute("UPDATE dead_letter SET status = $2 WHERE id = $1", letter.id, status)
    if mended is not None:
        await connection.execute(
            """
            UPDATE dead_letter SET is_mended = true, mended_key = $2, mended_value = $3, mended_header_names = $4,
              mended_header_values = $5 WHERE id = $1
            """,
            letter.id,
            *_columns(mended),
        )
    await connection.execute(
        "INSERT INTO dead_letter_action (dead_letter_id, actor, action) VALUES ($1, $2, 'import')", letter.id, actor
    )
    return True


async def move(connection: asyncpg.Connection, selection: Selection, how: Move, actor: str, why: str | None) -> int:
    """Move up to 5,000 letters of a selection, each with its action; how many. Those that others lock stay.

    The phase stays: it is what the topic says, and the status alone is the operator's.
    """
    condition, arguments = selection.where(7)
    moved: int = await connection.fetchval(
        f"""
        WITH chosen AS (
          SELECT l.id FROM dead_letter AS l WHERE l.status = ANY($1::text[]) AND {condition}
          LIMIT $2 FOR UPDATE SKIP LOCKED
        ), changed AS (
          UPDATE dead_letter AS l SET status = $3 FROM chosen WHERE l.id = chosen.id RETURNING l.id
        ), noted AS (
          INSERT INTO dead_letter_action (dead_letter_id, actor, action, why)
          SELECT id, $4, $5, $6 FROM changed RETURNING 1
        )
        SELECT count(*)::int FROM noted
        """,
        how.sources,
        MOVE_MAX_ROWS,
        how.target,
        actor,
        how.name,
        why,
        *arguments,
    )
    return moved


_PURGEABLE = """
  (l.status = 'resolved' AND l.resolved_at < $1)
  OR ($2 AND l.status = 'discarded' AND coalesce(
       (SELECT max(a.at) FROM dead_letter_action AS a WHERE a.dead_letter_id = l.id), l.last_failed_at) < $1)
"""


async def count_purgeable(connection: asyncpg.Connection, before: datetime, *, discarded: bool) -> dict[str, int]:
    """How many letters of each status a purge would delete."""
    rows = await connection.fetch(
        f"SELECT status, count(*)::int AS n FROM dead_letter AS l WHERE {_PURGEABLE} GROUP BY 1 ORDER BY 1",
        before,
        discarded,
    )
    return {row["status"]: row["n"] for row in rows}


async def purge(
    connection: asyncpg.Connection, before: datetime, actor: str, why: str | None, *, discarded: bool
) -> int:
    """Delete up to 5,000 letters that were resolved (or discarded) before then; how many. Trips and actions stay."""
    deleted: int = await connection.fetchval(
        f"""
        WITH chosen AS (
          SELECT l.id FROM dead_letter AS l WHERE {_PURGEABLE} LIMIT $3 FOR UPDATE SKIP LOCKED
        ), gone AS (
          DELETE FROM dead_letter AS l USING chosen WHERE l.id = chosen.id RETURNING l.id
        ), noted AS (
          INSERT INTO dead_letter_action (dead_letter_id, actor, action, why)
          SELECT id, $4, 'purge', $5 FROM gone RETURNING 1
        )
        SELECT count(*)::int FROM noted
        """,
        before,
        discarded,
        MOVE_MAX_ROWS,
        actor,
        why,
    )
    return deleted
