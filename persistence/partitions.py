"""Partitions and retention: months ahead are made, months beyond retention are dropped; by one worker at a time."""

from collections.abc import Iterable

from persistence.database import Database
from persistence.logs import LOGS

LEDGER_KEPT_APART = "1 hour"  # younger ledger rows stay one a batch, for people who look


async def maintain(database: Database, retention_months: int, logs: Iterable[str] | None = None) -> list[str]:
    """Make and drop partitions, a transaction a log, and fold the ledger's old rows; what was done, by name.

    `-name` is a partition that was dropped. Idempotent, and cheap when there is nothing to do. Raises the driver's
    LockNotAvailableError when readers held a log for longer than the function waits: nothing is lost by it.
    """
    done: list[str] = []
    for log in logs or [log.name for log in LOGS]:
        async with database.transaction() as connection:
            done += await connection.fetchval("SELECT siltstone_maintain($1, $2)", log, retention_months)
    async with database.transaction() as connection:
        await connection.execute(f"SELECT siltstone_fold_ledger('{LEDGER_KEPT_APART}')")
    return done
