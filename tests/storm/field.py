"""What a storm plays on: a stack of its own, an installation, and workers that reach it by lines that can be broken."""

import asyncio
import os
import secrets
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from contracts.event_type import Family
from localstack import folder as folders
from localstack import ports, stack
from localstack.kafka import answers
from persistence import migrate
from tests.storm.proxy import Proxy
from tests.support.faults import last_words
from tests.support.free_ports import free_ports
from tests.support.installation import Installation, make_database
from tests.support.services import Services
from tests.support.waiting import until
from tests.support.worker import SILTSTONE, WorkerProcess

SMALL_BATCHES = {"SILTSTONE_BATCH_MAX_ROWS": "500"}
TAIL_LINES = 25
START_UP_LOST = ("went away during start-up", "Kafka does not answer at")  # an operator starts such a worker again

# What faults inside of Postgres are made of: triggers that count whom they hit, also in what is rolled back.
TROUBLE = """
CREATE SCHEMA storm;
CREATE SEQUENCE storm.hits;
CREATE FUNCTION storm.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  PERFORM nextval('storm.hits');
  RAISE EXCEPTION USING ERRCODE = TG_ARGV[0], MESSAGE = 'the storm';
END $$;
CREATE FUNCTION storm.hurry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  PERFORM nextval('storm.hits');
  PERFORM set_config('statement_timeout', '5ms', true);
  RETURN NULL;
END $$;
CREATE FUNCTION storm.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_sleep(0.1);
  RETURN NULL;
END $$;
"""


