"""`siltstone stack`: a local Kafka and Postgres from pip alone."""

import shlex
from pathlib import Path
from types import ModuleType
from typing import Annotated, NoReturn

import typer

from workers.cli.terminal import Exit, Output, fail, print_rows, say, stdout

app = typer.Typer(no_args_is_help=True, help="A local Kafka and Postgres, without Docker.")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where the stack keeps its data; SILTSTONE_STACK_DIR, or a folder of yours, unless named.",
        show_default=False,
    ),
]


def _stack() -> ModuleType:
    """The module that does the work: an extra, absent where only workers run."""
    try:
        from localstack import stack
    except ModuleNotFoundError as error:
        fail(
            f"the local stack is not installed ({error.name} is missing): pip install 'siltstone[local]'",
            Exit.UNAVAILABLE,
        )
    return stack


def _not_running(folder: Path) -> NoReturn:
    fail(f"the stack in {folder} is not all running; start it with `siltstone stack up`", Exit.UNAVAILABLE)


@app.command()
def up(folder: Folder = None) -> None:
    """Start what is not running, and wait until it answers; a second `up` finds the first."""
    stack = _stack()
    place = folder or stack.default_folder()
    try:
        addresses = stack.up(place, say=say)
    except stack.StackError as error:
        fail(str(error), Exit.UNAVAILABLE)
    say(f"Kafka     {addresses.kafka_bootstrap_servers}")
    say(f"Postgres  {addresses.database_url.rpartition('@')[2]}")
    say(f"data      {place}")
    option = "" if folder is None else f" --folder {shlex.quote(str(folder))}"
    say(f'for other commands, in this shell: eval "$(siltstone stack env{option})"')


@app.command()
def down(
    folder: Folder = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete all of its data too.")] = False,  # noqa: FBT002
) -> None:
    """Stop both parts; their data stays, and the next `up` has the same addresses."""
    stack = _stack()
    try:
        stack.down(folder or stack.default_folder(), delete=delete, say=say)
    except stack.StackError as error:
        fail(str(error), Exit.UNAVAILABLE)


@app.command()
def status(
    folder: Folder = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.table,
) -> None:
    """What runs, where and since when; exit code 5 when a part does not run."""
    stack = _stack()
    try:
        found = stack.status(folder or stack.default_folder())
    except stack.StackError as error:
        fail(str(error), Exit.UNAVAILABLE)
    rows = [
        {
            "part": part.name,
            "state": "running" if part.running else "stopped",
            "address": part.address,
            "pid": part.pid,
            "since": part.since and part.since.isoformat(timespec="seconds"),
        }
        for part in (found.kafka, found.postgres)
    ]
    print_rows(rows, ["part", "state", "address", "pid", "since"], output)
    if not found.running:
        fail(
            f"the stack in {found.folder} is not all running; start it with `siltstone stack up`",
            Exit.UNAVAILABLE,
        )


@app.command()
def env(folder: Folder = None) -> None:
    """Lines that export the stack's addresses to a shell; exit code 5 when it is not up."""
    stack = _stack()
    try:
        found = stack.status(folder or stack.default_folder())
    except stack.StackError as error:
        fail(str(error), Exit.UNAVAILABLE)
    if found.addresses is None:
        fail(
            f"the stack in {found.folder} is not all running; start it with `siltstone stack up`",
            Exit.UNAVAILABLE,
        )
    for name, value in found.addresses.environment().items():
        stdout.print(f"export {name}={shlex.quote(value)}", markup=False)
