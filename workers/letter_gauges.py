"""Gauges of the dead letters that wait for an operator, read from the index while a worker runs."""

import asyncio

import structlog

from persistence.database import Database
from persistence.letter_reads import unresolved
from workers.failure import RetryLater, Stop
from workers.judging import judged
from workers.metrics import Metrics

EVERY_SECONDS = 30.0

log = structlog.get_logger("siltstone.letter_gauges")


class LetterGauges:
    """The same in every worker: they speak of the whole installation."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._reasons: set[str] = set()

    async def refresh(self) -> None:
        """Read and set them; a reason that has no letters any more is 0. Raises RetryLater or Stop."""
        with judged("dead letters cannot be counted"):
            async with self._database.transaction(readonly=True) as connection:
                counts = await unresolved(connection)
        letters = {count.reason: count.letters for count in counts}
        self._reasons |= letters.keys()
        for reason in self._reasons:
            self._metrics.letters_unresolved.labels(reason).set(letters.get(reason, 0))
        self._metrics.letters_oldest_seconds.set(max((0.0, *(count.oldest_seconds for count in counts))))

    async def periodically(self) -> None:
        """Now, and every 30 s until cancelled; the first failure in a row is logged, and the old values stay."""
        is_failing = False
        while True:
            try:
                await self.refresh()
                is_failing = False
            except (RetryLater, Stop) as error:
                if not is_failing:
                    log.warning("dead letters were not counted", because=str(error))
                is_failing = True
            await asyncio.sleep(EVERY_SECONDS)
