"""What one drain costs: time, CPU of the workers and of Postgres a row, and the workers' memory at its peak."""

import asyncio
import inspect
import json
import math
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy.engine import make_url

from bench.drain import LIMIT_SECONDS, fresh_database, timed
from bench.processes import Command, Failed, Processes, cpu_seconds, running
from bench.quick import publish
from contracts.registry import PARTITIONS
from contracts.window import TimeWindow
from localstack.stack import Addresses
from persistence import migrate
from persistence.logs import LOGS
from producers.event_lines import Defaults, Outgoing, outgoing
from workers import kafka, topics
from workers.cli.worker import worker
from workers.publisher import LINGER_MS
from workers.settings import Settings, load, variable_names

LOOK_SECONDS = 0.1
CONSUMERS: int = inspect.signature(worker).parameters["consumers"].default  # of a worker, for each family
NAN = math.nan  # of what was not measured
SEEN = """
SELECT coalesce(sum(upper(r) - lower(r)), 0)::int FROM ingest_batch, unnest(stored) AS r
WHERE starts_with(consumer_group, $1)
"""
KEPT = " + ".join(
    f"(SELECT count(*) FROM {log.name} WHERE event_uid >= siltstone_uid_floor($2) AND starts_with(kafka_topic, $1))"  # noqa: S608
    for log in LOGS
)


@dataclass(frozen=True)
class Published:
    """Events in topics of their own, none older than `since`; if there is a `release`, nobody sees one before it."""

    settings: Settings
    environment: Mapping[str, str]
    count: int
    since: datetime
    release: Callable[[], Awaitable[None]] | None = None


class Drained(NamedTuple):
    """Of one drain: rows a second while the clock ran, and to the last row; CPU of one row."""

    rate: float
    rate_to_the_end: float
    worker_us: float
    postgres_us: float
    peak_mb: float

    @property
    def us(self) -> float:
        return 1e6 / self.rate


@dataclass(frozen=True)
class Rig:
    """A stack with a migrated database, and how much is measured on it."""

    addresses: Addresses
    postgres_pid: int
    events: int
    rounds: int
    sizes: Sequence[int]

    @property
    def url(self) -> str:
        """Of a database that is never copied: whoever is connected to one keeps others from copying it."""
        return make_url(self.addresses.database_url).set(database="postgres").render_as_string(hide_password=False)

    def fresh(self) -> AbstractAsyncContextManager[str]:
        """A migrated database of its own."""
        return fresh_database(self.url, make_url(self.addresses.database_url).database or "")

    async def publish(self, values: Sequence[bytes], *, partitions: int = PARTITIONS) -> Published:
        """The events, in the order of their times, in new topics."""
        published = await self._topics(values, partitions)
        await publish(published.settings, values, bare=False)
        return published

    @asynccontextmanager
    async def withheld(self, values: Sequence[bytes]) -> AsyncIterator[Published]:
        """The same in a transaction of Kafka's, which `release` commits: all who wait for them start at once."""
        published = await self._topics(values, PARTITIONS)
        settings = published.settings
        defaults, window = Defaults(topic_prefix=settings.topic_prefix), TimeWindow(settings.oldest_time)
        producer = kafka.producer(
            settings,
            transactional_id=settings.topic_prefix,
            transaction_timeout_ms=LIMIT_SECONDS * 1000,
            linger_ms=LINGER_MS,
        )
        await producer.start()
        try:
            await producer.begin_transaction()
            for one in outgoing(values, defaults, window, check=False):
                if isinstance(one, Outgoing):
                    await producer.send(one.topic, one.value, key=one.key, headers=one.headers)
            await producer.flush()
            yield replace(published, release=producer.commit_transaction)
        finally:
            await producer.stop()

    async def _topics(self, values: Sequence[bytes], partitions: int) -> Published:
        environment = self.addresses.environment() | {"SILTSTONE_TOPIC_PREFIX": f"bench{uuid.uuid4().hex[:8]}."}
        settings = load(environment)
        await topics.apply(settings, partitions=partitions)
        since = datetime.fromisoformat(json.loads(values[0])["time"]) - timedelta(minutes=1)
        return Published(settings, environment, len(values), since)


