"""The settings of a command, or an error that names the variable."""

from workers.cli.terminal import Exit, fail
from workers.settings import InvalidSettings, Settings, load


def settings() -> Settings:
    """Read the environment once."""
    try:
        return load()
    except InvalidSettings as error:
        fail(str(error), Exit.USAGE)
