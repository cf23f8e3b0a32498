"""Holding a batch through an outage: full jitter from 0.1 s doubling to 30 s, for as long as it takes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from workers.failure import GivenUp, RetryLater
from workers.metrics import Metrics

FIRST_SECONDS = 0.1
MOST_SECONDS = 30.0

log = structlog.get_logger("siltstone.hold")
T = TypeVar("T")


class Hold:
    """Retries what raises RetryLater until it succeeds, or until `give_up` is called from outside.

    `is_holding` says that an outage is going on: readiness shows it, liveness does not.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._given_up = asyncio.Event()
        self.is_holding = False

    def give_up(self) -> None:
        """End every wait of this hold with GivenUp, now and until renew()."""
        self._given_up.set()

    def renew(self) -> None:
        """Hold again: another assignment has begun."""
        self._given_up.clear()

    async def until_done(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of `attempt`; raises what it raises, but RetryLater, and GivenUp when told to."""

        def before_sleep(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            kind = error.kind if isinstance(error, RetryLater) else "unknown"
            self.is_holding = True
            self._metrics.retries.labels(kind).inc()
            log.warning("holding", what=what, error=str(error), attempt=state.attempt_number)

        retrying = AsyncRetrying(
            wait=wait_random_exponential(multiplier=FIRST_SECONDS, max=MOST_SECONDS),
            retry=retry_if_exception_type(RetryLater),
            sleep=self._sleep,
            before_sleep=before_sleep,
            reraise=True,
        )

        async def once() -> T:
            return await attempt()

        try:
            return await retrying(once)
        finally:
            self.is_holding = False

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._given_up.wait(), seconds)
        if self._given_up.is_set():
            raise GivenUp("gave up waiting: partitions were revoked, or the worker is stopping")
