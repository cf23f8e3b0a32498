"""The index of dead letters: written from the dlq.* topics, read by operators, resolved by what stores."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from contracts.record import Message, Place
from contracts.registry import dlq_topic_of
from persistence.batch import Redriven
from persistence.database import execute_many


class Letter(NamedTuple):
    """A row of dead_letter as its topic gives it; the order of the columns of the insert."""

    id: uuid.UUID
    tenant_id: str | None
    topic: str
    partition: int
    offset: int
    consumer_group: str
    event_type: str | None
    event_id: str | None
    subject: str | None
    reason: str
    stage: str
    error: str
    exception: str | None
    sqlstate: str | None
    key: bytes | None
    value: bytes | None
    header_names: list[str]
    header_values: list[bytes | None]
    record_timestamp: int
    letter_topic: str
    letter_partition: int
    letter_offset: int
    failed_at: datetime
    redrive_count: int
    source: str = "siltstone"


# A later trip (redrive_count, phase) replaces what an earlier one said; the same one said again changes nothing.
# `parked` and `discarded` are an operator's: they stand until a later trip. The bytes stay those of the first trip:
# what a redrive sent is these, or what the operator made of them, which lies beside them.
INDEX = """
INSERT INTO dead_letter AS l (
  id, tenant_id, topic, partition, "offset", consumer_group, event_type, event_id, subject, reason, stage, error,
  exception, sqlstate, key, value, header_names, header_values, record_timestamp,
  letter_topic, letter_partition, letter_offset, first_failed_at, last_failed_at, redrive_count, source, status, phase
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
          $23, $23, $24, $25, CASE WHEN $24::int >= $26::int THEN 'parked' ELSE 'dead' END, 1)
ON CONFLICT (id) DO UPDATE SET
  reason = excluded.reason, stage = excluded.stage, error = excluded.error, exception = excluded.exception,
  sqlstate = excluded.sqlstate, letter_topic = excluded.letter_topic,
  letter_partition = excluded.letter_partition, letter_offset = excluded.letter_offset,
  topic = excluded.topic, partition = excluded.partition, "offset" = excluded."offset",
  record_timestamp = excluded.record_timestamp, last_failed_at = excluded.last_failed_at,
  redrive_count = excluded.redrive_count, phase = excluded.phase,
  status = CASE WHEN (excluded.redrive_count, excluded.phase) > (l.redrive_count, l.phase) THEN excluded.status
                ELSE l.status END
WHERE (excluded.redrive_count, excluded.phase) > (l.redrive_count, l.phase)
   OR (l.letter_offset < 0 AND excluded.letter_offset >= 0 AND excluded.redrive_count = l.redrive_count AND l.phase = 1)
