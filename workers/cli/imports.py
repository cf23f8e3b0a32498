"""`siltstone import`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.window import TimeWindow
from producers import swe_agent
from producers.event_lines import Defaults, outgoing
from workers.cli.environment import settings
from workers.cli.publish import send, show
from workers.cli.terminal import Exit, Output, fail, print_rows, printable, say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """What other tools recorded."""


@app.command("swe-agent")
def import_swe_agent(
    files: Annotated[list[Path], typer.Argument(help="Recorded runs of SWE-agent (.traj).")],
    tenant: Annotated[str, typer.Option(help="The tenant that the runs belong to.")],
    source: Annotated[str, typer.Option(help="The source of the events.")] = "/importers/swe-agent",
    start: Annotated[
        datetime | None, typer.Option(help="When the first step began, UTC; else from the content.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the events by type; publish nothing.")] = False,  # noqa: FBT002
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Import recorded runs: one session and one run a file; the same file again changes nothing."""
    begin = start.replace(tzinfo=UTC) if start is not None and start.tzinfo is None else start
    events: list[dict[str, Any]] = []
    unreadable = 0
    for file in files:
        try:
            events += swe_agent.events(_content(file), name=str(file), tenant=tenant, source=source, start=begin)
        except swe_agent.UnreadableTrajectory as error:
            unreadable += 1
            say(printable(str(error)))
    if dry_run:
        counts = swe_agent.count_by_type(events)
        print_rows([{"type": t, "events": n} for t, n in sorted(counts.items())], ["type", "events"], output)
    elif events:
        read = settings()
        lines = (json.dumps(event, ensure_ascii=False).encode() for event in events)
        defaults = Defaults(topic_prefix=read.topic_prefix)
        window = TimeWindow(read.oldest_time, read.retention_months)
        show(send(read, outgoing(lines, defaults, window, check=True), len(events)), output)
        say(f"imported {len(files) - unreadable} of {len(files)} files, {len(events)} events")
    if unreadable:
        fail(f"{unreadable} of {len(files)} files hold no run that can be imported", Exit.SOME_FAILED)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", Exit.NOT_FOUND)
