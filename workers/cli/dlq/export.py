"""`siltstone dlq export`: letters as JSON lines, with all that it takes to put their records back elsewhere.

One object a line, oldest last refusal first. Bytes are base64 (RFC 4648), times RFC 3339; null is what is unknown,
or was null: a tombstone's value, a null header.

    id, status, reason, stage, error, exception, sqlstate, source, redrive_count, first_failed_at, last_failed_at
    tenant_id, event_type, event_id, subject: as far as they could be read
    topic, partition, offset, record_timestamp (ms), consumer_group: the record, and who refused it
    letter_topic, letter_partition, letter_offset: where the letter lies (offset -1: its value was too large for it)
    key_base64, value_base64, headers: the record; headers are a list of [name, base64] in order
    is_mended, mended_key_base64, mended_value_base64, mended_headers: when true, a redrive sends these instead
    resolved_at, resolution, resolved_log, event_uid: what became of it
    trips: every refusal: redrive_count, topic, partition, offset, reason, stage, error, failed_at
"""

from __future__ import annotations

import base64
import json
import os
import sys
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from persistence.letter_search import Selection
from workers.cli.dlq.listing import with_letters
from workers.cli.dlq.rendering import counted
from workers.cli.dlq.selecting import EVERY, ID, meant, selecting
from workers.cli.terminal import Exit, fail, progress, say

if TYPE_CHECKING:
    import asyncpg

    from workers.settings import Settings


LEFT_OUT = {"phase", "job", "batch", "sent_tenant_id"}  # of this installation's redrives: they mean nothing elsewhere


@selecting
def export(
    selection: Selection,
    letter_id: ID = None,
    every: EVERY = False,  # noqa: FBT002
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file; standard output when absent, or -.")
    ] = None,
) -> None:
    """Letters whole as JSON lines: the record, why it was refused, every trip, and its mended form if there is one.

    FILE appears only when it is complete. With one --tenant it reads as that tenant does.
    """
    from persistence import letter_reads

    selection = meant(selection, letter_id, every=every)
    place = None if to is None or str(to) == "-" else to
    part = None if place is None else place.with_name(place.name + ".part")

    async def run(_: Settings, connection: asyncpg.Connection) -> int:
        written = 0
        with ExitStack() as stack:
            bar = stack.enter_context(progress("exporting", None))
            out = sys.stdout if part is None else stack.enter_context(_opened(part))
            async for letter in letter_reads.exported(connection, selection):
                line = {name: value for name, value in as_json(letter).items() if name not in LEFT_OUT}
                _write(out, json.dumps(line, ensure_ascii=False) + "\n")
                written += 1
                bar.advance(bar.task_ids[0])
            _write(out, "")
        return written

    try:
        written = with_letters(selection, run)
        if part is not None and place is not None:
            part.replace(place)
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    say(f"{counted(written)} exported" + ("" if place is None else f" to {place}"))


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a letter, a trip or an action, for json.dumps: bytes as base64 under *_base64, headers as pairs."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        if "header_values" in name:
            continue
        if "header_names" in name:
            texts = row[name.replace("header_names", "header_values")]
            pairs = None if value is None else [[n, _base64(t)] for n, t in zip(value, texts, strict=True)]
            made[name.replace("header_names", "headers")] = pairs
        elif name.removeprefix("mended_").removesuffix("_before").removesuffix("_after") in {"key", "value"}:
            made[f"{name}_base64"] = _base64(value)
        elif isinstance(value, datetime):
            made[name] = value.isoformat()
        else:
            made[name] = str(value) if isinstance(value, uuid.UUID) else value
    return made


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _opened(place: Path) -> TextIO:
    try:
        return place.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        fail(f"{place} cannot be written: {error.strerror}", Exit.USAGE)


def _write(out: TextIO, text: str) -> None:
    """Write, or end the command: quietly when whoever read standard output has had enough."""
    try:
        out.write(text)
        if not text:
            out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails again at its end
        raise typer.Exit(Exit.UNEXPECTED) from None
    except OSError as error:
        fail(f"the export cannot be written: {error.strerror}", Exit.UNEXPECTED)
