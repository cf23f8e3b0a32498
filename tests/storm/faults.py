"""What a storm does to workers, Postgres, Kafka and the lines between; each fault mends what it broke."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple, TypeVar

import asyncpg

from persistence.logs import LOGS
from persistence.states import STATES
from tests.storm.field import Field
from tests.storm.proxy import Proxy

FEWEST, MOST = 2, 5  # workers
LOG_TABLES = [log.name for log in LOGS]
TABLES = [*LOG_TABLES, *(state.name for state in STATES), "dead_letter", "ingest_batch"]  # that batches write to
HIT_SECONDS = 20.0  # that a fault inside of Postgres waits for its first victim
REDRIVE_SECONDS = 150.0
REDRIVE_CODES = {0, 5}  # done, or a service is away: the same command goes on
RETRIED = ("40001", "53200", "57P01", "58030")  # beside the two that have faults of their own

T = TypeVar("T")
Strike = Callable[[Field, Random], Awaitable[str]]


@dataclass(frozen=True)
class Fault:
    """A kind. `seconds` is the least that it takes; one that is `once` comes up once in a storm."""

    name: str
    weight: int
    seconds: float
    strike: Strike
    fits: Callable[[Field], bool] = lambda _: True
    once: bool = False


class Struck(NamedTuple):
    """One fault of a storm, as it happened."""

    at: datetime
    seconds: float
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S.%f} {self.seconds:5.1f} s  {self.name}: {self.what}"


def choose(field: Field, random: Random, most_seconds: float = float("inf")) -> Fault:
    """A kind that was not struck yet, while there is one; then any. None that takes longer than `most_seconds`."""
    fitting = [
        f for f in FAULTS if f.seconds <= most_seconds and f.fits(field) and not (f.once and field.struck[f.name])
    ]
    among = [f for f in fitting if not field.struck[f.name]] or fitting
    return random.choices(among, [f.weight for f in among])[0]


async def strike(field: Field, random: Random, fault: Fault) -> Struck:
    """Strike with one fault."""
    field.struck[fault.name] += 1
    at, began = datetime.now(UTC), time.monotonic()
    what = await fault.strike(field, random)
    return Struck(at, time.monotonic() - began, fault.name, what)


# Workers


async def kill_worker(field: Field, random: Random) -> str:
    """SIGKILL, and another one in its place."""
    worker = random.choice(field.workers)
    await field.kill(worker)
    return f"{worker.log_path.stem}; {field.start().log_path.stem} in its place"


def suspend_worker(least: float, most: float) -> Strike:
    """SIGSTOP for longer than the session timeout, then SIGCONT: a zombie, whose partitions are others' by now."""

    async def strike(field: Field, random: Random) -> str:
        worker, seconds = random.choice(field.workers), random.uniform(least, most)
        worker.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            worker.process.send_signal(signal.SIGCONT)
        return f"{worker.log_path.stem} for {seconds:.1f} s"

    return strike


async def restart_worker(field: Field, random: Random) -> str:
    """SIGTERM, the end with 0, and another one in its place."""
    worker = random.choice(field.workers)
    began = time.monotonic()
    await field.stop(worker)
    seconds = time.monotonic() - began
    return f"{worker.log_path.stem} ended after {seconds:.1f} s; {field.start().log_path.stem} in its place"


async def add_worker(field: Field, _: Random) -> str:
    """One more; it stays."""
    return f"{field.start().log_path.stem}; they are {len(field.workers)} now"


async def remove_worker(field: Field, random: Random) -> str:
    """One less, by SIGTERM."""
    worker = random.choice(field.workers)
    await field.stop(worker)
    return f"{worker.log_path.stem}; they are {len(field.workers)} now"


# Postgres


async def crash_postgres(field: Field, random: Random) -> str:
    """Stopped as in a crash, started after some seconds."""
    seconds = random.uniform(0, 6)
    try:
        await field.stop_postgres()
        await asyncio.sleep(seconds)
    finally:
        await field.start_postgres()
    return f"away for {seconds:.1f} s and its recovery"


async def terminate_backends(field: Field, _: Random) -> str:
    """Every connection of the workers is ended by the server."""
    return f"{await _terminate(field)} of them"


async def exhaust_connections(field: Field, random: Random) -> str:
    """The login may have next to no connections (53300), and loses those that it has."""
    limit, seconds = random.randrange(3), random.uniform(4, 8)
    try:
        await field.installation.execute(f"ALTER ROLE {field.login} CONNECTION LIMIT {limit}")
        ended = await _terminate(field)
        await asyncio.sleep(seconds)
    finally:
        await field.installation.execute(f"ALTER ROLE {field.login} CONNECTION LIMIT -1")
    return f"{limit} for {seconds:.1f} s, {ended} were ended"


