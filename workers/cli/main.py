"""The program `siltstone`: every command, and the one place where the process ends."""

import sys
from collections.abc import Iterable
from importlib import import_module

import typer

from workers.cli.terminal import run

COMMANDS = {
    "demo": "workers.cli.demo:demo",
    "stack": "workers.cli.stack:app",
    "db": "workers.cli.db:app",
    "topics": "workers.cli.topics:app",
    "tenants": "workers.cli.tenants:app",
    "worker": "workers.cli.worker:worker",
    "publish": "workers.cli.publish:publish",
    "verify": "workers.cli.verify:verify",
    "import": "workers.cli.imports:app",
    "wrap": "workers.cli.wrap:wrap",
    "spool": "workers.cli.wrap:spool",
    "schemas": "workers.cli.schemas:schemas",
    "dlq": "workers.cli.dlq:app",
}
"""Where each is: a function, or a group of commands."""
HELP = "The durable record of what AI agents did: Kafka events settled into Postgres, once each."


def program(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with these commands alone: a command that is named needs no other."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(module), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:  # what follows the command that is wrapped is that one's own
            app.command(name, context_settings={"allow_interspersed_args": name != "wrap"})(command)
    return app


def _root() -> None:
    """As Typer needs it: else a program of one command is that command."""


def main() -> None:
    """Entry point of the program."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    run(program([first] if first in COMMANDS else COMMANDS))
