"""`siltstone worker` that ends at one point of its work, as by SIGKILL.

The points are calls between which the pipeline moves on, in its order; it dies right before or right after one of
them. They are set from outside, in the process that is to die: a worker has nothing to set.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from workers import dead_letters, letter_index, pipeline, writer
from workers.assignment import Assignment
from workers.claims import Claims
from workers.dead_letters import DeadLetters
from workers.letter_index import LetterIndex
from workers.pipeline import Pipeline
from workers.writer import Writer

KILLED = 137


class Point(NamedTuple):
    """Before or after the nth call of what `owner` has under `name`, of those whose last argument is not empty."""

    owner: Any
    name: str
    nth: int = 2
    is_before: bool = False


POINTS: dict[str, Point] = {
    "partitions assigned": Point(Assignment, "on_partitions_assigned", 1),
    "records polled": Point(Pipeline, "settle_batch", 3, is_before=True),
    "gaps looked for": Point(Pipeline, "_look_back", 3),
    "records decoded": Point(Pipeline, "_decode", 3),
    "claims confirmed": Point(Claims, "confirmed", 3),
    "rows written, not committed": Point(writer, "store", 3),
    "rows committed": Point(Writer, "_commit", 3),
    "letter sent, not acknowledged": Point(AIOKafkaProducer, "send", 3),
    "letter acknowledged": Point(dead_letters, "_deliver", 3),
    "letters published": Point(DeadLetters, "publish", 3),
    "offsets not committed": Point(pipeline, "commit", 3, is_before=True),
    "offsets committed": Point(pipeline, "commit", 3),
    "letters indexed": Point(LetterIndex, "_index", 1),
    "letters' offsets committed": Point(letter_index, "commit", 1),
}
REBALANCE: dict[str, Point] = {
    "partitions revoked": Point(Assignment, "on_partitions_revoked", 1, is_before=True),
    "batch drained": Point(Assignment, "on_partitions_revoked", 1),
}
"""Another worker's coming takes partitions away."""


def die_at(name: str) -> None:
    """Let this process end at a point of that name."""
    point = (POINTS | REBALANCE)[name]
    original: Callable[..., Awaitable[Any]] = getattr(point.owner, point.name)
    calls = 0

    async def dying(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += not args or args[-1] != set()
        is_due = calls == point.nth
        if is_due and point.is_before:
            os._exit(KILLED)
        result = await original(*args, **options)
        if is_due:
            os._exit(KILLED)
        return result

    setattr(point.owner, point.name, dying)
