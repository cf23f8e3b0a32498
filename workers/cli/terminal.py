"""How every command speaks: data on stdout, messages on stderr, and one exit code a kind of ending."""

import enum
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(enum.IntEnum):
    """The exit codes of every `siltstone` command (docs/commands.md)."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    SOME_FAILED = 4
    UNAVAILABLE = 5
    CHECK_FAILED = 6
    STOPPED = 130


class Output(enum.StrEnum):
    """`-o`: a table for people, JSON for programs."""

    table = "table"
    json = "json"
    jsonl = "jsonl"


class CommandError(Exception):
    """A command cannot go on: `message` says what happened, to what and what to do; `code` is its exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def fail(message: str, code: Exit) -> NoReturn:
    """End the command with one clear message on stderr."""
    raise CommandError(message, code)


def say(message: str) -> None:
    """A line for a person, on stderr; never markup, so that text from outside cannot style it."""
    stderr.print(message, markup=False)


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], output: Output) -> None:
    """Rows on stdout as `output` asks; `columns` are the keys of each row, in the table's order."""
    if output is Output.jsonl:
        for row in rows:
            sys.stdout.write(json.dumps(dict(row), default=str, ensure_ascii=False) + "\n")
        return
    if output is Output.json:
        listed = [dict(row) for row in rows]
        sys.stdout.write(json.dumps(listed, default=str, ensure_ascii=False, indent=2) + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row[c] is None else printable(str(row[c])) for c in columns))
    stdout.print(table, markup=False)


def printable(text: str) -> str:
    """`text` with control characters shown as escapes: what an event carries cannot drive the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def progress(description: str, total: int | None) -> AbstractContextManager[Progress]:
    """A progress bar on stderr that is silent when stderr is no terminal; add to its first task."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
        transient=True,
    )
    bar.add_task(description, total=total)
    return bar


def run(app: typer.Typer) -> NoReturn:
    """Run `app` and turn how it ended into an exit code; the one place that catches everything."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it logs is also raised, and said once by us
    try:
        app(standalone_mode=True)
    except CommandError as error:
        say(error.message)
        sys.exit(error.code)
    except KeyboardInterrupt:
        say("stopped by Ctrl-C")
        sys.exit(Exit.STOPPED)
    except SystemExit as ended:  # as Typer ends for it, without a word
        if isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt):
            say("stopped by Ctrl-C")
        raise
    except Exception as error:
        say(f"unexpected {type(error).__name__}: {error}\nthis is a defect; SILTSTONE_TRACEBACK=1 shows where it is")
        if os.environ.get("SILTSTONE_TRACEBACK"):
            raise
        sys.exit(Exit.UNEXPECTED)
    sys.exit(Exit.DONE)
