"""A command imports what it works with when it runs, and nothing that it does not use: an operator waits for each."""

import os
import subprocess
import sys

import pytest

KAFKA = {"aiokafka", "faststream"}
POSTGRES = {"asyncpg", "sqlalchemy", "alembic"}
OTHERS = {
    "pydantic",
    "pydantic_settings",
    "structlog",
    "yaml",
    "pyte",
    "re2",
    "tree_sitter",
    "defusedxml",
    "localstack",
}
NOWHERE = {"DATABASE_URL": "postgresql+asyncpg://nobody:x@127.0.0.1:1/none"}
EVERY_HELP = """
import sys
from docs.pages.commands import program, walk
sys.stdout = open("/dev/null", "w")
for path, command in walk(program(), "siltstone"):
    try:
        command.main(["--help"], prog_name=path, standalone_mode=False)
    except SystemExit:
        pass
sys.stdout = sys.__stdout__
print(*{name.partition(".")[0] for name in sys.modules})
"""
RUN = """
import atexit, sys
atexit.register(lambda: print(*{name.partition(".")[0] for name in sys.modules}))
from workers.cli.main import main
main()
"""


def loaded(code: str, *arguments: str, **environment: str) -> set[str]:
    """The names of the packages that an interpreter has imported in the end."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | NOWHERE | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_no_help_imports_what_a_command_works_with() -> None:
    """Of all commands together, in one interpreter."""
    assert loaded(EVERY_HELP) & (KAFKA | POSTGRES | OTHERS) == set()


def test_completion_imports_nothing_of_it_either() -> None:
    """A shell waits for it at every tab."""
    words = {"_SILTSTONE_COMPLETE": "complete_bash", "COMP_WORDS": "siltstone dlq li", "COMP_CWORD": "2"}
    found = loaded(RUN, **words)
    assert "typer" in found
    assert found & (KAFKA | POSTGRES | OTHERS) == set()


@pytest.mark.parametrize(
    "command", [("tenants", "list"), ("dlq", "list"), ("dlq", "stats"), ("dlq", "park", "--all"), ("db", "maintain")]
)
def test_what_asks_postgres_alone_imports_nothing_of_kafka(command: tuple[str, ...]) -> None:
    """Nor of migrations or logs."""
    found = loaded(RUN, *command)
    assert {"asyncpg", "sqlalchemy"} <= found
    assert found & (KAFKA | {"alembic", "structlog", "yaml", "pyte", "re2", "tree_sitter", "localstack"}) == set()


def test_what_asks_kafka_alone_imports_nothing_of_postgres() -> None:
    """The address of a database is checked by what knows such addresses; nothing connects to one."""
    found = loaded(RUN, "topics", "list", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert "aiokafka" in found
    assert found & {"asyncpg", "alembic", "structlog", "faststream", "yaml"} == set()
