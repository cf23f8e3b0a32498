"""One system at work on a fresh database, and how fast it drains its topic there."""

import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy.engine import make_url

from bench.drain import fresh_database, timed
from bench.peers.forms import TABLE
from bench.peers.systems import FLAT, System, Target
from bench.processes import Processes, cpu_seconds, running
from persistence import migrate


class Bench(NamedTuple):
    """The stack that everything is measured on."""

    servers: str
    url: str
    template: str  # the migrated database with its tenants
    admin: AIOKafkaAdminClient
    kafka_pid: int
    postgres_pid: int


class Found(NamedTuple):
    """Of a run: rows a second, in all and of its second half, CPU time in µs a row, and its processes' peak memory."""

    rate: float
    late_rate: float
    own_us: float
    postgres_us: float
    kafka_us: float
    peak_mb: float


@dataclass(frozen=True)
class Trial:
    """A system that is running."""

    bench: Bench
    system: System
    connection: asyncpg.Connection
    processes: Processes
    group: str

    async def rows(self) -> int:
        """How many are to be seen."""
        found: int = await self.connection.fetchval(self.system.table.progress)
        return found

    async def complete(self) -> bool:
        """Whether every consumer of the group is there and has its partitions."""
        try:
            [answer] = await self.bench.admin.describe_consumer_groups([self.group + self.system.group_suffix])
        except KafkaError:
            return False
        _, _, state, _, _, members, *_ = answer.groups[0]
        return state == "Stable" and len(members) == self.system.consumers

    async def drain(self, count: int) -> Found:
        """Wait until it has stored `count` events; raises Failed."""
        bench = self.bench
        found = await timed(
            self.processes,
            count,
            self.rows,
            complete=self.complete,
            meters=(
                self.processes.cpu_seconds,
                lambda: cpu_seconds(bench.postgres_pid),
                lambda: cpu_seconds(bench.kafka_pid),
            ),
        )
        await self.system.check(self.connection, count)
        own, postgres, kafka = (used / found.rows * 1e6 for used in found.used)
        return Found(found.rate, found.late_rate, own, postgres, kafka, self.processes.peak_mb())


@asynccontextmanager
async def started(bench: Bench, system: System, prefix: str) -> AsyncIterator[Trial]:
    """A system, started on the topics of that prefix with a new group and a fresh database; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="siltstone-bench-files-") as folder:
        async with fresh_database(bench.url, bench.template) as url:
            connection = await asyncpg.connect(migrate.driver_dsn(url))
            try:
                if system.table is FLAT:
                    await connection.execute(TABLE)
                group = f"bench-{uuid.uuid4().hex[:8]}"
                target = Target(bench.servers, make_url(url), prefix, group, Path(folder))
                with running(system.commands(target)) as processes:
                    yield Trial(bench, system, connection, processes, group)
            finally:
                await connection.close()
