"""Running a database command: its role, and errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from workers.cli.environment import settings
from workers.cli.terminal import Exit, fail

if TYPE_CHECKING:
    from persistence.database import Database
    from workers.settings import Settings


T = TypeVar("T")


def with_database(role: str | None, command: Callable[[Settings, Database], Awaitable[T]]) -> T:
    """Run `command` with a database as `role`; what the database says becomes an exit code."""
    from persistence.verdict import DATABASE_ERRORS
    from workers.database import database

    read = settings()

    async def run() -> T:
        opened = database(read, "siltstone-command", role)
        try:
            return await command(read, opened)
        finally:
            await opened.close()

    try:
        return asyncio.run(run())
    except DATABASE_ERRORS as error:
        fail_for(error)
        raise


def fail_for(error: Exception) -> None:
    """End the command when the database is away, not migrated or closed to the login; else return."""
    from persistence.verdict import Verdict, judge, named_objects

    judgement = judge(error)
    state = judgement.sqlstate or ""
    if judgement.kind == "TLS":
        fail(judgement.message, Exit.UNAVAILABLE)
    if judgement.verdict is Verdict.retry:
        fail(f"the database does not answer ({judgement.message}); is it running? siltstone stack up", Exit.UNAVAILABLE)
    if state.startswith(("28", "3D")):
        fail(
            f"the database refuses the login or has no such database ({judgement.message}); check DATABASE_URL",
            Exit.UNAVAILABLE,
        )
    if state == "42501":
        fail(f"the login may not do this{named_objects(error)}", Exit.UNAVAILABLE)
    if state in {"42P01", "42704", "42883", "22023"}:
        fail(f"the database is not migrated ({judgement.message}); run `siltstone db upgrade`", Exit.CHECK_FAILED)
