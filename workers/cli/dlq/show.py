"""`siltstone dlq show`."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.event import Event
from contracts.record import Message
from contracts.refusal import Refusal
from contracts.window import TimeWindow
from persistence.roles import OPERATOR, READER
from workers.cli.database import with_database
from workers.cli.dlq.export import as_json
from workers.cli.dlq.rendering import Fault, fault_of, flat, one_line, pointed, readable
from workers.cli.dlq.selecting import letter_id as id_of
from workers.cli.environment import settings
from workers.cli.terminal import Exit, Output, fail, say, stdout

if TYPE_CHECKING:
    from persistence.database import Database
    from workers.settings import Settings


TIME = "%Y-%m-%d %H:%M:%S"
SHOWN_APART = ("key", "value", "header_names", "header_values")
HIDDEN = {*SHOWN_APART, *(f"mended_{name}" for name in SHOWN_APART), "phase", "batch", "sent_tenant_id"}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A letter, and all that is known about it. `sent` is the record that is shown, `error` what is wrong with it."""

    letter: Row
    trips: list[Row]
    actions: list[Row]
    same_event: list[Row]
    redrive: Row
    sent: Message
    is_mended: bool
    error: str | None

    @property
    def fault(self) -> Fault:
        """Where the error says that the record is wrong."""
        return fault_of(self.error or "", self.sent.value, self.sent.headers)


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The letter's id, as `dlq list` prints it.")],
    raw: Annotated[
        Path | None, typer.Option(help="Write the value, byte for byte, to this file; - for standard output.")
    ] = None,
    original: Annotated[  # noqa: FBT002
        bool, typer.Option("--original", help="The record as it came, when it was edited.")
    ] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """A dead letter: its fields, history, headers, key and value, and what a redrive of it would change.

    The place that its error names is marked. One that was edited is shown as edited.
    """
    shown = _read(id_of(letter_id), original=original)
    if raw is not None:
        _write(shown, raw)
    elif output is Output.table:
        for line in _lines(shown):
            stdout.print(line, markup=False)
    else:
        indent = 2 if output is Output.json else None
        sys.stdout.write(json.dumps(_as_json(shown), ensure_ascii=False, indent=indent, default=str) + "\n")


def _read(letter_id: uuid.UUID, *, original: bool) -> Shown:
    from persistence import letter_reads
    from persistence.letters import message_of
    from workers.admission import judge

    async def run(_: Settings, database: Database) -> tuple[Row, list[Row], list[Row], list[Row]] | None:
        async with database.transaction(readonly=True) as connection:
            letter = await letter_reads.one(connection, letter_id)
            if letter is None:
                return None
            return (
                letter,
                await letter_reads.trips(connection, letter_id),
                await letter_reads.actions(connection, letter_id),
                await letter_reads.same_event(connection, letter_id, letter["tenant_id"], letter["event_id"]),
            )

    found = with_database(OPERATOR, run)
    if found is None:
        fail(f"there is no dead letter {letter_id}; `siltstone dlq list` shows those there are", Exit.NOT_FOUND)
    letter, trips, actions, same_event = found
    read = settings()
    came = message_of(letter)
    sent = message_of(letter, "mended_") if letter["is_mended"] else came
    judged = judge(sent, TimeWindow(read.oldest_time, read.retention_months))
    is_mended = letter["is_mended"] and not original
    if is_mended:
        error = judged.message if isinstance(judged, Refusal) else None
    else:
        error = trips[0]["error"] if letter["is_mended"] and trips else letter["error"]
    return Shown(
        letter=letter,
        trips=trips,
        actions=actions,
        same_event=same_event,
        redrive=_redrive(letter, sent, judged),
        sent=sent if is_mended else came,
        is_mended=is_mended,
        error=error,
    )


def _redrive(letter: Row, sent: Message, judged: Event | Refusal) -> Row:
    """What a redrive would do; read as the reader of the tenant that the record says, when it says one."""
    from persistence.reads import as_tenant
    from workers.cli.dlq.standing import about_of, said_of, standing

    about = about_of(judged, sent, letter)
    if about is None:
        refused = said_of(judged) if isinstance(judged, Refusal) else None
        return {"refused": refused, "is_stored": False, "fields": None, "about": None}

    async def run(_: Settings, database: Database) -> Row:
        async with as_tenant(database, about.tenant_id) as connection:
            return await standing(connection, judged, about)

    return with_database(READER, run)


