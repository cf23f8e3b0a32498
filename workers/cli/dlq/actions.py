"""`siltstone dlq park`, `discard`, `restore` and `purge`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from persistence.letter_search import Selection
from persistence.roles import OPERATOR
from workers.cli.database import with_database
from workers.cli.dlq.actor import ACTOR, actor_of
from workers.cli.dlq.rendering import counted
from workers.cli.dlq.selecting import EVERY, ID, meant, moment, selecting
from workers.cli.terminal import Exit, Output, fail, print_rows, progress, say

if TYPE_CHECKING:
    import asyncpg

    from persistence.database import Database
    from persistence.letter_actions import Move
    from workers.settings import Settings


YES = Annotated[bool, typer.Option("--yes", help="Do it to more than one letter; else they are only counted.")]
WHY = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Kept in the letter's history.")]


@selecting
def park(
    selection: Selection,
    letter_id: ID = None,
    every: EVERY = False,  # noqa: FBT002
    yes: YES = False,  # noqa: FBT002
    why: WHY = None,
    actor: ACTOR = None,
) -> None:
    """Set dead letters aside: a redrive takes them only with --force."""
    from persistence.letter_actions import PARK

    _move(PARK, meant(selection, letter_id, every=every), actor, why, yes=yes)


@selecting
def discard(
    selection: Selection,
    letter_id: ID = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept in the letter's history; required.")] = "",
    every: EVERY = False,  # noqa: FBT002
    yes: YES = False,  # noqa: FBT002
    actor: ACTOR = None,
) -> None:
    """Give dead or parked letters up: their events are not wanted. `siltstone dlq restore` undoes it."""
    from persistence.letter_actions import DISCARD

    if not why.strip():
        fail("say why with --why TEXT: the history keeps it", Exit.USAGE)
    _move(DISCARD, meant(selection, letter_id, every=every), actor, why, yes=yes)


@selecting
def restore(
    selection: Selection,
    letter_id: ID = None,
    every: EVERY = False,  # noqa: FBT002
    yes: YES = False,  # noqa: FBT002
    why: WHY = None,
    actor: ACTOR = None,
) -> None:
    """Make parked or discarded letters dead again, so that they can be redriven."""
    from persistence.letter_actions import RESTORE

    _move(RESTORE, meant(selection, letter_id, every=every), actor, why, yes=yes)


def purge(
    before: Annotated[str, typer.Option(metavar="WHEN", help="An RFC 3339 time, or 30m, 2h, 7d ago.")],
    discarded: Annotated[bool, typer.Option("--discarded", help="Also those discarded before then.")] = False,  # noqa: FBT002
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; else they are only counted.")] = False,  # noqa: FBT002
    why: WHY = None,
    actor: ACTOR = None,
) -> None:
    """Delete letters that were resolved before a time; what was refused, and who did what, stays recorded."""
    from persistence import letter_actions

    until, who = moment(before, "--before"), actor_of(actor)

    async def run(_: Settings, database: Database) -> None:
        async with database.transaction(readonly=True) as connection:
            counts = await letter_actions.count_purgeable(connection, until, discarded=discarded)
        total = sum(counts.values())
        if not total:
            say(f"no letter was {'resolved or discarded' if discarded else 'resolved'} before {until.isoformat()}")
            return
        if not yes:
            say(f"{counted(total)} ({_parts(counts)}) would be deleted; nothing is changed, --yes does it")
            return

        async def batch(connection: asyncpg.Connection) -> int:
            return await letter_actions.purge(connection, until, who, why, discarded=discarded)

        done = await _in_batches(database, "deleting", total, batch)
        say(f"{counted(done)} deleted")

    with_database(OPERATOR, run)


def some_of(counts: Mapping[str, int], statuses: Sequence[str], selection: Selection, what: str) -> int:
    """How many of a selection's letters have these statuses; says why there are none, or which are left out.

    Ends the command when ids were given and nothing can be done with any of them.
    """
    total, wanted = sum(counts.values()), sum(counts.get(status, 0) for status in statuses)
    others = {status: n for status, n in counts.items() if status not in statuses}
    can = f"only {' or '.join(statuses)} letters can be {what}"
    if not total and selection.ids:
        named = (
            f"there is no dead letter {selection.ids[0]}" if len(selection.ids) == 1 else "none of these is a letter"
        )
        fail(f"{named}; `siltstone dlq list` shows those there are", Exit.NOT_FOUND)
    if not total:
        say("no letter matches; nothing is changed")
    elif not wanted and selection.ids:
        fail(f"{counted(total)} cannot be {what} ({_parts(others)}): {can}", Exit.SOME_FAILED)
    elif others:
        say(f"{counted(total - wanted)} left out ({_parts(others)}): {can}")
    return wanted


def _move(how: Move, selection: Selection, actor: str | None, why: str | None, *, yes: bool) -> None:
    from persistence import letter_actions

    who, past = actor_of(actor), how.past

    async def run(read: Settings, database: Database) -> None:
        async with database.transaction(readonly=True) as connection:
            counts = await letter_actions.count_by_status(connection, selection)
            found = await letter_actions.count_by_reason(connection, selection, how.sources)
        wanted = some_of(counts, how.sources, selection, past)
        if wanted > 1 and not yes:
            rows = [row | {"topic": row["topic"].removeprefix(read.topic_prefix)} for row in found]
            for row in rows:
                row["oldest"] = row["oldest"].strftime("%Y-%m-%d %H:%M")
            print_rows(rows, ["reason", "topic", "letters", "oldest"], Output.table)
            say(f"{counted(wanted)} would be {past}; nothing is changed, --yes does it")
            return
        if not wanted:
            return

        async def batch(connection: asyncpg.Connection) -> int:
            return await letter_actions.move(connection, selection, how, who, why)

        done = await _in_batches(database, how.name, wanted, batch)
        say(f"{counted(done)} {past}")
        if done < wanted:
            say_skipped(wanted - done, selection)

    with_database(OPERATOR, run)


def say_skipped(number: int, selection: Selection) -> None:
    """Say that another command holds letters; ends the command when the letters were named."""
    message = f"{counted(number)} skipped: another command works on them; run this again"
    if selection.ids:
        fail(message, Exit.SOME_FAILED)
    say(message)


async def _in_batches(
    database: Database, description: str, total: int, batch: Callable[[asyncpg.Connection], Awaitable[int]]
) -> int:
    """Run `batch` in a transaction each time until it finds nothing more to do; how many it did."""
    done = 0
    with progress(description, total) as bar:
        while True:
            async with database.transaction() as connection:
                number = await batch(connection)
            if not number:
                return done
            done += number
            bar.advance(bar.task_ids[0], number)


def _parts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {status}" for status, number in counts.items())
