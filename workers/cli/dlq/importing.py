"""`siltstone dlq import`: the lines of `siltstone dlq export`, into the index of another installation."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from contracts.record import Message
from contracts.registry import TOPIC_STEM
from persistence.roles import OPERATOR
from producers.event_lines import lines_of
from workers.cli.database import with_database
from workers.cli.dlq.actor import ACTOR, actor_of
from workers.cli.dlq.rendering import counted
from workers.cli.terminal import Exit, fail, progress, say

if TYPE_CHECKING:
    from persistence.database import Database
    from persistence.letters import Letter
    from workers.settings import Settings


BATCH = 500  # letters in one transaction

Headers = list[tuple[str, bytes | None]]


class Line(msgspec.Struct):
    """A line of an export, as far as it means anything elsewhere; bytes are base64."""

    id: uuid.UUID
    status: Literal["dead", "redriving", "resolved", "parked", "discarded"]
    topic: str
    partition: int
    offset: int
    consumer_group: str
    reason: str
    stage: str
    error: str
    record_timestamp: int
    first_failed_at: datetime
    last_failed_at: datetime
    headers: Headers
    tenant_id: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    subject: str | None = None
    exception: str | None = None
    sqlstate: str | None = None
    source: str = "siltstone"
    key_base64: bytes | None = None
    value_base64: bytes | None = None
    is_mended: bool = False
    mended_key_base64: bytes | None = None
    mended_value_base64: bytes | None = None
    mended_headers: Headers | None = None


_decoder = msgspec.json.Decoder(Line)


def import_letters(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `dlq export` wrote; - for standard input.")],
    actor: ACTOR = None,
) -> None:
    """Letters that were exported elsewhere, ready to be mended and sent here; the same file again changes nothing.

    Resolved letters are left out, and one that was on its way is dead. Topics take this installation's prefix.
    """
    from persistence import letter_actions

    who = actor_of(actor)

    async def run(read: Settings, database: Database) -> tuple[int, int]:
        taken = known = 0
        lines = _lines(file)
        with progress("importing", None) as bar:
            while batch := list(islice(lines, BATCH)):
                async with database.transaction() as connection:
                    for line in batch:
                        is_new = await letter_actions.take_in(
                            connection, _letter(line, read.topic_prefix), _status(line), _mended(line), who
                        )
                        taken, known = taken + is_new, known + (not is_new)
                bar.advance(bar.task_ids[0], len(batch))
        return taken, known

    taken, known = with_database(OPERATOR, run)
    say(f"{counted(taken)} imported" + (f"; {known} are or were here already" if known else ""))


def _lines(file: Path) -> Iterator[Line]:
    """The letters of a file that are not resolved; ends the command at a line that is none."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened:
            for number, text in enumerate(lines_of(opened), 1):
                line = _line(text, number)
                if line.status != "resolved":
                    yield line
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", Exit.USAGE)


def _line(text: bytes, number: int) -> Line:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fail(
            f"line {number} is no letter of an export: {str(error)[:200]}; mend it and import the file again: "
            "what is imported stays",
            Exit.SOME_FAILED,
        )


def _letter(line: Line, prefix: str) -> Letter:
    from persistence.letters import Letter

    stem, _, family = line.topic.rpartition(".")
    is_ours = stem.endswith(TOPIC_STEM)
    return Letter(
        id=line.id,
        tenant_id=line.tenant_id,
        topic=f"{prefix}{TOPIC_STEM}.{family}" if is_ours else line.topic,
        partition=line.partition,
        offset=line.offset,
        consumer_group=line.consumer_group,
        event_type=line.event_type,
        event_id=line.event_id,
        subject=line.subject,
        reason=line.reason,
        stage=line.stage,
        error=line.error,
        exception=line.exception,
        sqlstate=line.sqlstate,
        key=line.key_base64,
        value=line.value_base64,
        header_names=[name for name, _ in line.headers],
        header_values=[text for _, text in line.headers],
        record_timestamp=line.record_timestamp,
        letter_topic="import",
        letter_partition=0,
        letter_offset=-1,
        failed_at=line.last_failed_at,
        redrive_count=0,
        source=line.source,
    )


def _status(line: Line) -> str:
    return "dead" if line.status == "redriving" else line.status


def _mended(line: Line) -> Message | None:
    if not line.is_mended:
        return None
    return Message(line.mended_key_base64, line.mended_value_base64, tuple(line.mended_headers or ()))
