"""`siltstone dlq redrive` that ends at one step, as by SIGKILL.

The steps are the calls by which a redrive moves on, in their order; it dies right after one of them. `send` is the
second of its batch, so that it dies in the middle of it.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from persistence import redrives
from workers import redrive

STEPS: dict[str, tuple[Any, str]] = {
    "begin": (redrives, "begin"),
    "claim": (redrives, "claim"),
    "start": (AIOKafkaProducer, "start"),
    "send": (AIOKafkaProducer, "send"),
    "offsets": (AIOKafkaProducer, "send_offsets_to_transaction"),
    "commit": (AIOKafkaProducer, "commit_transaction"),
    "record": (redrives, "note_sent"),
    "finish": (redrives, "finish"),
}
KILLED = 137


def die_after(step: str, nth: int) -> None:
    """Let the nth call of a step end the process when it has done its work."""
    redrive.BATCH = 5  # so that a few letters make several batches
    owner, name = STEPS[step]
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)
    calls = 0

    async def dying(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        result = await original(*args, **options)
        if calls == nth:
            os._exit(KILLED)
        return result

    setattr(owner, name, dying)
