"""How long an event takes from its publishing until others can see its row, at a steady rate.

An event's time is the moment at which it is handed to the producer; its row is visible from the commit of the
transaction that wrote it, which Postgres keeps (`track_commit_timestamp`). Both read the clock of this machine.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bench.events import encoded, extractions
from bench.peers.forms import FORMS, key
from bench.peers.publishing import make_topic, peers_producer
from bench.peers.settings import LATENCY_SECONDS, WARM_UP_SECONDS
from bench.peers.systems import System, topic_of_form
from bench.trial import Bench, Trial, started
from contracts.window import TimeWindow
from producers.event_lines import Defaults, record_of
from workers import kafka, topics
from workers.settings import Settings

START_SECONDS = 60
REST_SECONDS = 60
TAIL_SECONDS = 2  # of events after those that count, so that none of them is the last

QUANTILES = """
SELECT count(*), percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY ms)
FROM (SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - sent_at)::float * 1000 AS ms
      FROM ({times}) AS stored WHERE sent_at >= $1 AND sent_at < $2) AS l
"""

Send = Callable[[dict[str, Any]], Awaitable[object]]


class Latency(NamedTuple):
    """In milliseconds, of the events of LATENCY_SECONDS; `rate` is what was published a second."""

    rate: float
    p50: float
    p99: float
    most: float


async def latency(bench: Bench, system: System, settings: Settings, rate: float) -> Latency:
    """Publish at `rate` a second to a topic of its own; raises Failed."""
    prefix = f"late{uuid.uuid4().hex[:8]}."
    own = settings.model_copy(update={"topic_prefix": prefix})
    topic = topic_of_form(system.form, prefix)
    if system.form == "siltstone":
        await topics.apply(own)
        producer = kafka.producer(own)
    else:
        await make_topic(bench.admin, topic)
        producer = peers_producer(settings)
    window, defaults = TimeWindow(settings.oldest_time), Defaults(topic_prefix=prefix)

    async def send(event: dict[str, Any]) -> object:
        if system.form == "siltstone":
            record = record_of(encoded(event), defaults, window, check=False)
            return await producer.send(topic, record.value, key=record.key, headers=record.headers)
        return await producer.send(topic, FORMS[system.form](event), key=key(event))

    async with started(bench, system, prefix) as trial:
        await _until(trial, trial.complete, START_SECONDS, "its consumers are not complete")
        await producer.start()
        try:
            sent, began = await _publish(send, rate)
        finally:
            await producer.stop()

        async def stored() -> bool:
            return await trial.rows() >= sent

        await _until(trial, stored, REST_SECONDS, f"not all of {sent} rows are there")
        await system.check(trial.connection, sent)
        first, after = (
            began + timedelta(seconds=WARM_UP_SECONDS),
            began + timedelta(seconds=WARM_UP_SECONDS + LATENCY_SECONDS),
        )
        asked = QUANTILES.format(times=system.table.times)
        [(count, found)] = await trial.connection.fetch(asked, first, after)
    return Latency(count / LATENCY_SECONDS, *found)


async def _publish(send: Send, rate: float) -> tuple[int, datetime]:
    """Send events, each when it is due; how many, and when that began."""
    count = int(rate * (WARM_UP_SECONDS + LATENCY_SECONDS + TAIL_SECONDS))
    began, start = datetime.now(UTC), time.perf_counter()
    for number, event in enumerate(extractions(count)):
        await asyncio.sleep(max(start + number / rate - time.perf_counter(), 0))
        event["time"] = datetime.now(UTC).isoformat(timespec="microseconds")
        await send(event)
    return count, began


async def _until(trial: Trial, condition: Callable[[], Awaitable[bool]], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        trial.processes.check()
        if time.monotonic() > deadline:
            raise trial.processes.failed(f"{otherwise} after {seconds:.0f} s")
        await asyncio.sleep(0.1)
