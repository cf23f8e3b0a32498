"""Partitions, retention and the fold of the ledger, on real Postgres, as the role of a worker."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from persistence.database import Database
from persistence.logs import LOGS
from persistence.migrate import driver_dsn
from persistence.offsets import Spans, from_ranges, spans_of
from persistence.partitions import maintain
from persistence.roles import WORKER
from tests.support.events import event
from tests.support.stored import store_events
from tests.support.waiting import until

LOG = "run_event"
AHEAD = 3
THIS_MONTH = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month(number: int) -> datetime:
    """The start of the month that lies `number` after this one."""
    index = THIS_MONTH.year * 12 + THIS_MONTH.month - 1 + number
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


def names(first: int, after: int, log: str = LOG) -> list[str]:
    """The partitions of the months from `first` to before `after`, counted from this one."""
    return [f"{log}_{month(n):%Y_%m}" for n in range(first, after)]


class Site:
    """A migrated database: connections to it as a worker, and what its catalogue says."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self.url = url
        self.owner = connection
        self._opened: list[asyncpg.Connection] = []

    async def worker(self) -> asyncpg.Connection:
        """A connection of its own, as siltstone_worker."""
        connection = await asyncpg.connect(driver_dsn(self.url), server_settings={"role": WORKER})
        self._opened.append(connection)
        return connection

    async def partitions(self, log: str = LOG) -> list[str]:
        """The partitions of a log, by name."""
        sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1"
        return [row[0] for row in await self.owner.fetch(sql, log)]

    async def close(self) -> None:
        """Close every connection, whatever it is doing."""
        for connection in self._opened:
            connection.terminate()


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    connection = await asyncpg.connect(driver_dsn(database_url))
    made = Site(database_url, connection)
    await connection.execute("INSERT INTO tenant (tenant_id, name) VALUES ('acme', 'A')")
    yield made
    await made.close()
    await connection.close()


async def call(connection: asyncpg.Connection, at: datetime, retention_months: int = 0, log: str = LOG) -> list[str]:
    """siltstone_maintain as if it were `at`."""
    done: list[str] = await connection.fetchval("SELECT siltstone_maintain($1, $2, $3)", log, retention_months, at)
    return done


def run_event(number: int, at: datetime) -> dict[str, Any]:
    """One of many events of runs, at a time."""
    return event("run.started", f"run-{number % 3}", {"kind": "test"}, id=f"e{number}", time=at.isoformat())


async def test_a_migrated_database_has_history_and_three_months_ahead(site: Site) -> None:
    """Each log has history, this month and three more; maintaining again does nothing, and says so."""
    database = Database(site.url, WORKER)
    try:
        assert [await maintain(database, 0) for _ in range(2)] == [[], []]
    finally:
        await database.close()
    for log in (log.name for log in LOGS):
        assert await site.partitions(log) == sorted([*names(0, AHEAD + 1, log), f"{log}_history"])


async def test_concurrent_callers_make_each_month_once(site: Site) -> None:
    """Eight workers that start at once after five months: one makes the missing months, all succeed."""
    callers = [await site.worker() for _ in range(8)]
    done = await asyncio.gather(*(call(caller, month(5)) for caller in callers))
    assert sorted(done, key=len) == [*([[]] * 7), names(AHEAD + 1, 5 + AHEAD + 1)]
    assert await site.partitions() == sorted([*names(0, 5 + AHEAD + 1), f"{LOG}_history"])
    await assert_guarded(site)


async def test_a_year_without_maintenance_leaves_no_gap(site: Site) -> None:
    """At a time 14 months ahead every month up to it and three more are made, each bound where the last ends."""
    assert await call(await site.worker(), month(14) + timedelta(days=9)) == names(AHEAD + 1, 14 + AHEAD + 1)
    bounds = await site.owner.fetch(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid IN"
        " (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::text::regclass)",
        LOG,
    )
    ends = sorted(row[0].split("'")[1::2] for row in bounds)
    assert len(ends) == 14 + AHEAD + 2
    history = [e[0] for e in ends if len(e) == 1]
    assert [*history, *(e[1] for e in ends if len(e) == 2)] == [*(e[0] for e in ends if len(e) == 2), ends[-1][1]]


async def assert_guarded(site: Site) -> None:
    """Every partition forces row-level security, has the owner's policy alone, and grants nothing."""
    rows = await site.owner.fetch(
        """
        SELECT c.relrowsecurity AND c.relforcerowsecurity AND c.relacl IS NULL AS is_guarded,
               (SELECT array_agg(polname::text || ' ' || polroles::regrole[]::text) FROM pg_policy
                WHERE polrelid = c.oid) AS policies
        FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'
        """
    )
    assert {(row["is_guarded"], *row["policies"]) for row in rows} == {(True, "owner_all {siltstone_owner}")}


async def test_adding_months_holds_up_nobody(site: Site) -> None:
    """While one reader keeps a transaction open and a writer inserts, months are added; no insert waits a second."""
    reader, maintainer = await site.worker(), await site.worker()
    await reader.execute("BEGIN")
    await reader.fetchval(f"SELECT count(*) FROM {LOG}")  # noqa: S608 - our own name
    database = Database(site.url, WORKER)
    pauses: list[float] = []
    enough = asyncio.Event()

    async def write() -> None:
        number = 0
        while not enough.is_set():
            began = time.monotonic()
            await store_events(site.url, [run_event(number, datetime.now(UTC))], first_offset=number)
            pauses.append(time.monotonic() - began)
            number += 1

    writer = asyncio.create_task(write())
    try:
        await until("the writer writes", lambda: _true(len(pauses) > 3))
        for number in range(1, 6):
            assert await call(maintainer, month(number)) == names(AHEAD + number, AHEAD + number + 1)
        after = len(pauses)
        await until("the writer goes on", lambda: _true(len(pauses) > after + 3))
    finally:
        enough.set()
        await writer
        await database.close()
    assert max(pauses) < 1.0
    assert await site.owner.fetchval(f"SELECT count(*) FROM {LOG}") == len(pauses)  # noqa: S608
    await reader.execute("COMMIT")


