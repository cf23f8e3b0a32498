"""`siltstone dlq redrive`."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.window import TimeWindow
from persistence.letter_search import Selection
from persistence.roles import OPERATOR
from workers.cli.database import with_database
from workers.cli.dlq.actor import ACTOR, actor_of
from workers.cli.dlq.rendering import counted
from workers.cli.dlq.selecting import EVERY, ID, meant, selecting
from workers.cli.terminal import Exit, Output, fail, print_rows, progress, say

if TYPE_CHECKING:
    from persistence.database import Database
    from persistence.redrives import Wanted
    from workers.settings import Settings


FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 0.1, 2.0  # between two looks at what became of the letters
OPEN = ("dead", "parked", "redriving")


@selecting
def redrive(
    selection: Selection,
    letter_id: ID = None,
    every: EVERY = False,  # noqa: FBT002
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only say what would be done.")] = False,  # noqa: FBT002
    force: Annotated[  # noqa: FBT002
        bool,
        typer.Option("--force", help="Parked letters too; with --status redriving those that never came."),
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many letters.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="At most so many a second.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow until each is resolved, or dead again.")] = False,  # noqa: FBT002
    timeout: Annotated[int, typer.Option(min=1, help="Seconds that --wait follows.")] = 600,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
    actor: ACTOR = None,
) -> None:
    """Send letters back to the topic that they came from, each once, also when this is stopped and started again.

    Without --yes it prints what it would do. Interrupted by Ctrl-C or worse, the same command goes on.
    """
    from persistence import redrives
    from persistence.redrives import Wanted
    from workers import kafka
    from workers.redrive import HEADROOM_BYTES

    selection = meant(selection, letter_id, every=every)
    statuses = _statuses(selection, force=force)

    async def run(read: Settings, database: Database) -> None:
        wanted = Wanted(
            selection, statuses, list(kafka.topics(read).values()), kafka.TOPIC_MESSAGE_MAX_BYTES - HEADROOM_BYTES
        )
        if not yes:
            await _plan(read, database, wanted, limit, output)
            return
        async with database.transaction(readonly=True) as connection:
            left_out = await redrives.left_out(connection, wanted)
        text = f"{selection}, force {force}, limit {limit}"  # by this an interrupted redrive is known again
        job, sent = await _send(read, database, wanted, text, limit, rate, actor_of(actor))
        _say_left_out(left_out)
        outcome = await _followed(database, job, timeout) if wait else None
        _report(job, sent, outcome, output)

    with_database(OPERATOR, run)


def _statuses(selection: Selection, *, force: bool) -> list[str]:
    """The statuses that are sent; fails for one that never is."""
    allowed = OPEN if force else ("dead",)
    if wrong := [status for status in selection.statuses if status not in allowed]:
        advice = {
            "parked": "--force sends parked letters too",
            "redriving": "it is on its way; --force sends one again that never came back",
            "discarded": "`siltstone dlq restore` brings it back first",
            "resolved": "its event is stored",
        }
        fail(f"a letter that is {wrong[0]} is not sent: {advice[wrong[0]]}", Exit.USAGE)
    return list(selection.statuses) or (["dead", "parked"] if force else ["dead"])


@dataclass(slots=True)
class Group:
    """Letters of one topic and reason: how many there are, and what a worker would say of them now."""

    oldest: datetime
    letters: int = 0
    would_land: int = 0
    refused: Counter[str] = field(default_factory=Counter)


async def _plan(read: Settings, database: Database, wanted: Wanted, limit: int | None, output: Output) -> None:
    from persistence import redrives, tenants
    from workers.admission import judge, refusal_of

    groups: dict[tuple[str, str], Group] = {}
    window = TimeWindow(read.oldest_time, read.retention_months)
    with progress("judging", None) as bar:
        async with database.transaction(readonly=True) as connection:
            statuses = await tenants.statuses(connection)
            async for letter in redrives.planned(connection, wanted, limit):
                group = groups.setdefault((letter.topic, letter.reason), Group(letter.first_failed_at))
                group.letters += 1
                group.oldest = min(group.oldest, letter.first_failed_at)
                refusal = refusal_of(judge(letter.message, window), statuses)
                if refusal is None:
                    group.would_land += 1
                else:
                    group.refused[refusal.reason.value] += 1
                bar.advance(bar.task_ids[0])
            interrupted = await redrives.unfinished(connection)
            left_out = await redrives.left_out(connection, wanted)
    rows = [
        {
            "topic": topic.removeprefix(read.topic_prefix),
            "reason": reason,
            "letters": group.letters,
            "would land": group.would_land,
            "still refused": ", ".join(f"{n} {why}" for why, n in group.refused.most_common()) or None,
            "oldest": group.oldest.strftime("%m-%d %H:%M"),
        }
        for (topic, reason), group in sorted(groups.items())
    ]
    if output is not Output.table:
        print_rows(rows, [], output)
    elif rows:
        lines = [row | {"topic / reason": f"{row['topic']}\n  {row['reason']}"} for row in rows]
        print_rows(lines, ["topic / reason", "letters", "would land", "still refused", "oldest"], output)
    _say_left_out(left_out)
    if interrupted:
        say(f"{len(interrupted)} redrives were interrupted, or run elsewhere: --yes first sends what they had claimed")
    letters = sum(group.letters for group in groups.values())
    say(f"nothing was sent; --yes sends {counted(letters)}" if letters else "there is no letter to send")


async def _send(
    read: Settings, database: Database, wanted: Wanted, text: str, limit: int | None, rate: int | None, actor: str
) -> tuple[uuid.UUID, int]:
    from aiokafka.errors import KafkaError

    from persistence import redrives
    from workers.kafka_trouble import remedy
    from workers.redrive import Redrive

    sent = 0
    async with database.transaction(readonly=True) as connection:
        total = await redrives.count(connection, wanted)
    with progress("sending", total if limit is None else min(total, limit)) as bar:

        def advance(by: int) -> None:
            nonlocal sent
            sent += by
            bar.advance(bar.task_ids[0], by)

        try:
            async with database.session() as (connection, _):
                job = await Redrive(read, connection, actor, advance).run(wanted, text, limit=limit, rate=rate)
        except KafkaError as error:
            fail(
                f"Kafka at {read.kafka_bootstrap_servers} does not answer ({type(error).__name__}; "
                f"{await remedy(read)}); {counted(sent)} sent, the same command goes on from there",
                Exit.UNAVAILABLE,
            )
        except asyncio.CancelledError:
            say(f"stopped after {counted(sent)} sent; the same command goes on from there")
            raise
    return job, sent


async def _followed(database: Database, job: uuid.UUID, timeout_seconds: float) -> dict[str, int]:
    """What became of a job's letters, when none of them is on its way any more, or the time is up."""
    from persistence import redrives

    deadline, pause = asyncio.get_running_loop().time() + timeout_seconds, FIRST_WAIT_SECONDS
    with progress("landing", None) as bar:
        while True:
            async with database.transaction(readonly=True) as connection:
                outcome = await redrives.outcome(connection, job)
            landing = outcome.get("redriving", 0)
            total = sum(outcome.values())
            bar.update(bar.task_ids[0], total=total, completed=total - landing)
            if not landing or asyncio.get_running_loop().time() > deadline:
                return outcome
            await asyncio.sleep(pause)
            pause = min(MOST_WAIT_SECONDS, 2 * pause)