async def shorten_statements(field: Field, random: Random) -> str:
    """The statements after the first in each transaction time out (57014).

    Workers set statement_timeout themselves, so that neither the role's nor the server's setting reaches them: a
    trigger shortens it in their own transactions, and another makes the ledger's statement slower than that.
    """
    seconds = random.uniform(1, 4)
    triggers = [f"CREATE TRIGGER storm BEFORE INSERT ON {log} EXECUTE FUNCTION storm.hurry()" for log in LOG_TABLES]
    triggers.append("CREATE TRIGGER storm BEFORE INSERT ON ingest_batch EXECUTE FUNCTION storm.dawdle()")
    return await _trouble(field, triggers, [*LOG_TABLES, "ingest_batch"], seconds)


def refuse(*states: str) -> Strike:
    """A SQLSTATE raised on every insert into a log, or into the ledger, where a transaction has done all else."""

    async def strike(field: Field, random: Random) -> str:
        state, seconds = random.choice(states), random.uniform(1, 2)
        tables = random.choice([LOG_TABLES, ["ingest_batch"]])
        action = f"EXECUTE FUNCTION storm.refuse('{state}')"
        triggers = [f"CREATE TRIGGER storm BEFORE INSERT ON {table} {action}" for table in tables]
        where = "the ledger" if len(tables) == 1 else "the logs"
        return f"{state} on {where}, {await _trouble(field, triggers, tables, seconds)}"

    return strike


def lock_table(seconds: float) -> Strike:
    """A table locked for longer than lock_timeout (55P03)."""

    async def strike(field: Field, random: Random) -> str:
        table = random.choice(TABLES)
        async with field.connection() as connection, connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(seconds)
            waiting = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'", field.login
            )
        return f"{table} for {seconds:.0f} s, {waiting} waited at the end"

    return strike


async def make_deadlock(field: Field, _: Random) -> str:
    """A real one: we hold the ledger, which a worker waits for with its log's rows written, and then want that log.

    The server looks for a deadlock when somebody has waited for a second; we wait with that for longer, so that the
    worker is its victim.
    """
    async with field.connection() as connection:
        await connection.execute("SET deadlock_timeout = '60s'; SET lock_timeout = '30s'")
        async with connection.transaction():
            await connection.execute("LOCK TABLE ingest_batch IN SHARE ROW EXCLUSIVE MODE")
            log = await _first(HIT_SECONDS, lambda: _log_of_who_waits(connection))
            if log is None:
                return "nobody came to wait"
            began = time.monotonic()
            await connection.execute(f"LOCK TABLE {log} IN SHARE ROW EXCLUSIVE MODE")
    return f"between ingest_batch and {log}, resolved after {time.monotonic() - began:.1f} s"


async def _log_of_who_waits(connection: asyncpg.Connection) -> str | None:
    log: str | None = await connection.fetchval(
        """
        SELECT has.relation::regclass::text FROM pg_locks AS wants JOIN pg_locks AS has USING (pid)
        WHERE NOT wants.granted AND wants.relation = 'ingest_batch'::regclass
          AND has.granted AND has.mode = 'RowExclusiveLock' AND has.relation = ANY($1::regclass[]) LIMIT 1
        """,
        LOG_TABLES,
    )
    return log


async def _terminate(field: Field) -> int:
    ended: int = await field.installation.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1", field.login
    )
    return ended


async def _trouble(field: Field, triggers: list[str], tables: list[str], seconds: float) -> str:
    """Triggers on tables from now until `seconds` after their first victim; how many they hit."""

    async def hit() -> bool:
        return await _hits(connection) > before

    drops = "; ".join(f"DROP TRIGGER storm ON {table}" for table in tables)
    async with field.connection() as connection:
        await connection.execute("SET lock_timeout = '60s'")
        before = await _hits(connection)
        await connection.execute("; ".join(triggers))
        try:
            await _first(HIT_SECONDS, hit)
            await asyncio.sleep(seconds)
        finally:
            await connection.execute(drops)
        return f"{await _hits(connection) - before} hit in {seconds:.1f} s"


async def _hits(connection: asyncpg.Connection) -> int:
    hits: int = await connection.fetchval("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM storm.hits")
    return hits


