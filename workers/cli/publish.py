"""`siltstone publish`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.window import TimeWindow
from workers.cli.environment import settings
from workers.cli.terminal import Exit, Output, fail, print_rows, printable, progress, say

if TYPE_CHECKING:
    from producers.event_lines import Outgoing, RefusedLine
    from workers.publisher import Report
    from workers.settings import Settings


SHOWN = 20  # refused lines that are named; the rest are counted


def publish(
    file: Annotated[Path | None, typer.Argument(help="A file of JSON lines, or - for standard input.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="A single event: its type.")] = None,
    subject: Annotated[str | None, typer.Option(help="A single event: what it is about.")] = None,
    data: Annotated[str | None, typer.Option(help="A single event: its data, as JSON.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant of events in short form.")] = None,
    source: Annotated[str | None, typer.Option(help="The source of events in short form.")] = None,
    check: Annotated[bool, typer.Option(help="Check against the contracts before sending.")] = True,  # noqa: FBT002
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Publish events: JSON lines of CloudEvents or of short form (type, subject, data), or one from options."""
    from producers.event_lines import Defaults, lines_of, outgoing

    read = settings()
    defaults = Defaults(tenant=tenant, source=source, topic_prefix=read.topic_prefix)
    window = TimeWindow(read.oldest_time, read.retention_months)
    total: int | None = None
    lines: Iterable[bytes]
    if event_type is not None or subject is not None or data is not None:
        if file is not None:
            fail("give either a file or --type, --subject and --data", Exit.USAGE)
        lines, total = [_single(event_type, subject, data)], 1
    elif file is None:
        fail("give a file of JSON lines, - for standard input, or --type, --subject and --data", Exit.USAGE)
    elif str(file) == "-":
        lines = lines_of(sys.stdin.buffer)
    else:
        lines, total = _lines(file)
    report = send(read, outgoing(lines, defaults, window, check=check), total, check=check)
    show(report, output)


def send(read: Settings, records: Iterable[Outgoing | RefusedLine], total: int | None, *, check: bool = True) -> Report:
    """Publish with a progress bar; ends the command when the broker is away."""
    from aiokafka.errors import KafkaError

    from workers import publisher
    from workers.kafka_trouble import remedy

    with progress("publishing", total) as bar:
        task = bar.task_ids[0]
        advance: Callable[[], None] = lambda: bar.advance(task)  # noqa: E731 - a callback of one line
        late = lambda: say(f"Kafka at {read.kafka_bootstrap_servers} acknowledges nothing; waiting for it")  # noqa: E731
        try:
            return asyncio.run(publisher.publish(read, records, check=check, advance=advance, late=late))
        except (KafkaError, OSError) as error:
            servers = read.kafka_bootstrap_servers
            fail(f"Kafka at {servers}: {type(error).__name__}; {asyncio.run(remedy(read))}", Exit.UNAVAILABLE)


def show(report: Report, output: Output) -> None:
    """What the broker acknowledged, by topic; each refused line; exit 4 when there are any."""
    rows = [{"topic": topic, "acknowledged": count} for topic, count in sorted(report.acknowledged.items())]
    print_rows(rows, ["topic", "acknowledged"], output)
    for refused in report.refused[:SHOWN]:
        say(f"line {refused.line}: {printable(refused.reason)}")
    if len(report.refused) > SHOWN:
        say(f"… and {len(report.refused) - SHOWN} more")
    if report.refused:
        fail(
            f"{len(report.refused)} lines were refused; {report.acknowledged.total()} were published", Exit.SOME_FAILED
        )


def _single(event_type: str | None, subject: str | None, data: str | None) -> bytes:
    if event_type is None or subject is None:
        fail("a single event needs --type and --subject", Exit.USAGE)
    try:
        parsed = json.loads(data or "{}")
    except ValueError as error:
        fail(f"--data is no JSON: {error}", Exit.USAGE)
    return json.dumps({"type": event_type, "subject": subject, "data": parsed}).encode()


def _lines(file: Path) -> tuple[Iterator[bytes], int]:
    """The file's lines as they are read, and how many there are."""
    from producers.event_lines import lines_of

    try:
        with file.open("rb") as counted:
            total = sum(1 for line in lines_of(counted) if line.strip())
        opened = file.open("rb")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", Exit.NOT_FOUND)

    def read() -> Iterator[bytes]:
        with opened:
            yield from lines_of(opened)

    return read(), total
