"""Holding a batch through an outage."""

import asyncio

import pytest

from workers.failure import GivenUp, RetryLater, Stop
from workers.hold import FIRST_SECONDS, MOST_SECONDS, Hold
from workers.metrics import Metrics


class Failing:
    """Fails as told, one error an attempt, then gives 42; notes whether the hold was holding at each attempt."""

    def __init__(self, hold: Hold, *errors: Exception) -> None:
        self.hold = hold
        self.errors = list(errors)
        self.was_holding: list[bool] = []

    async def attempt(self) -> int:
        self.was_holding.append(self.hold.is_holding)
        if self.errors:
            raise self.errors.pop(0)
        return 42


async def test_an_outage_is_retried_until_it_ends_and_counted_by_kind() -> None:
    """Each RetryLater is one more try and one count of its kind; it holds until one succeeds (G5)."""
    metrics = Metrics()
    hold = Hold(metrics)
    failing = Failing(hold, RetryLater("away", "08"), RetryLater("away", "08"), RetryLater("away", "kafka"))
    assert await hold.until_done("store", failing.attempt) == 42
    assert failing.was_holding == [False, True, True, True]
    assert hold.is_holding is False
    assert metrics.registry.get_sample_value("siltstone_retries_total", {"kind": "08"}) == 2.0
    assert metrics.registry.get_sample_value("siltstone_retries_total", {"kind": "kafka"}) == 1.0


@pytest.mark.parametrize("error", [Stop("no"), GivenUp("no"), ValueError("no")])
async def test_any_other_error_is_raised_at_once(error: Exception) -> None:
    """What is no outage is not tried again."""
    hold = Hold(Metrics())
    failing = Failing(hold, error)
    with pytest.raises(type(error)):
        await hold.until_done("store", failing.attempt)
    assert failing.was_holding == [False]
    assert hold.is_holding is False


async def test_the_waits_double_under_full_jitter_up_to_their_bound() -> None:
    """The n-th wait lies between 0 and 0.1 s doubled n - 1 times, at most 30 s, and waits differ."""
    hold = Hold(Metrics())
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    hold._sleep = note  # type: ignore[method-assign]
    failing = Failing(hold, *(RetryLater("away", "08") for _ in range(60)))
    await hold.until_done("store", failing.attempt)
    bounds = [min(MOST_SECONDS, FIRST_SECONDS * 2**n) for n in range(60)]
    assert (FIRST_SECONDS, MOST_SECONDS) == (0.1, 30.0)
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == 60
    assert max(waits[12:]) > 10  # 48 draws from 0 to 30 s: none above 10 s has a chance of 4e-9


async def test_giving_up_ends_the_wait_now_and_every_later_one_until_renewed() -> None:
    """A revoke or SIGTERM ends a hold with GivenUp without waiting; renew() lets it hold again (G5)."""
    hold = Hold(Metrics())
    started = asyncio.Event()

    async def away() -> None:
        started.set()
        raise RetryLater("away", "08")

    waiting = asyncio.create_task(hold.until_done("store", away))
    await started.wait()
    hold.give_up()
    with pytest.raises(GivenUp):
        await asyncio.wait_for(waiting, 1)
    with pytest.raises(GivenUp):
        await asyncio.wait_for(hold.until_done("store", away), 1)
    hold.renew()
    assert await hold.until_done("store", Failing(hold, RetryLater("away", "08")).attempt) == 42