"""

PURGED = """
SELECT DISTINCT t.dead_letter_id AS id FROM dead_letter_trip AS t
WHERE t.dead_letter_id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM dead_letter AS l WHERE l.id = t.dead_letter_id)
"""

INDEX_TRIP = """
INSERT INTO dead_letter_trip (
  dead_letter_id, redrive_count, tenant_id, topic, partition, "offset", reason, stage, error, failed_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING
"""


def sent(column: str) -> str:
    """What a redrive sends of `key`, `value`, `header_names` or `header_values` of `dead_letter AS l`, as SQL."""
    return f"CASE WHEN l.is_mended THEN l.mended_{column} ELSE l.{column} END"


SENT = ", ".join(f"{sent(column)} AS {column}" for column in ("key", "value", "header_names", "header_values"))


def message_of(row: asyncpg.Record | Mapping[str, Any], which: str = "") -> Message:
    """The message in a row's columns, whose names begin with `which`."""
    names, values = row[f"{which}header_names"] or (), row[f"{which}header_values"] or ()
    return Message(row[f"{which}key"], row[f"{which}value"], tuple(zip(names, values, strict=True)))


async def index(connection: asyncpg.Connection, letters: Sequence[Letter], max_redrives: int) -> None:
    """Write letters into the index, in the order of their ids; a letter that is there already changes nothing.

    One that failed after `max_redrives` redrives is parked; one that was purged stays away. Trips account for
    records, and what another system says of one is no account: its letters count for their own place.
    """
    purged = await connection.fetch(PURGED, [letter.id for letter in letters])
    gone = {row["id"].bytes for row in purged}
    ordered: list[Letter] = sorted((letter for letter in letters if letter.id.bytes not in gone), key=_id_bytes)
    await execute_many(connection, INDEX, [(*letter, max_redrives) for letter in ordered])
    await execute_many(
        connection,
        INDEX_TRIP,
        [
            (
                letter.id,
                letter.redrive_count,
                letter.tenant_id,
                *_account(letter),
                letter.reason,
                letter.stage,
                letter.error,
                letter.failed_at,
            )
            for letter in ordered
        ],
    )


def _account(letter: Letter) -> tuple[str, int, int]:
    """The record that a trip accounts for."""
    if letter.source == "siltstone" and letter.letter_topic == dlq_topic_of(letter.topic):
        return letter.topic, letter.partition, letter.offset
    return letter.letter_topic, letter.letter_partition, letter.letter_offset


def _id_bytes(letter: Letter) -> bytes:
    return letter.id.bytes


class Claim(NamedTuple):
    """What a record says of itself: the letter and the redrive that it comes from."""

    letter_id: uuid.UUID
    redrive_count: int
    place: Place
    tenant_id: str | None


async def confirm(connection: asyncpg.Connection, claims: Sequence[Claim]) -> set[Place]:
    """The places of the records whose claims the index confirms.

    The letter is `redriving` with exactly that count, or it was refused again for exactly this record, which is
    delivered once more. Anybody who can publish can write an x-dlq-id: a claim that is not confirmed is nothing.
    """
    rows = await connection.fetch(
        """
        SELECT c.topic, c.partition, c."offset"
        FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::bigint[], $6::text[])
          AS c(id, redrive_count, topic, partition, "offset", tenant_id)
        WHERE EXISTS (
          SELECT FROM dead_letter AS l
          WHERE l.id = c.id AND l.redrive_count = c.redrive_count AND l.topic = c.topic AND l.status = 'redriving'
            AND l.sent_tenant_id IS NOT DISTINCT FROM c.tenant_id
        ) OR EXISTS (
          SELECT FROM dead_letter_trip AS t
          WHERE t.dead_letter_id = c.id AND t.redrive_count = c.redrive_count
            AND (t.topic, t.partition, t."offset") = (c.topic, c.partition, c."offset")
        )
        """,
        [claim.letter_id for claim in claims],
        [claim.redrive_count for claim in claims],
        [claim.place[0] for claim in claims],
        [claim.place[1] for claim in claims],
        [claim.place[2] for claim in claims],
        [claim.tenant_id for claim in claims],
    )
    return {tuple(row) for row in rows}


class Resolution(NamedTuple):
    """What became of a redriven letter's event: a row that this transaction made, or one that was there already."""

    letter: Redriven
    how: str
    log: str
    event_uid: bytes


async def resolve(connection: asyncpg.Connection, resolutions: Sequence[Resolution]) -> None:
    """Mark letters whose events this transaction stores; only those that are `redriving` with that count."""
    if not resolutions:
        return
    ordered = sorted(resolutions)
    await connection.execute(
        """
        UPDATE dead_letter AS l
        SET status = 'resolved', phase = 2, resolved_at = now(), resolution = r.how, resolved_log = r.log,
            event_uid = r.event_uid
        FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::uuid[])
          AS r(id, redrive_count, how, log, event_uid)
        WHERE l.id = r.id AND l.redrive_count = r.redrive_count AND l.status = 'redriving'
        """,
        [r.letter.letter_id for r in ordered],
        [r.letter.redrive_count for r in ordered],
        [r.how for r in ordered],
        [r.log for r in ordered],
        [UUID(r.event_uid) for r in ordered],
    )
