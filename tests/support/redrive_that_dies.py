"""`siltstone dlq redrive` that ends as by SIGKILL at one step: python -m tests.support.redrive_that_dies STEP ARGS…

The steps are the calls by which a redrive moves on; it dies right before or right after one of them.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from persistence import redrives
from workers import redrive
from workers.cli.main import app

STEPS: dict[str, tuple[Any, str]] = {
    "begin": (redrives, "begin"),
    "claim": (redrives, "claim"),
    "start": (AIOKafkaProducer, "start"),
    "send": (AIOKafkaProducer, "send"),
    "offsets": (AIOKafkaProducer, "send_offsets_to_transaction"),
    "commit": (AIOKafkaProducer, "commit_transaction"),
    "record": (redrives, "sent"),
    "finish": (redrives, "finish"),
}
MOMENTS = [f"{when} {step}" for step in STEPS for when in ("before", "after")]
KILLED = 137


def die_at(moment: str, nth: int) -> None:
    """Let the nth call of the step end the process, before or after it did its work."""
    when, step = moment.split()
    owner, name = STEPS[step]
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)
    calls = 0

    async def dying(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            os._exit(KILLED)
        result = await original(*args, **options)
        if calls == nth:
            os._exit(KILLED)
        return result

    setattr(owner, name, dying)


if __name__ == "__main__":
    redrive.BATCH = 5  # so that a few letters make several batches
    die_at(sys.argv[1], int(sys.argv[2]))
    app(sys.argv[3:])
