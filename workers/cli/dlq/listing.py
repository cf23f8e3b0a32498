"""`siltstone dlq list`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from persistence import letters
from persistence.database import OPERATOR, Database
from workers.cli.database import with_database
from workers.cli.terminal import Output, print_rows, say
from workers.settings import Settings


def list_letters(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """The newest dead letters; `-o jsonl` has every field but the bytes."""

    async def run(read: Settings, database: Database) -> tuple[str, list[dict[str, Any]]]:
        async with database.transaction(readonly=True) as connection:
            return read.topic_prefix, await letters.newest(connection, limit)

    prefix, found = with_database(OPERATOR, run)
    if output is not Output.table:
        print_rows(found, [], output)
        return
    if not found:
        say("no dead letters")
        return
    columns = ["id / record", "reason / tenant", "failed at / status"]
    print_rows([dict(zip(columns, _cells(letter, prefix), strict=True)) for letter in found], columns, output)
    if len(found) == limit:
        say(f"the newest {limit}; --limit shows more")


def _cells(letter: Mapping[str, Any], prefix: str) -> tuple[str, str, str]:
    """Two lines for each letter, so that its id stays whole in 80 columns."""
    record = f"{letter['topic'].removeprefix(prefix)}/{letter['partition']}@{letter['offset']}"
    failed_at = letter["last_failed_at"].strftime("%Y-%m-%d %H:%M")
    return (
        f"{letter['id']}\n  {record}",
        f"{letter['reason']}\n  {letter['tenant_id'] or '-'}",
        f"{failed_at}\n  {letter['status']}",
    )
