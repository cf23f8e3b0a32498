"""Ledger against rows: for every run of offsets, which sets hold it, and what that says is wrong.

Flat in memory on both sides: rows are folded to 64 offsets a number in a temporary table, every set becomes
boundaries that Postgres sorts, and the client sweeps over them once.
"""

import enum
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import asyncpg

from persistence.database import Database
from persistence.logs import LOGS

PAGES_AT_ONCE = 16_384  # 128 MiB of a log a statement: often enough for a progress bar
PREFETCH = 5_000
STATEMENT_SECONDS = 24 * 3600.0

# The session's limits are for batches. Compiling would cost more than each short statement; the memory is a bound.
SETTINGS = """
SET statement_timeout = 0; SET transaction_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET work_mem = '64MB'; SET jit = off
"""


class Member(enum.IntFlag):
    """The sets that an offset may be in."""

    STORED = 1  # by the family's own group, as the next three
    DUPLICATE = 2
    REFUSED = 4
    INVISIBLE = 8
    OTHER_STORED = 16  # by another group, which the topic had before
    OTHER = 32  # a duplicate, refused or invisible to another group
    RETIRED = 64  # its row went with a partition that retention dropped
    ROW = 128  # some log has its row
    LETTER = 256  # the index has its letter
    REMOVED = 512  # below the partition's first offset: Kafka has it no more
    SETTLED = 1024  # below the committed offset


class Kind(enum.StrEnum):
    """What can be wrong with an offset."""

    unaccounted = "unaccounted"  # a record that can be read was committed over, and is in no set
    lost = "lost"  # Kafka removed it before it was read
    missing_row = "missing_row"  # the ledger has it as stored, no log has its row
    unledgered_row = "unledgered_row"  # a log has its row, the ledger does not have it as stored
    missing_letter = "missing_letter"  # refused, but neither index nor topic has its letter
    beyond_end = "beyond_end"  # settled or committed, though the partition ends below it


_SETTLED_AS = int(Member.STORED | Member.DUPLICATE | Member.REFUSED)
_STORED = int(Member.STORED | Member.OTHER_STORED)
_ANY_ACCOUNT = _SETTLED_AS | int(Member.INVISIBLE | Member.OTHER_STORED | Member.OTHER)


@cache
def suspicions(members: int) -> tuple[Kind, ...]:
    """What is wrong with an offset that is in these sets.

    `unaccounted` and `missing_letter` are for Kafka to confirm: the offset may hold no record that can be read (what
    the ledger calls invisible is not believed while Kafka can be asked), the letter may be in its topic still.
    A later `duplicate` never excuses a missing row; it does excuse a letter, since the event has a row.
    """
    found = []
    if members & Member.SETTLED and not members & (Member.REMOVED | _SETTLED_AS):
        found.append(Kind.unaccounted)
    if members & Member.REMOVED and not members & _ANY_ACCOUNT:
        found.append(Kind.lost)
    if members & _STORED and not members & (Member.ROW | Member.RETIRED):
        found.append(Kind.missing_row)
    if members & Member.ROW and not members & _STORED:
        found.append(Kind.unledgered_row)
    excused = Member.STORED | Member.DUPLICATE | Member.LETTER
    if members & Member.SETTLED and members & Member.REFUSED and not members & excused:
        found.append(Kind.missing_letter)
    return tuple(found)


class Segment(NamedTuple):
    """The offsets [first, after) of a partition, all in the same sets."""

    topic: str
    partition: int
    first: int
    after: int
    members: int


@dataclass(slots=True)
class Sweep:
    """Turns boundaries, sorted by topic, partition and offset, into segments; those in no set are left out."""

    _topic: str = ""
    _partition: int = 0
    _at: int = 0
    _members: int = 0
    _depth: dict[int, int] = field(default_factory=dict)

    def pass_by(self, topic: str, partition: int, at: int, member: int, delta: int) -> Segment | None:
        """The segment that ends at a boundary; `delta` sets of this kind begin there (end, when negative)."""
        ended = None
        if at != self._at or partition != self._partition or topic != self._topic:
            if self._members:
                ended = Segment(self._topic, self._partition, self._at, at, self._members)
            self._topic, self._partition, self._at = topic, partition, at
        depth = self._depth.get(member, 0) + delta
        self._depth[member] = depth
        if depth:
            self._members |= member
        else:
            self._members &= ~member
        return ended


