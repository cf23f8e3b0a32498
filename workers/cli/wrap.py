"""`siltstone wrap` and `siltstone spool`."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from contracts.window import TimeWindow
from producers.account import Refused
from workers.cli.environment import settings
from workers.cli.terminal import Exit, Output, fail, print_rows, printable, say

SHOWN = 20  # words on a recording that are said; the rest are counted

spool = typer.Typer(no_args_is_help=True)


def _module(name: str) -> ModuleType:
    """A module that does the work: an extra, absent where only workers run."""
    try:
        return import_module(f"workers.wrap.{name}")
    except ModuleNotFoundError as error:
        fail(f"wrap is not installed ({error.name} is missing): pip install 'siltstone[producers]'", Exit.UNAVAILABLE)


def wrap(
    command: Annotated[list[str] | None, typer.Argument(help="The agent's command, after --.")] = None,
    tenant: Annotated[str | None, typer.Option(envvar="SILTSTONE_TENANT", help="The tenant of the session.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent's name; else known by its command.")] = None,
    source: Annotated[str, typer.Option(help="The source of the events.")] = "/siltstone/wrap",
    patterns: Annotated[Path | None, typer.Option(help="A file in the place of examples/patterns.yaml.")] = None,
    pty: Annotated[
        bool | None,
        typer.Option(
            "--pty/--no-pty",
            help="A pseudo-terminal for the command, or pipes; else as our output is a terminal or none.",
        ),
    ] = None,
    mask: Annotated[bool, typer.Option(help="Replace secrets before anything is sent.")] = True,  # noqa: FBT002
    wait: Annotated[bool, typer.Option("--wait", help="Wait, at the end, until everything was sent.")] = False,  # noqa: FBT002
    replay: Annotated[Path | None, typer.Option(help="A recorded log in the place of a command.")] = None,
    start: Annotated[
        datetime | None,
        typer.Option(help="With --replay: when it began, where the log has no time that is understood."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --replay: print the events, send none.")] = False,  # noqa: FBT002
    output: Annotated[Output, typer.Option("-o", "--output", help="With --replay: how to print.")] = Output.table,
) -> None:
    """Run an agent's command, and record its session and what its output shows.

    The command never waits for it, and the exit code is the command's. While the broker is away everything is kept,
    and sent on the next occasion.
    """
    if bool(command) == (replay is not None):
        fail("give the command to run, siltstone wrap -- COMMAND…, or a recorded log by --replay", Exit.USAGE)
    if dry_run and command:
        fail("--dry-run is for --replay: a command is run, and what it prints is recorded", Exit.USAGE)
    if start and command:
        fail("--start is for --replay: a command begins now", Exit.USAGE)
    if tenant is None:
        fail("name the tenant by --tenant or SILTSTONE_TENANT", Exit.USAGE)
    work = _module("command")
    wish = work.Wish(tenant, agent, source, patterns, pty, mask, wait)
    try:
        if command:
            work.run(command, wish, settings())
        replayed = work.replayed(replay, wish, start.replace(tzinfo=start.tzinfo or UTC) if start else None)
    except work.NotWrapped as error:
        fail(printable(str(error)), Exit.USAGE)
    try:
        _replay(replayed.events, output, dry_run=dry_run)
    except work.UnreadableRecording as error:
        fail(f"{printable(str(error))}; the session ends where it was cut", Exit.SOME_FAILED)
    finally:
        _say_of(replayed.words)
    if not dry_run:
        say(f"session {replayed.session.id}")
    if any(isinstance(word, Refused) for word in replayed.words):
        fail(f"{replay} was not replayed whole", Exit.SOME_FAILED)


def _replay(events: Iterator[dict[str, Any]], output: Output, *, dry_run: bool) -> None:
    """Print the events of a recording, or publish them."""
    lines = (json.dumps(event, ensure_ascii=False).encode() for event in events)
    if dry_run:
        sys.stdout.writelines(line.decode() + "\n" for line in lines)
        return
    from producers.event_lines import Defaults, outgoing
    from workers.cli.publish import send, show

    read = settings()
    window = TimeWindow(read.oldest_time, read.retention_months)
    show(send(read, outgoing(lines, Defaults(topic_prefix=read.topic_prefix), window, check=True), None), output)


def _say_of(words: Sequence[object]) -> None:
    """What a recording holds beside what its session shows."""
    for word in words[:SHOWN]:
        say(printable(str(word)))
    if len(words) > SHOWN:
        say(f"… and {len(words) - SHOWN} more")


@spool.callback()
def group() -> None:
    """Sessions that are recorded and not sent yet."""


@spool.command()
def status(output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table) -> None:
    """List the sessions that are not sent yet, and whether each is being sent."""
    work = _module("spool")
    rows = work.waiting(work.folder_of(settings()))
    print_rows(rows, ["session", "agent", "started", "bytes", "state", "folder"], output)


@spool.command()
def flush() -> None:
    """Send every session that waits; one that is being sent is left to whoever sends it."""
    try:
        sent, failed = _module("flush").flush(settings(), say)
    except _module("recording").Unsent as error:
        fail(str(error), Exit.UNAVAILABLE)
    if failed:
        fail(f"{failed} sessions could not be sent; {sent} were", Exit.SOME_FAILED)
    say(f"{sent} sessions were sent")
