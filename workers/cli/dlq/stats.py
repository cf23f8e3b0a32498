"""`siltstone dlq stats`."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from persistence.letter_search import Selection
from workers.cli.dlq.listing import with_letters
from workers.cli.dlq.selecting import STATUSES, selecting
from workers.cli.terminal import Exit, Output, fail, print_rows, printable, say, stdout

if TYPE_CHECKING:
    import asyncpg

    from workers.settings import Settings


HOURS = 24  # of those that occur
SHOWN = 10  # values of each kind that a table names; the rest are told of
BAR_WIDTH = 8  # characters; with it a row has 80
NAME_WIDTH = 29
TIME = "%Y-%m-%d %H:%M"

Row = Mapping[str, Any]


class By(enum.StrEnum):
    """What letters are counted by."""

    reason = "reason"
    topic = "topic"
    type = "type"
    tenant = "tenant"
    hour = "hour"


@selecting
def stats(
    selection: Selection,
    by: Annotated[By | None, typer.Option(help="Count by this alone, and name every value.")] = None,
    fail_over: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Exit 6 when more than N letters are not resolved.")
    ] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Count dead letters by reason, topic, type, tenant and hour of the last refusal.

    Counted are those that are dead, redriving or parked, unless --status says otherwise. With one --tenant it reads
    as that tenant does.
    """
    from persistence import letter_reads

    async def run(read: Settings, connection: asyncpg.Connection) -> tuple[str, list[dict[str, Any]]]:
        return read.topic_prefix, await letter_reads.stats(connection, selection)

    prefix, found = with_letters(selection, run)
    rows = {kind: [row for row in found if row["by"] == kind] for kind in ("status", *By)}
    rows["hour"] = sorted(rows["hour"], key=lambda row: str(row["value"]), reverse=True)[:HOURS]
    unresolved = _unresolved(rows["status"])
    kinds = list(By) if by is None else [by]
    if output is Output.table:
        _print(rows, unresolved, kinds, prefix, None if by else SHOWN)
    else:
        print_rows([*rows["status"], unresolved, *(row for kind in kinds for row in rows[kind])], [], output)
    if fail_over is not None and unresolved["count"] > fail_over:
        fail(f"{unresolved['count']} letters are not resolved, more than {fail_over}", Exit.CHECK_FAILED)


def _unresolved(statuses: Sequence[Row]) -> dict[str, Any]:
    """The letters that somebody has still to deal with, in the form of a row of the others."""
    from persistence.letter_reads import UNRESOLVED

    rows = [row for row in statuses if row["value"] in UNRESOLVED]
    return {
        "by": "unresolved",
        "value": None,
        "count": sum(row["count"] for row in rows),
        "first_seen": min((row["first_seen"] for row in rows), default=None),
        "last_seen": max((row["last_seen"] for row in rows), default=None),
    }


def age(span: timedelta) -> str:
    """How long, in its two largest units."""
    minutes = max(0, int(span.total_seconds() // 60))
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _print(
    rows: Mapping[str, Sequence[Row]], unresolved: Row, kinds: Sequence[By], prefix: str, most: int | None
) -> None:
    """A table of one line a value; the bars are in proportion to the largest of their kind."""
    if not rows["status"]:
        say("no dead letters")
        return
    counts = {row["value"]: row["count"] for row in rows["status"]}
    stdout.print("  ".join(f"{status} {counts[status]}" for status in STATUSES if status in counts), markup=False)
    if unresolved["count"]:
        first = unresolved["first_seen"]
        stdout.print(f"oldest not resolved: {age(datetime.now(UTC) - first)}, since {first.strftime(TIME)}")
    for kind in kinds:
        if rows[kind]:
            stdout.print()
            stdout.print(_table(kind, rows[kind], prefix, None if kind is By.hour else most), markup=False)


def _table(kind: By, rows: Sequence[Row], prefix: str, most: int | None) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", width=80)
    table.add_column(f"by {kind}", overflow="fold", width=NAME_WIDTH)
    table.add_column("count", justify="right", width=7)
    table.add_column("first seen", width=16)
    table.add_column("last seen", width=16)
    table.add_column("", width=BAR_WIDTH)
    largest = max(row["count"] for row in rows)
    for row in rows[:most]:
        table.add_row(
            Text(_name(kind, row["value"], prefix)),
            str(row["count"]),
            row["first_seen"].strftime(TIME),
            row["last_seen"].strftime(TIME),
            "█" * max(1, round(BAR_WIDTH * row["count"] / largest)),
        )
    if most is not None and len(rows) > most:
        table.add_row(Text(f"… {len(rows) - most} more: --by {kind}"))
    return table


def _name(kind: By, value: str | None, prefix: str) -> str:
    """A value as the options of a selection take it; - for one that could not be read."""
    if value is None:
        return "-"
    match kind:
        case By.topic:
            return printable(value.removeprefix(prefix))
        case By.type if value.startswith("siltstone.") and value.endswith(".v1"):
            return printable(value.removeprefix("siltstone.").removesuffix(".v1"))
        case By.hour:
            return value.replace("T", " ").removesuffix(":00Z")
        case _:
            return printable(value)
