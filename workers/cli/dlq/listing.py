"""`siltstone dlq list`, and the role that a reading command has."""

from __future__ import annotations

import base64
import binascii
import shlex
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from contracts.event import EPOCH, microseconds
from persistence.letter_search import Selection
from persistence.roles import OPERATOR, READER
from workers.cli.database import with_database
from workers.cli.dlq.selecting import selecting
from workers.cli.terminal import Exit, Output, fail, print_rows, say

if TYPE_CHECKING:
    import asyncpg

    from persistence.database import Database
    from persistence.letter_reads import Place
    from workers.settings import Settings


T = TypeVar("T")
_TIME_BYTES, _ID_BYTES = 8, 16  # of a cursor; the rest is a checksum


@selecting
def list_letters(
    selection: Selection,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where a list ended, as it said.")] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Dead letters, newest first; `-o jsonl` has every field but the bytes.

    With one --tenant it reads as that tenant does; letters whose tenant could not be read are never among them.
    """
    from persistence import letter_reads
    from persistence.letter_reads import Place

    place = None if after is None else place_of(after)

    async def run(read: Settings, connection: asyncpg.Connection) -> tuple[str, list[dict[str, Any]]]:
        return read.topic_prefix, await letter_reads.page(connection, selection, limit + 1, place)

    prefix, found = with_letters(selection, run)
    shown = found[:limit]
    if output is not Output.table:
        print_rows(shown, [], output)
    elif shown:
        columns = ["id / record", "reason / tenant", "failed at / status"]
        print_rows([dict(zip(columns, _cells(letter, prefix), strict=True)) for letter in shown], columns, output)
    else:
        say("no dead letters")
    if len(found) > limit:
        last = shown[-1]
        say(f"there are more: {_next_command(cursor_of(Place(last['last_failed_at'], last['id'])))}")


def with_letters(selection: Selection, command: Callable[[Settings, asyncpg.Connection], Awaitable[T]]) -> T:
    """Run `command` in a reading transaction: as the tenant's reader when the selection has exactly one tenant."""
    from persistence.reads import as_tenant

    tenant = selection.tenants[0] if len(set(selection.tenants)) == 1 else None

    async def run(read: Settings, database: Database) -> T:
        if tenant is not None:
            async with as_tenant(database, tenant) as connection:
                return await command(read, connection)
        async with database.transaction(readonly=True) as connection:
            return await command(read, connection)

    return with_database(OPERATOR if tenant is None else READER, run)


def cursor_of(place: Place) -> str:
    """A place in the list as 36 characters."""
    place_bytes = microseconds(place.last_failed_at).to_bytes(_TIME_BYTES, "big", signed=True) + place.id.bytes
    return base64.urlsafe_b64encode(place_bytes + _checksum(place_bytes)).decode()


def place_of(cursor: str) -> Place:
    """The place that a cursor says; ends the command when it is none."""
    from persistence.letter_reads import Place

    try:
        decoded = base64.b64decode(cursor, altchars=b"-_", validate=True)
        time, rest = decoded[:_TIME_BYTES], decoded[_TIME_BYTES:]
        place = Place(
            EPOCH + timedelta(microseconds=int.from_bytes(time, "big", signed=True)),
            uuid.UUID(bytes=rest[:_ID_BYTES]),
        )
    except (ValueError, OverflowError):
        place = None
    if place is None or cursor_of(place) != cursor:
        fail(f"--after {cursor[:64]!a} is no cursor: copy the command that the list before it ended with", Exit.USAGE)
    return place


def _checksum(place_bytes: bytes) -> bytes:
    return binascii.crc32(place_bytes).to_bytes(4, "big")[1:]


def _next_command(cursor: str) -> str:
    """This command as it was typed, going on after a cursor."""
    typed: list[str] = []
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        if argument == "--after":
            next(arguments)
        elif not argument.startswith("--after="):
            typed.append(argument)
    return shlex.join(["siltstone", *typed, "--after", cursor])


def _cells(letter: Mapping[str, Any], prefix: str) -> tuple[str, str, str]:
    """Two lines for each letter, so that its id stays whole in 80 columns."""
    record = f"{letter['topic'].removeprefix(prefix)}/{letter['partition']}@{letter['offset']}"
    failed_at = letter["last_failed_at"].astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    return (
        f"{letter['id']}\n  {record}",
        f"{letter['reason']}\n  {letter['tenant_id'] or '-'}",
        f"{failed_at}\n  {letter['status']}",
    )
