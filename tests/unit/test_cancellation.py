"""A cancellation that was swallowed is not lost."""

import asyncio
from contextlib import suppress

import pytest

from workers.cancellation import raise_if_cancelled


async def test_a_swallowed_cancellation_is_raised_at_the_next_look() -> None:
    """Without one nothing happens."""
    raise_if_cancelled()

    async def swallowing() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise_if_cancelled()

    task = asyncio.create_task(swallowing())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
