"""Connections: one engine a process, every session with its role and its limits in time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from persistence import migrate
from persistence.engine import engine_of

SESSION_LIMITS = {
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "30s",
    # A worker that was stopped and keeps its lines alive would block its successor for ever without this one.
    "transaction_timeout": "120s",
}
CONNECT_TIMEOUT_SECONDS = 10
NOT_THERE = asyncpg.SyntaxOrAccessError  # SQLSTATE class 42: a table, a column, a function, a privilege
COMMAND_TIMEOUT_SECONDS = 150  # above every limit of the server's: for a line that went silent


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections a process holds, and how long one may wait for one."""

    size: int = 5
    max_overflow: int = 5
    timeout_seconds: float = 30
    statement_cache_size: int = 100
    echo: bool = False


class MigratedAway(Exception):
    """A table, column or privilege was not there, and the database has been migrated since the program looked."""

    def __init__(self, revision: str | None, known: str | None) -> None:
        at = f"at revision {revision}" if revision else "at no revision"
        super().__init__(f"the database was migrated and is {at}; this program knows {known}")


class Database:
    """The engine of one process, as one role.

    Once `migrated` is set, to where the database is when its schema fits the program, an error that a migration may
    have caused becomes MigratedAway when it was migrated since.
    """

    def __init__(
        self,
        url: str,
        role: str | None,
        *,
        pool: PoolLimits | None = None,
        limits: dict[str, str] | None = None,
        application: str = "siltstone",
    ) -> None:
        pool = pool or PoolLimits()
        self._settings = {**SESSION_LIMITS, **(limits or {}), "timezone": "UTC"} | ({"role": role} if role else {})
        self.engine: AsyncEngine = engine_of(
            url,
            pool_size=pool.size,
            max_overflow=pool.max_overflow,
            pool_timeout=pool.timeout_seconds,
            echo=pool.echo,
            connect_args={
                "timeout": CONNECT_TIMEOUT_SECONDS,
                "command_timeout": COMMAND_TIMEOUT_SECONDS,
                "statement_cache_size": pool.statement_cache_size,
                # Its timers would keep what was in the context when a statement was made: a whole batch, for minutes.
                "max_cached_statement_lifetime": 0,
                "server_settings": {"application_name": application},
            },
        )
        self.migrated: migrate.Migrated | None = None
        event.listen(self.engine.sync_engine, "connect", self._on_connect)

    def _on_connect(self, adapted: Any, _record: Any) -> None:
        settings = "; ".join(f"SET {name} = '{value}'" for name, value in self._settings.items())
        adapted.run_async(lambda driver: driver.execute(settings))
        # JSON as text both ways, by the driver's own codec: SQLAlchemy's calls Python for every value.
        adapted.run_async(lambda driver: driver.reset_type_codec("jsonb", schema="pg_catalog"))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[tuple[asyncpg.Connection, dict[Any, Any]]]:
        """A driver connection, and a dict that lives as long as it does. The caller begins its own transactions.

        Errors of the driver go past SQLAlchemy's own check for dead connections, so after any error the
        connection is thrown away: a pool would serve a dead one for ever.
        """
        known = self.migrated
        async with self.engine.connect() as connection:
            driver, info = await driver_of(connection)
            try:
                yield driver, info
            except BaseException as error:
                await connection.invalidate()
                if known and isinstance(error, NOT_THERE):
                    await self._look_again(known)
                raise

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A driver connection in a transaction that commits at the end and rolls back on an error."""
        async with (
            self.session() as (driver, _),
            driver.transaction(isolation="repeatable_read" if readonly else None, readonly=readonly),
        ):
            yield driver

    async def _look_again(self, known: migrate.Migrated) -> None:
        async with self.engine.connect() as connection:
            driver, _ = await driver_of(connection)
            found = await migrate.current(driver)
        if found.revision == known.revision:
            self.migrated = found  # it is back
        if found != known:
            raise MigratedAway(found.revision, known.revision)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


async def driver_of(connection: AsyncConnection) -> tuple[asyncpg.Connection, dict[Any, Any]]:
    """Asyncpg's connection behind SQLAlchemy's, and the dict that lives with it."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError(f"the driver is {type(driver).__name__}, not asyncpg")
    return driver, raw.info


async def execute_many(connection: asyncpg.Connection, query: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a query once a row, in one go; a cancellation is raised when that is done, which the limits of time bound.

    asyncpg's own, when it is cancelled between two parts of a large batch, waits for the answer to a question that
    it has not sent, until the server's transaction_timeout.
    """
    running = asyncio.ensure_future(connection.executemany(query, rows))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