def _report(job: uuid.UUID, sent: int, outcome: Mapping[str, int] | None, output: Output) -> None:
    if outcome is None:
        if output is Output.table:
            say(f"{counted(sent)} sent back; `siltstone dlq stats` shows what becomes of them, or --wait")
        else:
            print_rows([{"job": str(job), "sent": sent}], ["job", "sent"], output)
        return
    columns = ["sent", *("resolved", "dead", "parked", "redriving", "discarded")]
    row = {"sent": sent} | {status: outcome.get(status, 0) for status in columns[1:]}
    print_rows([row if output is Output.table else {"job": str(job)} | row], columns, output)
    sys.stdout.flush()
    if again := row["dead"] + row["parked"]:
        fail(f"{counted(again)} refused again; `siltstone dlq stats` shows why", Exit.SOME_FAILED)
    if row["redriving"]:
        fail(f"{counted(row['redriving'])} still on the way; do workers run?", Exit.SOME_FAILED)


def _say_left_out(left_out: Mapping[str, int]) -> None:
    advice = {
        "parked": "--force sends them",
        "too large for the topic": "`siltstone dlq edit` makes them smaller",
    }
    for why, number in left_out.items():
        say(f"left out: {number} {why}" + (f"; {advice[why]}" if why in advice else ""))
