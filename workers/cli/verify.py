"""`siltstone verify`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from contracts.event_type import Family
from persistence.roles import WORKER
from workers.cli.database import with_database
from workers.cli.environment import settings
from workers.cli.terminal import Exit, Output, fail, print_rows, progress, say

if TYPE_CHECKING:
    from persistence.accounting import Kind
    from persistence.database import Database
    from workers.discrepancies import Discrepancy, Totals
    from workers.settings import Settings


SHOWN = 100  # discrepancies that a table names; the rest are counted

TOTALS = (
    "topic",
    "partitions",
    "checked",
    "stored",
    "duplicate",
    "refused",
    "invisible",
    "lost",
    "discrepancies",
)
SHOWN_TOTALS = tuple(name for name in TOTALS if name not in ("partitions", "invisible"))  # in 80 columns
DISCREPANCY = ("topic", "partition", "first", "last", "offsets", "kind")
IDENTITY = ("tenant_id", "event_source", "event_id", "identities", "first_time", "last_time")


def verify(
    family: Annotated[
        list[Family] | None, typer.Option(help="A family to check; may be given more than once. All by default.")
    ] = None,
    identities: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--identities", help="List events of one id that came with different times, instead.")
    ] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Check every offset against Kafka, the ledger and the rows; exit 6 and the gaps if there are any.

    Workers may run meanwhile. A table names the first 100 discrepancies; with -o jsonl all are printed as they are
    found, and the totals last.
    """
    from workers import verify as checks
    from workers.kafka_trouble import remedy
    from workers.verify import KafkaAway, TopicMissing

    families = list(dict.fromkeys(family)) if family else None
    if identities:
        _identities(families, output)
        return
    found = Found(output, settings().topic_prefix)

    async def run(read: Settings, database: Database) -> list[Totals]:
        with progress("reading Kafka's offsets", None) as bar:
            try:
                return await checks.verify(read, database, families, found.add, Bar(bar))
            except KafkaAway as error:
                fail(f"{error}; {await remedy(read)}", Exit.UNAVAILABLE)
            except TopicMissing as error:
                fail(str(error), Exit.NOT_FOUND)

    found.show(with_database(WORKER, run))


class Bar:
    """Progress on stderr."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.task_ids[0]

    def begin(self, what: str, total: int) -> None:
        """The next stretch of work."""
        self._bar.reset(self._task, total=total, description=what)

    def advance(self, by: int) -> None:
        """So much of it is done."""
        self._bar.advance(self._task, by)


class Found:
    """The discrepancies as they are found: printed at once (jsonl), all kept (json), or the first of them (table)."""

    def __init__(self, output: Output, prefix: str) -> None:
        self._output = output
        self._prefix = prefix
        self._kept: list[dict[str, Any]] = []
        self._ranges = 0
        self._kinds: set[Kind] = set()

    def add(self, discrepancy: Discrepancy) -> None:
        """One more."""
        self._ranges += 1
        self._kinds.add(discrepancy.kind)
        row = _row(discrepancy)
        if self._output is Output.jsonl:
            print_rows([row], DISCREPANCY, Output.jsonl)
        elif self._output is Output.json or self._ranges <= SHOWN:
            self._kept.append(row)

    def _short(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """For a table: a topic without the prefix of all."""
        return {**row, "topic": row["topic"].removeprefix(self._prefix)}

    def show(self, totals: Sequence[Totals]) -> None:
        """What was found, and exit 6 when that is anything."""
        from workers.discrepancies import MEANING

        rows = [_totals_row(t) for t in totals]
        if self._output is Output.table:
            print_rows(map(self._short, rows), SHOWN_TOTALS, Output.table)
            if self._kept:
                say("")
                print_rows(map(self._short, self._kept), DISCREPANCY, Output.table)
            if self._ranges > SHOWN:
                say(f"… and {self._ranges - SHOWN} more; -o jsonl prints all")
        else:
            print_rows([*self._kept, *({"kind": "totals", **row} for row in rows)], (), self._output)
        if not self._ranges:
            say("everything is accounted for")
            return
        for kind in sorted(self._kinds):
            say(f"{kind}: {MEANING[kind]}")
        lost, wrong = sum(t.lost for t in totals), sum(t.discrepancies for t in totals)
        fail(f"{wrong} offsets do not agree, and {lost} were lost", Exit.CHECK_FAILED)


def _row(found: Discrepancy) -> dict[str, Any]:
    return {
        "topic": found.topic,
        "partition": found.partition,
        "first": found.first,
        "last": found.after - 1,
        "offsets": found.after - found.first,
        "kind": found.kind.value,
    }


def _totals_row(totals: Totals) -> dict[str, Any]:
    return {name: len(totals.partitions) if name == "partitions" else getattr(totals, name) for name in TOTALS}


def _identities(families: Sequence[Family] | None, output: Output) -> None:
    from persistence.accounting import snapshot
    from workers import kafka

    async def run(read: Settings, database: Database) -> int:
        topics = [kafka.topics(read)[family] for family in families] if families else None
        listed = 0
        shown: list[Mapping[str, Any]] = []
        async with snapshot(database, topics) as moment:
            async for row in moment.identities():
                listed += 1
                if output is Output.jsonl:
                    print_rows([dict(row)], IDENTITY, output)
                elif output is Output.json or listed <= SHOWN:
                    shown.append(dict(row))
        if output is not Output.jsonl:
            print_rows(shown, IDENTITY, output)
        return listed

    listed = with_database(WORKER, run)
    if output is Output.table and listed > SHOWN:
        say(f"… and {listed - SHOWN} more; -o jsonl prints all")
    say(f"{listed} ids came with more than one time: each time is an event of its own")
