"""How many dead letters wait for an operator: for alerts."""

from typing import NamedTuple

import asyncpg


class Unresolved(NamedTuple):
    """The letters of one reason that are dead, redriving or parked, and the age of the oldest of them."""

    reason: str
    letters: int
    oldest_seconds: float


async def unresolved(connection: asyncpg.Connection) -> list[Unresolved]:
    """Every reason that has any, in one query."""
    rows = await connection.fetch(
        """
        SELECT reason, count(*), extract(epoch FROM now() - min(first_failed_at))::float8
        FROM dead_letter WHERE status IN ('dead', 'redriving', 'parked') GROUP BY reason
        """
    )
    return [Unresolved(*row) for row in rows]
