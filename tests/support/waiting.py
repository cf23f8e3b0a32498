"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.1


async def until(what: str, condition: Callable[[], Awaitable[T]], seconds: float = 60.0) -> T:
    """The first true value of `condition`; fails with the last one when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = await condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}; last seen {value!r}")
        await asyncio.sleep(POLL_SECONDS)
