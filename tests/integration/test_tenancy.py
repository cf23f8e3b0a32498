"""Tenants are apart (G7): every role against every table and partition that the catalogue has."""
# ruff: noqa: S608 - statements are made of the catalogue's own names

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from persistence.logs import LOGS
from persistence.migrate import driver_dsn
from persistence.roles import OPERATOR, READER, WORKER
from persistence.states import STATES
from tests.support.events import event
from tests.support.installation import drop_database, make_database
from tests.support.services import Services
from tests.support.stored import store_events

LOG_NAMES = {log.name for log in LOGS}
STATE_NAMES = {state.name for state in STATES}
SHOWN = {*LOG_NAMES, *STATE_NAMES, "dead_letter", "dead_letter_trip", "tenant"}
PLAIN = "nobody"  # stands for a login that has none of the roles; made with a name of its own

MAY: dict[str, dict[str, frozenset[str]]] = {
    WORKER: {
        **dict.fromkeys(LOG_NAMES, frozenset({"SELECT", "INSERT"})),
        **dict.fromkeys(STATE_NAMES, frozenset({"SELECT", "INSERT", "UPDATE"})),
        "tenant": frozenset({"SELECT"}),
        "dead_letter": frozenset({"SELECT", "INSERT", "UPDATE"}),
        "dead_letter_trip": frozenset({"SELECT", "INSERT"}),
        "ingest_batch": frozenset({"SELECT", "INSERT"}),
        "ingest_retired": frozenset({"SELECT"}),
        "alembic_version": frozenset({"SELECT"}),
    },
    OPERATOR: {
        "tenant": frozenset({"SELECT", "INSERT", "UPDATE"}),
        "dead_letter": frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}),
        "dead_letter_trip": frozenset({"SELECT", "INSERT"}),
        "dead_letter_action": frozenset({"SELECT", "INSERT"}),
        "redrive_job": frozenset({"SELECT", "INSERT", "UPDATE"}),
    },
    READER: dict.fromkeys(SHOWN, frozenset({"SELECT"})),
    PLAIN: {},
}
"""All that each role may do; what is not here is refused."""

MAY_CALL = {WORKER: {"siltstone_maintain", "siltstone_fold_ledger"}}

RELATIONS = """
SELECT c.relname::text AS name, c.relispartition AS is_partition, c.relkind::text AS kind,
       c.relrowsecurity AND c.relforcerowsecurity AS is_guarded
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
ORDER BY c.relname
"""
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

EVENTS: dict[str, dict[str, Any]] = {
    "session.started": {"agent_name": "a"},
    "extraction.recorded": {"agent_name": "a", "event_type": "error", "pattern": "p", "risk_level": "high"},
    "code_block.captured": {"agent_name": "a", "content": "x = 1", "language": "python"},
    "definition.saved": {"kind": "test", "name": "n", "spec": {}, "provider": "p", "model": "m"},
    "run.started": {"kind": "test", "definition_id": "thing"},
    "node.executed": {"node_name": "n", "status": "completed"},
    "assertion.evaluated": {"assertion_type": "equal", "passed": False},
    "file.produced": {"filename": "f"},
    "exception.created": {
        "actor_type": "agent",
        "set": {"domain": "d", "type": "t", "severity": "high", "source_system": "s"},
    },
}
"""One event for each log."""


class Site:
    """A connection that can become any role, on a database with rows of two tenants in every table."""

    def __init__(self, url: str, connection: asyncpg.Connection, plain: str) -> None:
        self.url = url
        self.connection = connection
        self._plain = plain

    async def as_role(self, role: str, sql: str, tenant: str | None = None) -> list[Any]:
        """First column of the statement's rows, as a role, in a transaction that is rolled back."""
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            if tenant is not None:
                await self.connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
            await self.connection.execute(f"SET LOCAL ROLE {self.name(role)}")
            return [row[0] for row in await self.connection.fetch(sql)]
        finally:
            await transaction.rollback()

    async def relations(self) -> list[dict[str, Any]]:
        """Everything that holds rows, partitions and sequences included."""
        return [dict(row) for row in await self.connection.fetch(RELATIONS)]

    def name(self, role: str) -> str:
        """The role's name in this cluster."""
        return self._plain if role == PLAIN else role


