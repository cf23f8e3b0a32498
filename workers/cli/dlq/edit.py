"""`siltstone dlq edit`."""

from pathlib import Path
from typing import Annotated

import typer

from persistence.letter_search import Selection
from persistence.roles import OPERATOR
from workers import mending
from workers.cli.database import with_database
from workers.cli.dlq import changes
from workers.cli.dlq.actions import WHY
from workers.cli.dlq.actor import ACTOR, actor_of
from workers.cli.dlq.selecting import EVERY, ID, meant, selecting
from workers.cli.terminal import Exit, fail
from workers.mending import Step


def _option(name: str, text: str, metavar: str | None = None) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(name, help=text, metavar=metavar, rich_help_panel="What to change")
    return made


@selecting
def edit(
    selection: Selection,
    letter_id: ID = None,
    every: EVERY = False,  # noqa: FBT002
    original: Annotated[bool, _option("--original", "First back to what came.")] = False,  # noqa: FBT002
    file: Annotated[Path | None, _option("--file", "The whole value, from a file; - for standard input.")] = None,
    strip_frame: Annotated[bool, _option("--strip-frame", "Drop a schema registry's 5 bytes.")] = False,  # noqa: FBT002
    decode_as: Annotated[
        str | None,
        _option("--decode-as", "Read what is no UTF-8 JSON as latin-1, cp1252, utf-16 …", "NAME"),
    ] = None,
    replace_nul: Annotated[
        str | None, _option("--replace-nul", 'In place of U+0000 and of half surrogate pairs, such as "".', "TEXT")
    ] = None,
    replace_nan: Annotated[
        str | None, _option("--replace-nan", "In place of NaN and Infinity, such as null.", "JSON")
    ] = None,
    copies: Annotated[
        list[str] | None, _option("--copy", "Copy one place to another, such as data.id=id.", "FROM=TO")
    ] = None,
    id_from_letter: Annotated[bool, _option("--id-from-letter", "An event without id gets the letter's.")] = False,  # noqa: FBT002
    time_from_record: Annotated[  # noqa: FBT002
        bool, _option("--time-from-record", "The time is the record's Kafka timestamp.")
    ] = False,
    sets: Annotated[
        list[str] | None, _option("--set", "Set a place; JSON if it is some, else text: data.tags[0]=new.", "PATH=JSON")
    ] = None,
    texts: Annotated[
        list[str] | None, _option("--set-text", "Set a place to a text, such as specversion=1.0.", "PATH=TEXT")
    ] = None,
    unsets: Annotated[list[str] | None, _option("--unset", "Remove what is at a place.", "PATH")] = None,
    drop_bad_headers: Annotated[  # noqa: FBT002
        bool, _option("--drop-bad-headers", "Drop headers that are null or no UTF-8.")
    ] = False,
    drop_headers: Annotated[list[str] | None, _option("--drop-header", "Drop a header.", "NAME")] = None,
    headers: Annotated[list[str] | None, _option("--header", "Set or replace a header.", "NAME=TEXT")] = None,
    key: Annotated[str | None, _option("--key", "Another key.", "TEXT")] = None,
    no_key: Annotated[bool, _option("--no-key", "No key.")] = False,  # noqa: FBT002
    key_from_event: Annotated[bool, _option("--key-from-event", "The key <tenantid>/<subject>.")] = False,  # noqa: FBT002
    check: Annotated[bool, typer.Option(help="Keep only what a worker would take.")] = True,  # noqa: FBT002
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be changed.")] = False,  # noqa: FBT002
    why: WHY = None,
    actor: ACTOR = None,
) -> None:
    """Change what a redrive will send of dead or parked letters; what came is kept, and --original brings it back.

    Changes are made in the order of the options below. With an ID and no change, $VISUAL or $EDITOR opens the value.
    """
    from workers.cli.dlq.editing import Editing

    if sum((key is not None, no_key, key_from_event)) > 1:
        fail("give one of --key, --no-key and --key-from-event", Exit.USAGE)
    steps: list[Step | None] = [
        mending.to_original if original else None,
        mending.value_of(changes.content(file)) if file is not None else None,
        mending.strip_frame if strip_frame else None,
        mending.decode_as(changes.encoding(decode_as)) if decode_as is not None else None,
        mending.replace_unstorable(replace_nul) if replace_nul is not None else None,
        mending.replace_nan(changes.json_of(replace_nan, "--replace-nan")) if replace_nan is not None else None,
        *changes.copies(copies or ()),
        mending.id_from_letter if id_from_letter else None,
        mending.time_from_record if time_from_record else None,
        *changes.sets(sets or (), texts or ()),
        *changes.unsets(unsets or ()),
        mending.drop_bad_headers if drop_bad_headers else None,
        *changes.headers(drop_headers or (), headers or ()),
        mending.key_of(changes.as_bytes(key)) if key is not None else None,
        mending.no_key if no_key else None,
        mending.key_from_event if key_from_event else None,
    ]
    wanted = [step for step in steps if step is not None]
    if not wanted and letter_id is None:
        fail("say what to change, such as --set data.line_number=3; `siltstone dlq edit --help` lists it", Exit.USAGE)
    alone = "--file" if file is not None else "--set id=…" if changes.sets_id(sets or (), texts or ()) else None
    selection = meant(selection, letter_id, every=every)
    work = Editing(selection, wanted, actor_of(actor), why, check=check, dry_run=dry_run, alone=alone)
    with_database(OPERATOR, work.run)
