"""Partitions while a worker runs: at its start, every hour, and at once when a row found none."""

import asyncio

import structlog

from persistence.database import Database
from persistence.partitions import maintain
from persistence.verdict import judge

HOUR_SECONDS = 3600

log = structlog.get_logger("siltstone.maintenance")


class Maintenance:
    """Runs `db maintain` for a worker. Many workers at once are safe: one does it, the others find it done."""

    def __init__(self, database: Database, retention_months: int) -> None:
        self._database = database
        self._retention_months = retention_months

    async def now(self) -> None:
        """Make and drop partitions; raises what the database raises."""
        if done := await maintain(self._database, self._retention_months):
            log.info("partitions changed", partitions=done)

    async def hourly(self) -> None:
        """Now, and every hour until cancelled; a failure is logged and tried again in an hour."""
        while True:
            try:
                await self.now()
            except Exception as error:  # noqa: BLE001 - partitions reach months ahead: an hour's failure harms nothing
                log.warning("partitions were not maintained", because=judge(error).message)
            await asyncio.sleep(HOUR_SECONDS)
