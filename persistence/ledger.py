"""The ledger, read as sets: what became of every offset of a consumer group."""

from dataclasses import dataclass, field

import asyncpg

from persistence.offsets import Spans, from_ranges


@dataclass(slots=True)
class Account:
    """What the ledger says of one partition, over all its rows."""

    topic: str
    partition: int
    stored: Spans = field(default_factory=list)
    duplicate: Spans = field(default_factory=list)
    refused: Spans = field(default_factory=list)
    invisible: Spans = field(default_factory=list)


async def end_of(connection: asyncpg.Connection, group: str, topic: str, partition: int) -> int:
    """One above the highest offset that the ledger has of a partition; 0 when it has none."""
    end: int = await connection.fetchval(
        """
        SELECT coalesce(max(greatest(upper(stored), upper(duplicate), upper(refused))), 0)
        FROM ingest_batch WHERE consumer_group = $1 AND topic = $2 AND partition = $3
        """,
        group,
        topic,
        partition,
    )
    return end


async def accounts(connection: asyncpg.Connection, group: str) -> list[Account]:
    """The account of every partition that the group has settled anything of."""
    rows = await connection.fetch(
        """
        SELECT topic, partition, range_agg(stored) AS stored, range_agg(duplicate) AS duplicate,
               range_agg(refused) AS refused, range_agg(invisible) AS invisible
        FROM ingest_batch WHERE consumer_group = $1 GROUP BY topic, partition ORDER BY topic, partition
        """,
        group,
    )
    return [
        Account(
            row["topic"],
            row["partition"],
            *(from_ranges(row[name]) for name in ("stored", "duplicate", "refused", "invisible")),
        )
        for row in rows
    ]