async def drained(
    rig: Rig,
    url: str,
    published: Published,
    *,
    workers: int = 1,
    families: Sequence[str] = ("extraction",),
    settings: Mapping[str, str] | None = None,
    part: float | None = 1.0,
) -> Drained:
    """Drain the topics into a database with `workers` processes; raises Failed unless every event made its row.

    The clock stops when a `part` of the rows is stored; without one it never runs, and only memory is measured.
    `settings` go before those of the database and the topics; every other setting is the default, whatever is exported.
    """
    group = uuid.uuid4().hex
    own = {"DATABASE_URL": url, "KAFKA_GROUP_ID": group, "SILTSTONE_HTTP_PORT": "0"}
    named = [argument for family in families for argument in ("--family", family)]
    command = Command(
        [Path(sys.executable).parent / "siltstone", "worker", *named],
        {**dict.fromkeys(variable_names(), ""), **published.environment, **own, **(settings or {})},
    )
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    looks: list[int] = []

    async def seen() -> int:
        looks.append(await connection.fetchval(SEEN, group))
        return looks[-1]

    try:
        with running([command] * workers) as processes:
            if published.release:
                await _await_members(published.settings, processes, group, families, workers * CONSUMERS)
                await published.release()
            if part is None:
                await _await_rows(processes, published.count, seen)
                found = Drained(NAN, NAN, NAN, NAN, processes.peak_mb())
            else:
                meters = (processes.cpu_seconds, lambda: cpu_seconds(rig.postgres_pid))
                until = int(published.count * part)
                clocked = await timed(processes, until, seen, complete=_at_once, meters=meters)
                began, first = time.perf_counter() - clocked.seconds, until - clocked.rows
                rows = looks[-1] - first
                await _await_rows(processes, published.count, seen)
                to_the_end = (published.count - first) / (time.perf_counter() - began)
                workers_us, postgres_us = (used / rows * 1e6 for used in clocked.used)
                found = Drained(rows / clocked.seconds, to_the_end, workers_us, postgres_us, processes.peak_mb())
        kept = await connection.fetchval(f"SELECT {KEPT}", published.settings.topic_prefix, published.since)
        if kept != published.count:
            raise Failed(f"published {published.count}, but {kept} rows are there")
        return found
    finally:
        await connection.close()


async def _at_once() -> bool:
    return True


async def _await_members(
    settings: Settings, processes: Processes, group: str, families: Sequence[str], count: int
) -> None:
    """Wait until the group of each family has so many consumers, and each has its partitions."""
    admin = AIOKafkaAdminClient(**kafka.connection(settings))
    await admin.start()
    try:
        deadline = time.monotonic() + LIMIT_SECONDS
        waiting = [f"{group}.{family}" for family in families]
        while waiting:
            processes.check()
            if time.monotonic() > deadline:
                raise processes.failed(f"{waiting[0]} has no {count} consumers after {LIMIT_SECONDS} s")
            with suppress(KafkaError):  # the broker's first group: it has yet to make where it keeps them
                [answer] = await admin.describe_consumer_groups(waiting[:1])
                _, _, state, _, _, members, *_ = answer.groups[0]
                if state == "Stable" and len(members) == count:
                    del waiting[0]
                    continue
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await admin.close()


async def _await_rows(processes: Processes, count: int, seen: Callable[[], Awaitable[int]]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while (now := await seen()) < count:
        processes.check()
        if time.monotonic() > deadline:
            raise processes.failed(f"{now} of {count} rows after {LIMIT_SECONDS} s")
        await asyncio.sleep(LOOK_SECONDS)


async def in_turn(
    what: str, rounds: int, settings: Mapping[str, Callable[[int], Awaitable[Drained]]]
) -> dict[str, list[Drained]]:
    """Every round of every setting: each round has all of them, every other one in the reverse order."""
    found: dict[str, list[Drained]] = {name: [] for name in settings}
    for number in range(rounds):
        for name in list(settings)[:: -1 if number % 2 else 1]:
            found[name].append(await settings[name](number))
        said = ", ".join(f"{n} {_said(drains[-1])}" for n, drains in found.items())
        print(f"{what}, round {number + 1}: {said}", flush=True)
    return found


def _said(drained: Drained) -> str:
    return f"{drained.peak_mb:.0f} MB" if math.isnan(drained.rate) else f"{drained.rate:,.0f}"