@pytest.fixture(scope="module")
async def site(services: Services, migrated: str) -> AsyncIterator[Site]:
    """One for the module: every test rolls back what it does."""
    database_url = await make_database(services, migrated)
    connection = await asyncpg.connect(driver_dsn(database_url))
    plain = f"t_{uuid.uuid4().hex[:12]}"
    await connection.execute(f"CREATE ROLE {plain} NOLOGIN")
    try:
        await connection.execute("INSERT INTO tenant (tenant_id, name) VALUES ('acme', 'A'), ('globex', 'G')")
        for tenant in ("acme", "globex"):
            events = [
                event(kind, "thing", data, tenant=tenant, time=time)
                for kind, data in EVENTS.items()
                for time in (None, "2001-02-03T04:05:06Z")
            ]
            await store_events(database_url, [e if e.get("time") else e | {"time": now()} for e in events])
        await connection.execute(
            """
            INSERT INTO dead_letter (id, tenant_id, topic, partition, "offset", consumer_group, reason, stage, error,
              header_names, header_values, record_timestamp, letter_topic, letter_partition, letter_offset,
              first_failed_at, last_failed_at, status)
            SELECT gen_random_uuid(), t, 'x', 0, 1, 'g', 'bad_json', 'decode', 'e', '{}', '{}', 0, 'dlq.x', 0, 1,
              now(), now(), 'dead' FROM unnest(ARRAY['acme', 'globex', NULL]) AS t;
            INSERT INTO dead_letter_trip (dead_letter_id, redrive_count, tenant_id, topic, partition, "offset", reason,
              stage, error, failed_at)
            SELECT id, 0, tenant_id, 'x', 0, 1, 'bad_json', 'decode', 'e', now() FROM dead_letter;
            INSERT INTO redrive_job (id, actor, selection) VALUES (gen_random_uuid(), 'a', '--all');
            INSERT INTO dead_letter_action (dead_letter_id, actor, action) SELECT id, 'a', 'park' FROM dead_letter;
            INSERT INTO ingest_retired (log, topic, partition, offsets) VALUES ('run_event', 'x', 0, '{[1,2)}');
            """
        )
        yield Site(database_url, connection, plain)
    finally:
        await connection.execute(f"DROP ROLE {plain}")
        await connection.close()
        await drop_database(services, database_url)


def now() -> str:
    """An event's time in the current month."""
    return str(event("session.deleted", "x")["time"])


async def test_every_table_and_partition_is_guarded(site: Site) -> None:
    """Row-level security is on and forced everywhere, partitions too; alembic_version alone holds no tenant's row."""
    relations = [r for r in await site.relations() if r["kind"] in "rp"]
    assert [r["name"] for r in relations if not r["is_guarded"]] == ["alembic_version"]
    assert sum(r["is_partition"] for r in relations) >= len(LOGS) * 5
    assert {r["kind"] for r in await site.relations()} <= {"r", "p", "S"}  # a view would read as its owner


@pytest.mark.parametrize("role", MAY)
async def test_privileges_are_the_least(site: Site, role: str) -> None:
    """Each role has the privileges named here on tables, none on a partition or sequence, and none by a column."""
    wanted = {(table, p) for table, privileges in MAY[role].items() for p in privileges}
    found = set()
    for relation in await site.relations():
        if relation["kind"] == "S":
            sql = "SELECT has_sequence_privilege($1, $2, 'USAGE, SELECT, UPDATE')"
            if await site.connection.fetchval(sql, site.name(role), relation["name"]):
                found.add((relation["name"], "SEQUENCE"))
            continue
        for privilege in PRIVILEGES:
            by_column = privilege in ("SELECT", "INSERT", "UPDATE", "REFERENCES")
            sql = f"SELECT has_{'any_column' if by_column else 'table'}_privilege($1, $2, $3)"
            if await site.connection.fetchval(sql, site.name(role), relation["name"], privilege):
                found.add((relation["name"], privilege))
    assert found == wanted
    functions = await site.connection.fetch(
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND has_function_privilege($1, oid, 'EXECUTE') AND proname <> 'siltstone_uid_floor'",
        site.name(role),
    )
    assert {row[0] for row in functions} == MAY_CALL.get(role, set())
    assert not await site.connection.fetchval("SELECT pg_has_role($1, 'siltstone_owner', 'MEMBER')", site.name(role))


