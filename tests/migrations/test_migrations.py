"""Migrations on a real database: up, down and up again; what they make is what the models say."""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from persistence import migrate
from persistence.columns import metadata
from tests.support import commands
from tests.support.installation import drop_database, make_database
from tests.support.services import Services
from tests.support.worker import SILTSTONE

SCRIPTS = ScriptDirectory(str(migrate.scripts()))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]
SUFFIX = re.compile("_(pkey|idx|key|check|fkey|[0-9a-f]{4})$")

CATALOGUE = """
SELECT kind, name FROM (
  SELECT relkind::text AS kind, relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT 'policy', polname || ' on ' || polrelid::regclass FROM pg_policy
  UNION ALL SELECT 'constraint', conname || ' on ' || conrelid::regclass FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT 'type', typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype <> 'b'
) AS everything WHERE name NOT LIKE 'alembic_version%' AND name NOT LIKE '%on alembic_version' ORDER BY kind, name
"""


@pytest.fixture
async def empty_database(services: Services) -> AsyncIterator[str]:
    """A database that was never migrated."""
    url = await make_database(services)
    yield url
    await drop_database(services, url)


async def rows(url: str, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def test_there_is_one_head_and_names_say_the_order() -> None:
    """The revisions are 0001, 0002, … without a branch, and each file is named NNNN_verb_object."""
    assert SCRIPTS.get_heads() == [REVISIONS[-1]] == [migrate.head()]
    assert [f"{n:04}" for n in range(1, len(REVISIONS) + 1)] == REVISIONS
    names = sorted(path.name for path in (migrate.scripts() / "versions").glob("*.py"))
    assert [name[:4] for name in names] == REVISIONS
    assert [name for name in names if name.count("_") < 2] == []


async def test_every_step_goes_up_and_down_and_leaves_nothing(empty_database: str) -> None:
    """Step by step up, down and up: each step makes what it made before, and all the way down nothing is left."""
    before = [await rows(empty_database, CATALOGUE)]
    for revision in REVISIONS:
        await migrate.upgrade(empty_database, revision)
        before.append(await rows(empty_database, CATALOGUE))
    for place in range(len(REVISIONS) - 1, -1, -1):
        await migrate.downgrade(empty_database, REVISIONS[place - 1] if place else "base")
        assert await rows(empty_database, CATALOGUE) == before[place], f"down from {REVISIONS[place]}"
    assert before[0] == []
    await migrate.upgrade(empty_database)
    assert await rows(empty_database, CATALOGUE) == before[-1]


async def test_models_are_what_migrations_make(database_url: str) -> None:
    """Alembic finds no difference between the models and a migrated database, comments included."""
    await asyncio.to_thread(command.check, migrate.config(database_url))


async def test_concurrent_upgrades_both_succeed(empty_database: str) -> None:
    """Of two upgrades at once the second waits for the first and finds its work done."""
    upgrade = (str(SILTSTONE), "db", "upgrade")
    environment = os.environ | {"DATABASE_URL": empty_database}
    both = [await asyncio.create_subprocess_exec(*upgrade, env=environment) for _ in range(2)]
    assert [await process.wait() for process in both] == [0, 0]
    assert await rows(empty_database, "SELECT version_num FROM alembic_version") == [(migrate.head(),)]


async def test_names_and_comments_follow_the_models(database_url: str) -> None:
    """Every constraint and index has the name that the convention gives it; every table and column has a comment."""
    tables = sorted(metadata.tables)
    # The preparer cuts what Postgres would cut, and puts a digest there.
    naming = make_url("postgresql+asyncpg://").get_dialect()().identifier_preparer
    wanted = {naming.format_index(i) for t in metadata.tables.values() for i in t.indexes}
    wanted |= {naming.format_constraint(c) or "" for t in metadata.tables.values() for c in t.constraints}
    found = await rows(
        database_url,
        f"""
        SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid::regclass::text = ANY (ARRAY{tables!r})
        UNION SELECT conname FROM pg_constraint
        WHERE conrelid::regclass::text = ANY (ARRAY{tables!r}) AND contype IN ('p', 'u', 'c', 'f', 'x')
        """,  # noqa: S608 - our own names
    )
    assert {str(name) for (name,) in found} == wanted
    assert {name for name in wanted if not SUFFIX.search(name)} == set()
    silent = await rows(
        database_url,
        """
        SELECT c.oid::regclass::text, a.attname::text FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'
          AND (col_description(c.oid, a.attnum) IS NULL
               OR (obj_description(c.oid) IS NULL AND NOT c.relispartition))
        """,
    )
    assert silent == []
    kept = await rows(
        database_url,
        "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' ORDER BY 1",
    )
    assert [name for (name,) in kept] == tables


async def test_a_migration_ends_when_others_hold_its_locks(database_url: str) -> None:
    """Exit 5 after its lock_timeout and a line that says what to do; nothing has changed, and another try succeeds."""
    await migrate.downgrade(database_url, "0009")
    environment = os.environ | {"DATABASE_URL": database_url}
    reader = await asyncpg.connect(migrate.driver_dsn(database_url))
    try:
        async with reader.transaction():
            await reader.fetch("SELECT FROM dead_letter")
            done = await asyncio.to_thread(commands.run, ["db", "upgrade"], environment)
    finally:
        await reader.close()
    line = "not migrated (SQLSTATE 55P03 (LockNotAvailableError)): others hold its tables' locks; run it again\n"
    assert (done.returncode, done.stderr) == (5, line)
    again = await asyncio.to_thread(commands.run, ["db", "upgrade"], environment)
    assert (again.returncode, again.stderr) == (0, f"the database is at {migrate.head()}\n")


def test_a_revision_that_is_not_there_is_named(empty_database: str) -> None:
    """Exit 2 and a line that says which."""
    done = commands.run(["db", "upgrade", "nonsense"], os.environ | {"DATABASE_URL": empty_database})
    assert (done.returncode, done.stderr) == (2, "not migrated: Can't locate revision identified by 'nonsense'\n")


OWN_ROLES = ("siltstone_owner", "siltstone_worker", "siltstone_operator", "siltstone_reader")


@pytest.fixture
async def login_without_superuser(empty_database: str) -> AsyncIterator[str]:
    """The owner of the empty database as an administrator of a managed Postgres is: it makes roles, and is no more.

    What it has of each role is what Postgres gives whoever made it: it may give it, and not become it.
    """
    url, name = make_url(empty_database), f"administrator_{secrets.token_hex(4)}"
    password = secrets.token_hex(16)
    given = "; ".join(f"GRANT {role} TO {name} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE" for role in OWN_ROLES)
    made = f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{password}'; ALTER DATABASE {url.database} OWNER TO {name}"
    administrator = await asyncpg.connect(migrate.driver_dsn(empty_database))
    try:
        for role in OWN_ROLES:
            with contextlib.suppress(asyncpg.DuplicateObjectError):
                await administrator.execute(f"CREATE ROLE {role} NOLOGIN")
        await administrator.execute(f"{made}; {given}")
        yield url.set(username=name, password=password).render_as_string(hide_password=False)
    finally:
        back = f"ALTER DATABASE {url.database} OWNER TO CURRENT_USER; DROP OWNED BY {name} CASCADE; DROP ROLE {name}"
        await administrator.execute(back)
        await administrator.close()


async def test_a_login_that_is_no_superuser_migrates(login_without_superuser: str) -> None:
    """It gives itself the roles that it made before it becomes one of them, and again changes nothing."""
    await migrate.upgrade(login_without_superuser)
    await migrate.upgrade(login_without_superuser)
    assert await rows(login_without_superuser, "SELECT version_num FROM alembic_version") == [(migrate.head(),)]
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert await rows(login_without_superuser, owners) == [("siltstone_owner",)]


async def test_a_second_migrator_is_given_the_roles_as_the_page_says(
    empty_database: str, login_without_superuser: str
) -> None:
    """Refused while it may not give on the roles that others made; the GRANT of docs/deployment.md is all it lacks."""
    page = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(encoding="utf-8")
    (grant,) = re.findall(r"^GRANT .+;$", page, re.MULTILINE)
    name = make_url(login_without_superuser).username
    administrator = await asyncpg.connect(migrate.driver_dsn(empty_database))
    try:
        await administrator.execute(f"REVOKE {', '.join(OWN_ROLES)} FROM {name} CASCADE")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await migrate.upgrade(login_without_superuser)
        await administrator.execute(grant.replace("migrator", f"{name}"))
    finally:
        await administrator.close()
    await migrate.upgrade(login_without_superuser)
    assert await rows(login_without_superuser, "SELECT version_num FROM alembic_version") == [(migrate.head(),)]