class Field:
    """Made by `Field.open`, ended by `close`. `installation` goes direct; workers and `proxied` go by the lines.

    The workers' login is no superuser: limits hold for it.
    """

    def __init__(
        self, installation: Installation, folder: Path, via: stack.Via, kafka: Proxy, postgres: Proxy, login: str
    ) -> None:
        self.installation = installation
        self.folder = folder
        self.kafka = kafka
        self.postgres = postgres
        self.login = login
        self.workers: list[WorkerProcess] = []
        self.late: list[str] = []  # tenants that a fault creates
        self.struck: Counter[str] = Counter()  # by the name of the fault
        self.lost_at_start: list[str] = []  # last words of workers that were started again, as their message says
        self.proxied: dict[str, str] = {}
        self._via = via

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        workers: int = 3,
        partitions: int = 12,
        tenants: Iterable[str] = (),
        suspended: Iterable[str] = (),
        late: Iterable[str] = (),
    ) -> "Field":
        """Start the stack in `folder`/stack, make everything, and wait until the workers are ready."""
        postgres: Proxy | None = None
        via_port, for_postgres, for_kafka, for_controller = free_ports(4)
        kafka = await Proxy.open(via_port)
        try:
            via = stack.Via(via_port, kafka.port)
            place = folder / "stack"
            folders.claim(place)
            folders.save(place, folders.State(for_postgres, for_kafka, for_controller))
            addresses = await asyncio.to_thread(stack.up, place, via=via)
            await until("Kafka answers through its line", lambda: asyncio.to_thread(answers, kafka.port), 30)
            services = Services(addresses.kafka_bootstrap_servers, addresses.database_url, place)
            url = await make_database(services)
            await migrate.upgrade(url)
            direct = make_url(url)
            assert direct.port is not None
            postgres = await Proxy.open(direct.port)
        except BaseException:
            await kafka.close()
            await asyncio.to_thread(stack.down, folder / "stack", delete=True)
            raise
        logs = folder / "workers"
        logs.mkdir(exist_ok=True)
        login, password = f"storm_{secrets.token_hex(4)}", secrets.token_hex(16)
        field = cls(Installation(services, url, logs), place, via, kafka, postgres, login)
        field.late = list(late)
        field.proxied = field.installation.environment | {
            "KAFKA_BOOTSTRAP_SERVERS": f"{ports.HOST}:{kafka.port}",
            "DATABASE_URL": direct.set(username=login, password=password, port=postgres.port).render_as_string(
                hide_password=False
            ),
        }
        try:
            await field.installation.execute(
                f"CREATE ROLE {login} LOGIN PASSWORD '{password}' "
                f"IN ROLE siltstone_worker, siltstone_operator, siltstone_reader; {TROUBLE}"
            )
            await field.installation.create_topics(partitions)
            await field.installation.create_tenants(*tenants, *suspended)
            await field.installation.execute(
                "UPDATE tenant SET status = 'suspended' WHERE tenant_id = ANY($1)", list(suspended)
            )
            for _ in range(workers):
                field.start()
            await field.ready()
        except BaseException:
            await field.close()
            raise
        return field

    async def close(self, *, delete: bool = True) -> None:
        """End the workers, the lines and the stack; without `delete` its data stays."""
        await self.installation.close()
        await self.kafka.close()
        await self.postgres.close()
        await asyncio.to_thread(stack.down, self.folder, delete=delete)

    def start(self) -> WorkerProcess:
        """Start a worker of all families."""
        worker = self.installation.worker(environment=self.proxied | SMALL_BATCHES)
        self.workers.append(worker)
        return worker

    async def ready(self, seconds: float = 120) -> None:
        """Wait until all workers are ready."""
        await asyncio.gather(*(worker.ready(seconds) for worker in self.workers))

    async def kill(self, worker: WorkerProcess) -> None:
        """SIGKILL."""
        self.workers.remove(worker)
        await worker.stop(signal.SIGKILL)

    async def stop(self, worker: WorkerProcess) -> None:
        """SIGTERM; it must end with 0, in time, whatever else goes on."""
        self.workers.remove(worker)
        try:
            code = await worker.stop()
        except subprocess.TimeoutExpired:
            raise AssertionError(f"a worker did not end on SIGTERM:\n{tail(worker)}") from None
        is_early = code == -signal.SIGTERM and worker.port is None  # its program was still being imported
        if code == 0 or is_early or self._lost_at_start(worker):
            return
        raise AssertionError(f"a worker ended with {code} on SIGTERM:\n{tail(worker)}")

    def check(self) -> None:
        """Raise AssertionError when a worker ended by itself.

        One whose start-up found no broker says that it is to be started again, and is.
        """
        for worker in list(self.workers):
            code = worker.process.poll()
            if code is None:
                continue
            self.workers.remove(worker)
            if not self._lost_at_start(worker):
                raise AssertionError(f"a worker ended by itself with {code}:\n{tail(worker)}")
            self.start()

    def _lost_at_start(self, worker: WorkerProcess) -> bool:
        words = " ".join(last_words(worker))
        if not any(lost in words for lost in START_UP_LOST):
            return False
        self.lost_at_start.append(words)
        return True

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A direct connection to its database, as the superuser."""
        connection = await asyncpg.connect(self.installation.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    async def command(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command of the program that goes by the lines, as a worker does."""
        return await asyncio.create_subprocess_exec(
            SILTSTONE,
            *arguments,
            env=os.environ | self.proxied,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def stop_postgres(self) -> None:
        """Stop Postgres as in a crash."""
        await asyncio.to_thread(stack.stop_postgres, self.folder, "immediate")

    async def start_postgres(self) -> None:
        """Start it, where it does not run."""
        await asyncio.to_thread(stack.start_postgres, self.folder)

    async def kill_kafka(self) -> None:
        """SIGKILL to the broker."""
        await asyncio.to_thread(stack.stop_kafka, self.folder, kill=True)

    async def start_kafka(self) -> None:
        """Start it, where it does not run, with the listener that the workers' line ends at."""
        await asyncio.to_thread(stack.start_kafka, self.folder, via=self._via)


async def progress(field: Field, after: datetime | None = None) -> dict[str, datetime]:
    """For each family when its last batch was settled; with `after`, the first one that began after that moment.

    A family without one is left out. A batch's time is that of the beginning of its transaction.
    """
    which = "max(at)" if after is None else "min(at)"
    rows = await field.installation.fetch(
        f"SELECT topic, {which} AS at FROM ingest_batch WHERE $1::timestamptz IS NULL OR at > $1 GROUP BY topic",  # noqa: S608
        after,
    )
    of_topic = {field.installation.topic(family): family.value for family in Family}
    return {of_topic[row["topic"]]: row["at"] for row in rows}


def tail(worker: WorkerProcess) -> str:
    """The last lines of a worker's log, and where the rest is."""
    return "\n".join([str(worker.log_path), *worker.log.splitlines()[-TAIL_LINES:]])