async def _true(value: object) -> bool:
    return bool(value)


async def test_retention_retires_what_it_drops(site: Site) -> None:
    """Months beyond retention go, their offsets are kept as retired, exactly; older events find a new history."""
    times = [month(-300), month(0), month(-1), month(1), month(2), month(3), month(-299), month(0), month(4)]
    events = [run_event(n, at + timedelta(days=1)) for n, at in enumerate(times * 3)]
    await store_events(site.url, events[:5], first_offset=10, at=month(4))
    await call(await site.worker(), month(2))
    await store_events(site.url, events[5:], first_offset=15, at=month(4))
    dropped = {10 + n for n, at in enumerate(times * 3) if at < month(3)}

    done = await call(await site.worker(), month(6), retention_months=2)  # keeps month 3, one more than two
    assert done == [*names(6, 6 + AHEAD + 1), *(f"-{name}" for name in [*names(0, 3), f"{LOG}_history"])]
    retired = await site.owner.fetch("SELECT log, topic, partition, offsets FROM ingest_retired ORDER BY id")
    assert {(r["log"], r["topic"], r["partition"]) for r in retired} == {(LOG, "siltstone.execution", 0)}
    spans = [span for r in retired for span in from_ranges(r["offsets"])]
    offsets = [offset for first, after in spans for offset in range(first, after)]
    assert sorted(offsets) == sorted(dropped)
    kept = await site.owner.fetch(f"SELECT kafka_offset FROM {LOG} ORDER BY 1")  # noqa: S608 - our own name
    assert {row[0] for row in kept} == set(range(10, 10 + len(events))) - dropped
    assert await site.owner.fetchval("SELECT sum(events) FROM run") == len(events)

    assert await site.partitions() == sorted([*names(3, 6 + AHEAD + 1), f"{LOG}_history"])
    await store_events(site.url, [run_event(1000, month(1))], first_offset=900, at=month(6))
    assert await site.owner.fetchval(f"SELECT kafka_offset FROM {LOG}_history") == 900  # noqa: S608
    assert await call(await site.worker(), month(6), retention_months=2) == []
    await assert_guarded(site)


async def test_a_long_reader_puts_retention_off(site: Site) -> None:
    """Retention behind an open transaction fails within three seconds and changes nothing; later it succeeds."""
    await store_events(site.url, [run_event(n, datetime.now(UTC)) for n in range(4)])
    before = await site.partitions()
    reader, maintainer = await site.worker(), await site.worker()
    await reader.execute("BEGIN")
    await reader.fetchval(f"SELECT count(*) FROM {LOG}")  # noqa: S608 - our own name
    began = time.monotonic()
    with pytest.raises(asyncpg.LockNotAvailableError):
        await call(maintainer, month(6), retention_months=2)
    assert time.monotonic() - began < 3
    assert await site.partitions() == before
    assert await site.owner.fetchval("SELECT count(*) FROM ingest_retired") == 0
    assert await reader.fetchval(f"SELECT count(*) FROM {LOG}") == 4  # noqa: S608
    await reader.execute("COMMIT")
    assert f"-{names(0, 1)[0]}" in await call(maintainer, month(6), retention_months=2)


async def test_folding_the_ledger_keeps_its_sets(site: Site) -> None:
    """Rows older than an hour become one for each partition; young rows stay, and the sets are what they were."""
    insert = """
    INSERT INTO ingest_batch (consumer_group, topic, partition, stored, duplicate, refused, invisible, worker, at)
    SELECT 'g', 't' || b % 2, b % 3, int8multirange(int8range(b * 10, b * 10 + 5)),
           int8multirange(int8range(b * 10 + 5, b * 10 + 7)), int8multirange(int8range(b * 10 + 7, b * 10 + 8)),
           int8multirange(int8range(b * 10 + 8, b * 10 + 10)), 'w', now() - $1::interval
    FROM generate_series($2::int, $3::int) AS b
    """
    await site.owner.execute(insert, timedelta(hours=2), 0, 299)
    await site.owner.execute(insert, timedelta(minutes=1), 300, 305)
    before = await ledger_sets(site.owner)
    folders = [await site.worker() for _ in range(3)]
    folded = await asyncio.gather(*(f.fetchval("SELECT siltstone_fold_ledger('1 hour')") for f in folders))
    assert sorted(folded) == [0, 0, 300 - 6]
    assert await site.owner.fetchval("SELECT count(*) FROM ingest_batch") == 6 + 6
    after = await ledger_sets(site.owner)
    assert after == before
    assert after["t0", 0, "stored"] == spans_of(o for b in range(0, 306, 6) for o in range(b * 10, b * 10 + 5))


async def ledger_sets(connection: asyncpg.Connection) -> dict[tuple[str, int, str], Spans]:
    """What the ledger says, as sets: by topic, partition and kind."""
    kinds = ("stored", "duplicate", "refused", "invisible")
    rows = await connection.fetch(
        "SELECT topic, partition, range_agg(stored) AS stored, range_agg(duplicate) AS duplicate,"
        " range_agg(refused) AS refused, range_agg(invisible) AS invisible FROM ingest_batch GROUP BY topic, partition"
    )
    return {(row["topic"], row["partition"], kind): from_ranges(row[kind]) for row in rows for kind in kinds}
