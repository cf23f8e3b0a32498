"""Who acts on dead letters."""

import getpass
from typing import Annotated

import typer

from workers.cli.terminal import Exit, fail

ACTOR = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who does it, for the history; else you.")]


def actor_of(given: str | None) -> str:
    """The name that the history keeps: what was given, else the user of the operating system."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        fail("the operating system has no name for this user; say who acts with --as NAME", Exit.USAGE)
