"""`siltstone dlq`: a file for each command."""

import typer

from workers.cli.dlq.actions import discard, park, purge, restore
from workers.cli.dlq.edit import edit
from workers.cli.dlq.export import export
from workers.cli.dlq.importing import import_letters
from workers.cli.dlq.listing import list_letters
from workers.cli.dlq.reading import read
from workers.cli.dlq.redrive import redrive
from workers.cli.dlq.show import show
from workers.cli.dlq.stats import stats

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Records that could not be stored."""


app.command("list")(list_letters)
app.command()(show)
app.command()(stats)
app.command()(export)
app.command("import")(import_letters)
app.command()(read)
app.command()(redrive)
app.command()(edit)
app.command()(park)
app.command()(discard)
app.command()(restore)
app.command()(purge)
