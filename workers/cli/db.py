"""`siltstone db`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from persistence.roles import WORKER
from workers.cli.database import fail_for, with_database
from workers.cli.environment import settings
from workers.cli.terminal import Exit, Output, fail, print_rows, say

if TYPE_CHECKING:
    from persistence.database import Database
    from workers.settings import Settings


OTHERS_LOCKS = ("55P03", "40P01")  # lock_timeout, deadlock: the step was rolled back

app = typer.Typer(no_args_is_help=True, help="Migrations, partitions and retention.")


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go to.")] = "head",
) -> None:
    """Migrate the database; a second upgrade at the same time waits for the first."""
    from alembic.util.exc import CommandError

    from persistence import migrate
    from persistence.verdict import DATABASE_ERRORS, Verdict, judge

    try:
        asyncio.run(migrate.upgrade(settings().owner_url, revision))
    except CommandError as error:
        fail(f"not migrated: {error}", Exit.USAGE)
    except DATABASE_ERRORS as error:
        judgement = judge(error)
        if judgement.sqlstate in OTHERS_LOCKS:
            fail(f"not migrated ({judgement.message}): others hold its tables' locks; run it again", Exit.UNAVAILABLE)
        fail_for(error)
        if judgement.verdict is Verdict.stop:
            fail(f"not migrated: {judgement.message}: {error}", Exit.UNEXPECTED)
        raise
    say(f"the database is at {migrate.head() if revision == 'head' else revision}")


@app.command()
def status(
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Which revision the database is at; exit 6 when it is not the program's own."""
    import asyncpg

    from persistence import migrate
    from persistence.verdict import judge

    async def read(_: Settings, database: Database) -> str | None:
        async with database.transaction(readonly=True) as connection:
            return (await migrate.current(connection)).revision

    try:
        revision = with_database(None, read)
    except asyncpg.PostgresError as error:
        fail(f"the database cannot be read: {judge(error).message}", Exit.UNAVAILABLE)
    row = {"database": revision or "never migrated", "program": migrate.head()}
    print_rows([row], ["database", "program"], output)
    if revision != migrate.head():
        fail("run `siltstone db upgrade`", Exit.CHECK_FAILED)


@app.command()
def maintain(
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Make partitions three months ahead and drop those beyond SILTSTONE_RETENTION_MONTHS; blocks no writer."""
    from persistence.partitions import maintain as run_maintain

    async def run(read: Settings, database: Database) -> list[str]:
        return await run_maintain(database, read.retention_months)

    done = with_database(WORKER, run)
    rows = [{"partition": name.lstrip("-"), "done": "dropped" if name.startswith("-") else "created"} for name in done]
    print_rows(rows, ["partition", "done"], output)
    if not done:
        say("nothing to do")
