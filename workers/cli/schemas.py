"""`siltstone schemas`."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.registry import EVENT_TYPES
from contracts.schemas import as_text, schema_of
from contracts.schemas import schemas as every_schema
from workers.cli.environment import settings
from workers.cli.terminal import Exit, fail, say


def schemas(
    event_type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="One event type, such as session.started; all by default.")
    ] = None,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="Print the AsyncAPI 3 document instead.")] = False,  # noqa: FBT002
    out: Annotated[
        Path | None, typer.Option(help="A folder to write to, one file a type, instead of printing.")
    ] = None,
) -> None:
    """JSON Schemas (2020-12) of the event types, or the AsyncAPI document of the topics."""
    if asyncapi and event_type is not None:
        fail("give either a type or --asyncapi", Exit.USAGE)
    documents = _asyncapi() if asyncapi else _schemas(event_type)
    if out is None:
        _print(next(iter(documents.values())) if asyncapi or event_type else documents)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, document in documents.items():
            (out / f"{name}.json").write_text(as_text(document), encoding="utf-8")
    except OSError as error:
        fail(f"{error.filename or out} cannot be written: {error.strerror}", Exit.UNEXPECTED)
    say(f"wrote {len(documents)} files to {out}")


def _schemas(event_type: str | None) -> dict[str, dict[str, Any]]:
    if event_type is None:
        return every_schema()
    name = event_type if event_type in EVENT_TYPES else f"siltstone.{event_type}.v1"
    if name not in EVENT_TYPES:
        fail(f"no event type {event_type!r}; `siltstone schemas | jq 'keys'` lists them", Exit.NOT_FOUND)
    return {name: schema_of(EVENT_TYPES[name])}


def _asyncapi() -> dict[str, dict[str, Any]]:
    from workers.asyncapi import document

    return {"asyncapi": document(settings(), version("siltstone"))}


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(as_text(document))
