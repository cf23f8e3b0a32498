"""The program `siltstone`: every command, and the one place where the process ends."""

import typer

from workers.cli import db, dlq, imports, stack, tenants, topics
from workers.cli.demo import demo
from workers.cli.publish import publish
from workers.cli.schemas import schemas
from workers.cli.terminal import run
from workers.cli.verify import verify
from workers.cli.worker import worker
from workers.cli.wrap import spool, wrap

app = typer.Typer(
    help="The durable record of what AI agents did: Kafka events settled into Postgres, once each.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.add_typer(stack.app, name="stack", help="A local Kafka and Postgres, without Docker.")
app.add_typer(db.app, name="db", help="Migrations, partitions and retention.")
app.add_typer(topics.app, name="topics", help="The topics in Kafka.")
app.add_typer(tenants.app, name="tenants", help="Whose events are stored.")
app.command()(worker)
app.command()(publish)
app.command()(verify)
app.add_typer(imports.app, name="import", help="What other tools recorded.")
app.command(context_settings={"allow_interspersed_args": False})(wrap)
app.add_typer(spool, name="spool", help="Sessions that are recorded and not sent yet.")
app.command()(schemas)
app.add_typer(dlq.app, name="dlq", help="Records that could not be stored.")


def main() -> None:
    """Entry point of the program."""
    run(app)
