"""The ledger, read as sets: what became of every offset of a consumer group."""

import asyncpg


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