async def _first(seconds: float, look: Callable[[], Awaitable[T]]) -> T | None:
    """The first true value, or None."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.02)
    return None


# Kafka


async def kill_kafka(field: Field, random: Random) -> str:
    """SIGKILL to the broker, and its restart."""
    seconds = random.uniform(0, 4)
    began = time.monotonic()
    try:
        await field.kill_kafka()
        await asyncio.sleep(seconds)
    finally:
        await field.start_kafka()
    return f"away for {time.monotonic() - began:.1f} s"


# The lines


def _line(field: Field, name: str) -> Proxy:
    return {"Kafka": field.kafka, "Postgres": field.postgres}[name]


def cut(name: str) -> Strike:
    """Every connection reset, some times in a row."""

    async def strike(field: Field, random: Random) -> str:
        line, times = _line(field, name), random.randint(1, 3)
        counts = []
        for _ in range(times):
            counts.append(line.connections)
            line.cut()
            await asyncio.sleep(random.uniform(0.1, 1))
        return f"{', '.join(map(str, counts))} connections"

    return strike


def delay(name: str) -> Strike:
    """200 ms each way."""

    async def strike(field: Field, random: Random) -> str:
        seconds = random.uniform(5, 10)
        _line(field, name).delay(0.2)
        try:
            await asyncio.sleep(seconds)
        finally:
            _line(field, name).heal()
        return f"by 0.2 s, for {seconds:.1f} s"

    return strike


def black_hole(name: str, seconds: float) -> Strike:
    """Nothing arrives; then what was swallowed does, or every connection is reset and it never does."""

    async def strike(field: Field, random: Random) -> str:
        line, loses = _line(field, name), random.random() < 1 / 2
        line.black_hole(on=True)
        try:
            await asyncio.sleep(seconds)
        finally:
            held = line.connections
            if loses:
                line.cut()
            line.heal()
        return f"for {seconds:.0f} s, {held} connections, what they held {'is lost' if loses else 'arrived then'}"

    return strike


# What operators do meanwhile


async def redrive(field: Field, random: Random) -> str:
    """`siltstone dlq redrive --all --yes`, killed half of the time."""
    command = await field.command("dlq", "redrive", "--all", "--yes")
    is_killed, seconds = random.random() < 1 / 2, random.uniform(1, 5)
    try:
        said, _ = await asyncio.wait_for(command.communicate(), seconds if is_killed else REDRIVE_SECONDS)
    except TimeoutError:
        command.kill()
        await command.communicate()
        if not is_killed:
            raise AssertionError(f"a redrive did not end within {REDRIVE_SECONDS:.0f} s") from None
        return f"killed after {seconds:.1f} s"
    if command.returncode not in REDRIVE_CODES:
        raise AssertionError(f"a redrive ended with {command.returncode}:\n{said.decode()}")
    return f"ended with {command.returncode}: {' '.join(said.decode().split())[-120:]}"


async def create_tenant(field: Field, random: Random) -> str:
    """A tenant whose events were refused until now."""
    tenant = field.late.pop(random.randrange(len(field.late)))
    await field.installation.create_tenants(tenant)
    return tenant


def _there_are_many(field: Field) -> bool:
    return len(field.workers) > FEWEST


FAULTS: tuple[Fault, ...] = (
    Fault("worker killed", 10, 0, kill_worker),
    Fault("worker suspended", 5, 12, suspend_worker(12, 16)),
    Fault("worker suspended for long", 1, 35, suspend_worker(35, 40), once=True),  # 30 s: its transaction is ended
    Fault("worker restarted", 8, 1, restart_worker),
    Fault("worker added", 4, 0, add_worker, fits=lambda field: len(field.workers) < MOST),
    Fault("worker removed", 4, 1, remove_worker, fits=_there_are_many),
    Fault("Postgres crashed", 6, 2, crash_postgres),
    Fault("backends terminated", 8, 0, terminate_backends),
    Fault("connections exhausted", 4, 4, exhaust_connections),
    Fault("statements timed out", 5, 1, shorten_statements),
    Fault("table locked", 3, 12, lock_table(12)),
    Fault("table locked for long", 1, 30, lock_table(30), once=True),
    Fault("disk full said", 5, 1, refuse("53100")),
    Fault("deadlock said", 5, 1, refuse("40P01")),
    Fault("other outage said", 4, 1, refuse(*RETRIED)),
    Fault("deadlock", 5, 1, make_deadlock),
    Fault("Kafka killed", 4, 8, kill_kafka),
    Fault("Kafka line cut", 8, 0.1, cut("Kafka")),
    Fault("Kafka line delayed", 3, 5, delay("Kafka")),
    Fault("Kafka line black-holed", 3, 12, black_hole("Kafka", 12)),
    Fault("Postgres line cut", 8, 0.1, cut("Postgres")),
    Fault("Postgres line delayed", 3, 5, delay("Postgres")),
    Fault("Postgres line black-holed", 3, 12, black_hole("Postgres", 12)),
    Fault("Postgres line black-holed for long", 1, 35, black_hole("Postgres", 35), once=True),
    Fault("redrive", 6, 1, redrive),
    Fault("tenant created", 3, 0, create_tenant, fits=lambda field: bool(field.late)),
)