def _write(shown: Shown, place: Path) -> None:
    """The value's bytes to a file, or to standard output."""
    value = shown.sent.value
    if value is None:
        fail(f"the letter {shown.letter['id']} has no value: its record was a tombstone", Exit.NOT_FOUND)
    if str(place) == "-":
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
        return
    try:
        place.write_bytes(value)
    except OSError as error:
        fail(f"{place} cannot be written: {error.strerror}", Exit.USAGE)
    say(f"{len(value)} bytes written to {place}")


def _as_json(shown: Shown) -> Row:
    letter, fields = shown.letter, shown.redrive["fields"]
    return {
        **as_json({name: value for name, value in letter.items() if name != "phase"}),
        **{f"{name}_text": _text(letter[name]) for name in ("key", "value", "mended_key", "mended_value")},
        "fault": shown.fault._asdict(),
        "trips": [as_json(trip) for trip in shown.trips],
        "actions": [as_json(action) for action in shown.actions],
        "same_event": [as_json(other) for other in shown.same_event],
        "redrive": as_json(shown.redrive) | {"fields": fields and [as_json(field) for field in fields]},
    }


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _lines(shown: Shown) -> Iterator[str]:
    letter = shown.letter
    for name in (n for n in letter if n not in HIDDEN and letter[n] is not None):
        yield f"{name.replace('_', ' '):18}{flat(str(letter[name]))}"
    yield "\nhistory"
    yield from _history(shown)
    if shown.same_event:
        yield f"\nother letters of the same event ({len(shown.same_event)})"
        for other in shown.same_event:
            yield f"  {other['id']}  {other['last_failed_at'].strftime(TIME)}  {other['reason']}  {other['status']}"
    yield "\na redrive"
    yield from _prospects(shown.redrive)
    yield from _record(shown)


def _history(shown: Shown) -> Iterator[str]:
    """Refusals and actions in one list, by time."""
    events = [(t["failed_at"], f"refused     {t['reason']} ({t['stage']}): {t['error']}") for t in shown.trips]
    for action in shown.actions:
        why = f": {action['why']}" if action["why"] else ""
        before, after = action["value_before"], action["value_after"]
        sizes = f", value of {_size(before)}, now {_size(after)}" if before != after else ""
        events.append((action["at"], f"{action['action']:11} by {action['actor']}{why}{sizes}"))
    if shown.letter["resolved_at"] is not None:
        what = f"resolved    {shown.letter['resolution']}: {shown.letter['resolved_log']} {shown.letter['event_uid']}"
        events.append((shown.letter["resolved_at"], what))
    for at, what in sorted(events, key=lambda event: event[0]):
        yield f"  {at.strftime(TIME)}  {flat(what)}"


def _size(value: bytes | None) -> str:
    return "null" if value is None else f"{len(value)} bytes"


def _prospects(redrive: Row) -> Iterator[str]:
    """What a redrive would do, and what is stored about the same thing."""
    if redrive["is_stored"]:
        yield "  would change nothing: its event is stored"
    elif redrive["refused"]:
        yield f"  would be refused: {flat(redrive['refused'])}"
    else:
        yield "  would be taken, as far as can be told without storing it"
    for field in redrive["fields"] or ():
        since = f" (of {field['stored_from'].strftime(TIME)})" if field["stored_from"] else ""
        thing = flat(f"{field['state']} {field['id']}")
        yield f"  {thing}  {field['field']:20} {field['verdict']}{since}"
    if redrive["about"] is not None:
        latest = f", the latest of {redrive['latest'].strftime(TIME)}" if redrive["latest"] else ""
        thing = flat(f"{redrive['about']} {redrive['subject']}")
        yield f"  {redrive['later_events']} later events about {thing} are stored{latest}"


def _record(shown: Shown) -> Iterator[str]:
    """Headers, key and value, with what is wrong with them."""
    sent, fault = shown.sent, shown.fault
    note = (shown.error or "").split(" - at `")[0]
    if shown.is_mended:
        yield "\nas edited; --original shows what came"
    yield f"\nheaders ({len(sent.headers)})" if sent.headers else "\nno headers"
    for number, (name, text) in enumerate(sent.headers):
        mark = f"  <-- {flat(note)}" if number == fault.header else ""
        yield f"  {flat(name)}: {'null' if text is None else one_line(text)}{mark}"
    yield "\nno key" if sent.key is None else f"\nkey ({len(sent.key)} bytes)\n  {one_line(sent.key)}"
    if sent.value is None:
        yield "\nno value (a tombstone)"
        return
    if fault.byte is not None:
        yield f"\n{flat(note)}: {pointed(sent.value, fault.byte)}"
    yield f"\nvalue ({len(sent.value)} bytes)\n{readable(sent.value, fault.path, note)}"