@pytest.mark.parametrize("tenant", [None, "", "acme", "nobody'; --"])
async def test_a_reader_sees_its_own_tenant_alone(site: Site, tenant: str | None) -> None:
    """Through every parent its own rows, or none when no tenant is set; by a partition's name nothing, ever."""
    own = {"acme"} if tenant == "acme" else set()
    for relation in await site.relations():
        name = relation["name"]
        if name in SHOWN:
            assert set(await site.as_role(READER, f"SELECT tenant_id FROM {name}", tenant)) == own, name
            everyone = f"SELECT tenant_id FROM {name} WHERE tenant_id = 'globex' OR true"
            assert set(await site.as_role(READER, everyone, tenant)) == own, name
        elif relation["kind"] != "S":
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await site.as_role(READER, f"SELECT * FROM {name}", tenant)


async def test_the_log_rows_of_a_reader_come_from_every_partition(site: Site) -> None:
    """A log's rows of this month and of history are both seen through its parent, and no other tenant's count."""
    for name in sorted(LOG_NAMES):
        assert await site.as_role(READER, f"SELECT count(*) FROM {name}", "acme") == [2], name
        assert await site.as_role(WORKER, f"SELECT count(*) FROM {name}") == [4], name


@pytest.mark.parametrize("role", MAY)
async def test_what_a_role_may_not_do_is_refused(site: Site, role: str) -> None:
    """Every statement of every kind against every table and partition: it runs when it is listed, else is refused."""
    for relation in await site.relations():
        name = relation["name"]
        if relation["kind"] == "S":
            continue
        column = await site.connection.fetchval(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
            " AND attidentity = '' ORDER BY attnum LIMIT 1",
            name,
        )
        statements = {
            "SELECT": f"SELECT 1 FROM {name}",
            "INSERT": f"INSERT INTO {name} ({column}) SELECT NULL WHERE false",
            "UPDATE": f"UPDATE {name} SET {column} = {column} WHERE false",
            "DELETE": f"DELETE FROM {name} WHERE false",
            "TRUNCATE": f"TRUNCATE {name}",
        }
        for kind, sql in statements.items():
            if kind in MAY[role].get(name, frozenset()):
                await site.as_role(role, sql.replace("SELECT NULL", "SELECT NULL::uuid") if name in UUID_KEYED else sql)
            else:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await site.as_role(role, sql)


UUID_KEYED = {*LOG_NAMES, "dead_letter", "dead_letter_action"}


async def test_no_role_writes_by_copy_into_a_log(site: Site) -> None:
    """COPY into a log is refused under forced row-level security, also to the worker, which may insert."""
    for name in sorted(LOG_NAMES):
        await site.connection.execute("SET ROLE siltstone_worker")
        with pytest.raises(asyncpg.FeatureNotSupportedError):
            await site.connection.copy_records_to_table(name, records=[("acme",)], columns=["tenant_id"])
        await site.connection.execute("RESET ROLE")


async def test_only_workers_maintain(site: Site) -> None:
    """A reader, an operator and a plain login are refused siltstone_maintain and the fold of the ledger."""
    for role in (READER, OPERATOR, PLAIN):
        for call in ("siltstone_maintain('run_event', 1)", "siltstone_fold_ledger('1 hour')"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await site.as_role(role, f"SELECT {call}")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await site.as_role(WORKER, "SELECT siltstone_maintain('pg_class', 1)")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await site.as_role(WORKER, "SELECT siltstone_maintain('session', 1)")
