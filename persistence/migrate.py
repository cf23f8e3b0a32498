"""Migrations: where they are, how to run them, and which version a database is at.

alembic is imported where it is used: it is slow to load, and most commands never migrate.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from alembic.config import Config

ADVISORY_LOCK = 5_171_604_733  # any number of our own: one migration at a time a database

BECOME_OWNER = """
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['siltstone_owner', 'siltstone_worker', 'siltstone_operator', 'siltstone_reader'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- roles are the cluster's: another database's migration made it first
      END;
    END IF;
    IF NOT pg_has_role(current_user, role, 'SET') THEN -- who makes a role may give it, not yet become it
      EXECUTE format('GRANT %I TO CURRENT_USER', role);
    END IF;
  END LOOP;
  IF NOT has_schema_privilege('siltstone_owner', 'public', 'CREATE') THEN
    GRANT USAGE, CREATE ON SCHEMA public TO siltstone_owner;
  END IF;
END
$$;
SET ROLE siltstone_owner;
SET lock_timeout = '5s';
SET statement_timeout = '10min';
SET timezone = 'UTC';
"""


def scripts() -> Path:
    """The folder of migrations: in a checkout beside the packages, in an installed wheel inside this one."""
    installed = Path(__file__).parent / "_alembic"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "alembic"


def run_script(connection: Connection, script: str) -> None:
    """Run many statements in the connection's transaction (a prepared statement may hold only one)."""
    connection.exec_driver_sql("SELECT 1")  # begins the transaction that the driver below then is in
    raw = connection.connection.dbapi_connection
    if raw is None:
        raise RuntimeError("the connection is closed")
    raw.run_async(lambda driver: driver.execute(script))


def config(url: str) -> "Config":
    """Alembic's configuration for one database; `url` as in DATABASE_URL."""
    from alembic.config import Config  # noqa: PLC0415

    made = Config()
    made.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database up to `revision`; a second caller waits for the first."""
    from alembic import command  # noqa: PLC0415

    await asyncio.to_thread(command.upgrade, config(url), revision)


async def downgrade(url: str, revision: str) -> None:
    """Bring the database down to `revision`."""
    from alembic import command  # noqa: PLC0415

    await asyncio.to_thread(command.downgrade, config(url), revision)


def head() -> str:
    """The newest revision that this program has."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return ScriptDirectory(str(scripts())).get_current_head() or ""


class Migrated(NamedTuple):
    """Which revision a database is at, and the transaction that brought it there: no two migrations have the same."""

    revision: str | None = None
    transaction: str | None = None


async def current(connection: asyncpg.Connection) -> Migrated:
    """Where a database is; nothing is known of one that was never migrated."""
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return Migrated()
    row = await connection.fetchrow("SELECT version_num, xmin::text FROM alembic_version")
    return Migrated(*row) if row else Migrated()


def driver_dsn(url: str) -> str:
    """DATABASE_URL as asyncpg takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
