"""Redrives: jobs, the letters that each has claimed, and how far it has come.

A job claims letters batch by batch, each batch in one transaction, before it sends them. `sent_batch` follows what
Kafka committed: after a crash the group of the job knows better (workers/redrive.py).
"""

import uuid
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from contracts.record import Message
from persistence.letter_search import Selection
from persistence.letters import SENT, message_of, sent

PAGE = 500  # letters that a plan reads at a time
COLUMNS = f"""
  l.id, l.redrive_count, l.topic, l.partition, l."offset", l.reason, l.first_failed_at, {SENT}
"""

Position = tuple[str, int, int, uuid.UUID]
"""Topic, partition, offset and id: the order in which letters go."""

BEFORE_ALL: Position = ("", -1, -1, uuid.UUID(int=0))


@dataclass(frozen=True, slots=True)
class Job:
    """A redrive that is not finished: `claimed` letters in batches up to `last_batch`, sent up to `sent_batch`."""

    id: uuid.UUID
    selection: str
    last_batch: int
    sent_batch: int
    claimed: int


@dataclass(slots=True)
class Sendable:
    """A letter as a redrive sends it: what came, or what an operator made of it."""

    id: uuid.UUID
    redrive_count: int
    topic: str
    partition: int
    offset: int
    reason: str
    first_failed_at: datetime
    message: Message

    @property
    def position(self) -> Position:
        """Where it stands in the order in which letters go."""
        return self.topic, self.partition, self.offset, self.id


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters a redrive takes: a selection, of these statuses, of these topics, of values up to `max_bytes`."""

    selection: Selection
    statuses: Sequence[str]
    topics: Collection[str]
    max_bytes: int

    def where(self, first: int) -> tuple[str, list[Any]]:
        """A condition on `dead_letter AS l` and its arguments, numbered from `first`."""
        condition, arguments = self.selection.where(first)
        at = first + len(arguments)
        return (
            f"{condition} AND {_takes(at, at + 1, at + 2)}",
            [*arguments, list(self.statuses), list(self.topics), self.max_bytes],
        )


def _takes(statuses: int, topics: int, max_bytes: int) -> str:
    """A condition whose arguments have these numbers. A letter on its way is taken only from a finished job."""
    return f"""
    l.status = ANY(${statuses}::text[]) AND l.topic = ANY(${topics}::text[])
    AND coalesce(octet_length({sent("value")}), 0) + coalesce(octet_length({sent("key")}), 0)
      + (SELECT coalesce(sum(octet_length(name) + coalesce(octet_length(text), 0)), 0)
         FROM unnest({sent("header_names")}, {sent("header_values")}) AS h(name, text))
      <= ${max_bytes}
    AND (l.status <> 'redriving'
         OR EXISTS (SELECT FROM redrive_job AS j WHERE j.id = l.job AND j.finished_at IS NOT NULL))
    """


async def begin(connection: asyncpg.Connection, actor: str, selection: str) -> Job:
    """A new job."""
    job = Job(uuid.uuid4(), selection, 0, 0, 0)
    await connection.execute(
        "INSERT INTO redrive_job (id, actor, selection) VALUES ($1, $2, $3)", job.id, actor, selection
    )
    return job


async def unfinished(connection: asyncpg.Connection) -> list[Job]:
    """The jobs that did not come to their end, oldest first; one that runs elsewhere is among them."""
    rows = await connection.fetch(
        """
        SELECT j.id, j.selection, j.sent_batch, a.claimed,
               greatest(j.sent_batch, (SELECT max(batch) FROM dead_letter WHERE job = j.id AND status = 'redriving'))
                 AS last_batch
        FROM redrive_job AS j
        CROSS JOIN LATERAL (SELECT count(*)::int AS claimed FROM dead_letter_action WHERE job = j.id) AS a
        WHERE j.finished_at IS NULL ORDER BY j.started_at, j.id
        """
    )
    return [Job(_uuid(r["id"]), r["selection"], r["last_batch"], r["sent_batch"], r["claimed"]) for r in rows]


async def hold(connection: asyncpg.Connection, job: uuid.UUID) -> bool:
    """Hold a job for as long as this connection lives; False when another does."""
    held: bool = await connection.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"redrive {job}")
    return held


async def release(connection: asyncpg.Connection, job: uuid.UUID) -> None:
    """Let a job go."""
    await connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", f"redrive {job}")


async def claim(
    connection: asyncpg.Connection,
    job: uuid.UUID,
    batch: int,
    actor: str,
    wanted: Wanted,
    limit: int,
    after: Position,
    tenant_of: Callable[[Sendable], str | None],
) -> list[Sendable]:
    """Claim the next letters for a batch, in the order of their records; those that another has locked are left out.

    `tenant_of` says whose event it will be: the worker that settles it must find the same.
    """
    condition, arguments = wanted.where(6)
    async with connection.transaction():
        rows = await connection.fetch(
            f"""
            SELECT {COLUMNS} FROM dead_letter AS l
            WHERE (l.topic, l.partition, l."offset", l.id) > ($1, $2, $3, $4) AND {condition}
            ORDER BY l.topic, l.partition, l."offset", l.id LIMIT $5 FOR UPDATE SKIP LOCKED
            """,
            *after,
            limit,
            *arguments,
        )
        letters = [_sendable(row) for row in rows]
        for letter in letters:
            letter.redrive_count += 1
        await connection.execute(
            """
            WITH sent AS (SELECT * FROM unnest($1::uuid[], $2::text[]) AS s(id, tenant_id)),
            claimed AS (
              UPDATE dead_letter AS l
              SET status = 'redriving', phase = 0, redrive_count = l.redrive_count + 1, job = $3, batch = $4,
                  sent_tenant_id = sent.tenant_id
              FROM sent WHERE l.id = sent.id
            )
            INSERT INTO dead_letter_action (dead_letter_id, actor, action, job)
            SELECT id, $5, 'redrive', $3 FROM sent
            """,
            [letter.id for letter in letters],
            [tenant_of(letter) for letter in letters],
            job,
            batch,
            actor,
        )
    return letters


async def of_batch(connection: asyncpg.Connection, job: uuid.UUID, batch: int) -> list[Sendable]:
    """The letters of a batch that was claimed; all of them, when it was not sent."""
    rows = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM dead_letter AS l WHERE l.job = $1 AND l.batch = $2 AND l.status = 'redriving'
        ORDER BY l.topic, l.partition, l."offset", l.id
        """,
        job,
        batch,
    )
    return [_sendable(row) for row in rows]