@dataclass(frozen=True, slots=True)
class Bounds:
    """What Kafka says of a partition of a topic of ours; `committed` is 0 when its group committed nothing."""

    topic: str
    partition: int
    group: str
    start: int
    committed: int


class Snapshot:
    """One moment of the database. `topics` restricts it; None takes every topic that a table names."""

    def __init__(self, connection: asyncpg.Connection, topics: Sequence[str] | None) -> None:
        self._connection = connection
        self._topics = None if topics is None else list(topics)

    async def pages(self) -> dict[str, int]:
        """The pages of each log's largest partition: what scan() goes through."""
        rows = await self._connection.fetch(
            """
            SELECT log, coalesce(max(pg_relation_size(i.inhrelid)), 0) / current_setting('block_size')::int AS pages
            FROM unnest($1::text[]) AS log LEFT JOIN pg_inherits AS i ON i.inhparent = log::regclass GROUP BY log
            """,
            [log.name for log in LOGS],
        )
        return {row["log"]: row["pages"] for row in rows}

    async def scan(self, pages: dict[str, int], advance: Callable[[int], None]) -> None:
        """Read the place of every row of every log, once; any log may hold rows of any topic."""
        for log, count in pages.items():
            for first in range(0, count, PAGES_AT_ONCE):
                after = min(first + PAGES_AT_ONCE, count)
                await self._connection.execute(
                    f"""
                    INSERT INTO pg_temp.row_block
                    SELECT kafka_topic, kafka_partition, kafka_offset >> 6,
                           bit_or(1::bigint << (kafka_offset & 63)::int)
                    FROM {log}
                    WHERE ctid >= $1::tid AND ctid < $2::tid AND ($3::text[] IS NULL OR kafka_topic = ANY ($3))
                    GROUP BY 1, 2, 3
                    """,
                    (first, 0),
                    (after, 0),
                    self._topics,
                    timeout=STATEMENT_SECONDS,
                )
                advance(after - first)

    async def segments(self, bounds: Sequence[Bounds]) -> AsyncIterator[Segment]:
        """Every run of offsets that is in some set, by topic, partition and offset; after scan()."""
        groups = {b.topic: b.group for b in bounds}
        boundaries = self._connection.cursor(
            BOUNDARIES,
            list(groups),
            list(groups.values()),
            [b.topic for b in bounds],
            [b.partition for b in bounds],
            [b.start for b in bounds],
            [b.committed for b in bounds],
            self._topics,
            prefetch=PREFETCH,
            timeout=STATEMENT_SECONDS,
        )
        sweep = Sweep()
        async for topic, partition, at, member, delta in boundaries:
            if segment := sweep.pass_by(topic, partition, at, member, delta):
                yield segment

    async def identities(self) -> AsyncIterator[asyncpg.Record]:
        """Each (tenant, source, id) that came with more than one identity, that is with different times."""
        logs = " UNION ALL ".join(
            f"SELECT tenant_id, event_source, event_id, event_time, event_uid, kafka_topic FROM {log.name}"
            for log in LOGS
        )
        found = self._connection.cursor(
            f"""
            SELECT tenant_id, event_source, event_id, count(DISTINCT event_uid) AS identities,
                   min(event_time) AS first_time, max(event_time) AS last_time
            FROM ({logs}) AS every WHERE $1::text[] IS NULL OR kafka_topic = ANY ($1)
            GROUP BY tenant_id, event_source, event_id HAVING count(DISTINCT event_uid) > 1
            ORDER BY tenant_id, event_source, event_id
            """,
            self._topics,
            prefetch=PREFETCH,
            timeout=STATEMENT_SECONDS,
        )
        async for row in found:
            yield row


