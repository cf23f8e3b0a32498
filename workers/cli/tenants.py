"""`siltstone tenants`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.envelope import TENANT_PATTERN
from persistence.roles import OPERATOR
from workers.cli.database import with_database
from workers.cli.terminal import Exit, Output, fail, print_rows, say

if TYPE_CHECKING:
    from persistence.database import Database
    from workers.settings import Settings


app = typer.Typer(no_args_is_help=True, help="Whose events are stored.")
TenantId = Annotated[str, typer.Argument(help="The tenantid of its events.")]


@app.command()
def create(
    tenant_id: TenantId, name: Annotated[str | None, typer.Option(help="For people; the id unless given.")] = None
) -> None:
    """Create a tenant: from then on its events are stored. One that is there is left as it is."""
    from persistence import tenants

    if not re.fullmatch(TENANT_PATTERN, tenant_id):
        fail(f"{tenant_id!a} is no tenant id: lower-case letters, digits, - and _, at most 63", Exit.USAGE)

    async def run(_: Settings, database: Database) -> bool:
        async with database.transaction() as connection:
            return await tenants.create(connection, tenant_id, name or tenant_id)

    say(f"tenant {tenant_id} created" if with_database(OPERATOR, run) else f"tenant {tenant_id} is there already")


@app.command("list")
def list_tenants(
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Every tenant."""
    from persistence import tenants

    async def run(_: Settings, database: Database) -> list[dict[str, Any]]:
        async with database.transaction(readonly=True) as connection:
            return await tenants.every(connection)

    print_rows(with_database(OPERATOR, run), ["tenant_id", "name", "status", "created_at", "updated_at"], output)


def _set(tenant_id: str, status: str) -> None:
    from persistence import tenants

    async def run(_: Settings, database: Database) -> bool:
        async with database.transaction() as connection:
            return await tenants.set_status(connection, tenant_id, status)

    if not with_database(OPERATOR, run):
        fail(f"there is no tenant {tenant_id!a}; `siltstone tenants list` shows those there are", Exit.NOT_FOUND)
    say(f"tenant {tenant_id} is {status}; workers know it within a few seconds")


@app.command()
def suspend(tenant_id: TenantId) -> None:
    """Suspend a tenant: its events become dead letters until it is activated."""
    _set(tenant_id, "suspended")


@app.command()
def activate(tenant_id: TenantId) -> None:
    """Let a suspended tenant's events in again."""
    _set(tenant_id, "active")