async def note_sent(connection: asyncpg.Connection, job: uuid.UUID, batch: int) -> None:
    """Kafka committed a batch."""
    await connection.execute("UPDATE redrive_job SET sent_batch = greatest(sent_batch, $2) WHERE id = $1", job, batch)


async def finish(connection: asyncpg.Connection, job: uuid.UUID) -> None:
    """Every claimed letter was sent."""
    await connection.execute("UPDATE redrive_job SET finished_at = now() WHERE id = $1", job)


async def outcome(connection: asyncpg.Connection, job: uuid.UUID) -> dict[str, int]:
    """How many letters of a job have which status now."""
    rows = await connection.fetch("SELECT status, count(*)::int AS n FROM dead_letter WHERE job = $1 GROUP BY 1", job)
    return {row["status"]: row["n"] for row in rows}


async def count(connection: asyncpg.Connection, wanted: Wanted) -> int:
    """How many letters a redrive would take."""
    condition, arguments = wanted.where(1)
    number: int = await connection.fetchval(f"SELECT count(*)::int FROM dead_letter AS l WHERE {condition}", *arguments)
    return number


async def planned(connection: asyncpg.Connection, wanted: Wanted, limit: int | None) -> AsyncIterator[Sendable]:
    """The letters that a redrive would take, in the order in which they go; in the caller's transaction."""
    condition, arguments = wanted.where(2)
    query = f"""
    SELECT {COLUMNS} FROM dead_letter AS l WHERE {condition}
    ORDER BY l.topic, l.partition, l."offset", l.id LIMIT $1
    """
    async for row in connection.cursor(query, limit, *arguments, prefetch=PAGE):
        yield _sendable(row)


async def left_out(connection: asyncpg.Connection, wanted: Wanted) -> dict[str, int]:
    """Letters of the selection that a redrive does not take, by why."""
    condition, arguments = wanted.selection.where(4)
    rows = await connection.fetch(
        f"""
        SELECT CASE WHEN NOT l.status = ANY($1::text[]) THEN l.status
                    WHEN NOT l.topic = ANY($2::text[]) THEN 'of a topic that is not ours'
                    ELSE 'too large for the topic' END AS why, count(*)::int AS n
        FROM dead_letter AS l
        WHERE {condition} AND NOT ({_takes(1, 2, 3)})
        GROUP BY 1 ORDER BY 1
        """,
        list(wanted.statuses),
        list(wanted.topics),
        wanted.max_bytes,
        *arguments,
    )
    return {row["why"]: row["n"] for row in rows}


def _sendable(row: asyncpg.Record) -> Sendable:
    return Sendable(
        id=_uuid(row["id"]),
        redrive_count=row["redrive_count"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        reason=row["reason"],
        first_failed_at=row["first_failed_at"],
        message=message_of(row),
    )


def _uuid(value: Any) -> uuid.UUID:
    """The driver's own type of UUID compares with none but itself."""
    return uuid.UUID(bytes=value.bytes)
