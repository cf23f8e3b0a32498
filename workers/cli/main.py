"""The program `siltstone`: every command, and the one place where the process ends."""

import typer

from workers.cli import stack
from workers.cli.terminal import run

app = typer.Typer(
    help="The durable record of what AI agents did: Kafka events settled into Postgres, once each.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(stack.app, name="stack", help="A local Kafka and Postgres, without Docker.")


def main() -> None:
    """Entry point of the program."""
    run(app)