@asynccontextmanager
async def snapshot(database: Database, topics: Sequence[str] | None) -> AsyncIterator[Snapshot]:
    """A read-only moment of the database, without limits in time.

    The logs are locked against retention before the moment is chosen: a partition that is dropped after it would
    take rows away from it, while `ingest_retired` does not say so yet.
    """
    async with database.session() as (connection, _):
        await connection.execute(SETTINGS)
        await connection.execute(
            "CREATE TEMPORARY TABLE row_block (topic text, partition int, block bigint, bits bigint)"
        )
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"LOCK TABLE ONLY {', ONLY '.join(log.name for log in LOGS)} IN ACCESS SHARE MODE")
            yield Snapshot(connection, topics)
        await connection.execute("DROP TABLE pg_temp.row_block")


# $1, $2: our topics and their groups; $3 to $6: their partitions, first and committed offsets; $7: topics, or null.
BOUNDARIES = f"""
WITH own AS (SELECT * FROM unnest($1::text[], $2::text[]) AS o(topic, consumer_group)),
block AS MATERIALIZED (
  SELECT topic, partition, block << 6 AS first, bit_or(bits) AS bits FROM pg_temp.row_block GROUP BY 1, 2, 3
),
span AS (
  SELECT b.topic, b.partition, lower(span) AS first, upper(span) AS after, s.member
  FROM ingest_batch AS b LEFT JOIN own USING (topic, consumer_group)
  CROSS JOIN LATERAL (VALUES
    (b.stored, CASE WHEN own IS NULL THEN {Member.OTHER_STORED:d} ELSE {Member.STORED:d} END),
    (b.duplicate, CASE WHEN own IS NULL THEN {Member.OTHER:d} ELSE {Member.DUPLICATE:d} END),
    (b.refused, CASE WHEN own IS NULL THEN {Member.OTHER:d} ELSE {Member.REFUSED:d} END),
    (b.invisible, CASE WHEN own IS NULL THEN {Member.OTHER:d} ELSE {Member.INVISIBLE:d} END)
  ) AS s(offsets, member) CROSS JOIN LATERAL unnest(s.offsets) AS span
  UNION ALL
  SELECT topic, partition, lower(span), upper(span), {Member.RETIRED:d} FROM ingest_retired, unnest(offsets) AS span
  UNION ALL
  SELECT topic, partition, "offset", "offset" + 1, {Member.LETTER:d} FROM dead_letter_trip WHERE "offset" >= 0
  UNION ALL
  SELECT topic, partition, 0, start, {Member.REMOVED:d}
  FROM unnest($3::text[], $4::int[], $5::bigint[]) AS k(topic, partition, start) WHERE start > 0
  UNION ALL
  SELECT topic, partition, 0, committed, {Member.SETTLED:d}
  FROM unnest($3::text[], $4::int[], $6::bigint[]) AS k(topic, partition, committed) WHERE committed > 0
  UNION ALL
  SELECT topic, partition, first, first + 64, {Member.ROW:d} FROM block WHERE bits = -1
),
boundary AS (
  SELECT topic, partition, first AS at, member, 1 AS delta FROM span
  UNION ALL
  SELECT topic, partition, after, member, -1 FROM span
  UNION ALL  -- where a run of ones begins in a number, and where one ends
  SELECT topic, partition, first + i, {Member.ROW:d}, 1 FROM block, generate_series(0, 63) AS i
  WHERE bits <> -1 AND bits >> i & 1 = 1 AND (i = 0 OR bits >> (i - 1) & 1 = 0)
  UNION ALL
  SELECT topic, partition, first + i + 1, {Member.ROW:d}, -1 FROM block, generate_series(0, 63) AS i
  WHERE bits <> -1 AND bits >> i & 1 = 1 AND (i = 63 OR bits >> (i + 1) & 1 = 0)
)
SELECT topic, partition, at, member, sum(delta)::int
FROM (SELECT topic COLLATE "C" AS topic, partition, at, member, delta FROM boundary) AS sorted
WHERE $7::text[] IS NULL OR topic = ANY ($7)
GROUP BY topic, partition, at, member HAVING sum(delta) <> 0
ORDER BY topic, partition, at
"""
