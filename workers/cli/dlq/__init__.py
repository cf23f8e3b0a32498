"""`siltstone dlq`: a file for each command."""

import typer

from workers.cli.dlq.listing import list_letters
from workers.cli.dlq.show import show

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Records that could not be stored."""


app.command("list")(list_letters)
app.command()(show)
