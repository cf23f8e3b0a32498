"""Tenants: whose events are accepted. Workers cache them for a few seconds."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg

from persistence.database import Database

TTL_SECONDS = 5.0


class Tenants:
    """The status of every tenant, read again every few seconds, and before an event is refused for its tenant."""

    def __init__(
        self, database: Database, *, ttl_seconds: float = TTL_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._status: dict[str, str] = {}
        self._read_at = float("-inf")

    async def statuses(self, wanted: Iterable[str]) -> dict[str, str]:
        """Tenant id to status. When one of `wanted` is not active as far as is known, all are read again."""
        stale = self._clock() - self._read_at > self._ttl_seconds
        if stale or any(self._status.get(tenant) != "active" for tenant in wanted):
            async with self._database.transaction(readonly=True) as connection:
                self._status = await statuses(connection)
            self._read_at = self._clock()
        return self._status


async def create(connection: asyncpg.Connection, tenant_id: str, name: str) -> bool:
    """Create a tenant; False when there is one of that id already, which is left as it is."""
    status = await connection.execute(
        "INSERT INTO tenant (tenant_id, name) VALUES ($1, $2) ON CONFLICT (tenant_id) DO NOTHING", tenant_id, name
    )
    return status == "INSERT 0 1"


async def set_status(connection: asyncpg.Connection, tenant_id: str, status: str) -> bool:
    """Suspend or activate a tenant; False when there is none of that id."""
    done = await connection.execute(
        "UPDATE tenant SET status = $2, updated_at = now() WHERE tenant_id = $1", tenant_id, status
    )
    return done == "UPDATE 1"


async def statuses(connection: asyncpg.Connection) -> dict[str, str]:
    """The status of every tenant, by its id."""
    rows = await connection.fetch("SELECT tenant_id, status FROM tenant")
    return {row["tenant_id"]: row["status"] for row in rows}


async def every(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """All tenants, by id."""
    rows = await connection.fetch(
        "SELECT tenant_id, name, status, created_at, updated_at FROM tenant ORDER BY tenant_id"
    )
    return [dict(row) for row in rows]
