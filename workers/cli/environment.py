"""The settings of a command, or an error that names the variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.cli.terminal import Exit, fail

if TYPE_CHECKING:
    from workers.settings import Settings


def settings() -> Settings:
    """Read the environment once."""
    from workers.settings import InvalidSettings, load

    try:
        return load()
    except InvalidSettings as error:
        fail(str(error), Exit.USAGE)
