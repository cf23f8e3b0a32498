"""The options by which every `siltstone dlq` command says which letters it means."""

import functools
import inspect
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from contracts.event_type import Family
from contracts.refusal import Reason, Stage
from contracts.registry import EVENT_TYPES, topic_of
from persistence.letter_search import Selection
from workers.cli.environment import settings
from workers.cli.terminal import Exit, fail

ID = Annotated[str | None, typer.Argument(metavar="ID", help="One letter's id, as `dlq list` prints it.")]
EVERY = Annotated[bool, typer.Option("--all", help="Every letter there is.")]
STATUSES = ("dead", "redriving", "resolved", "parked", "discarded")
_AGO = re.compile(r"^([0-9]{1,6})(m|h|d)$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _option(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel="Which letters")


OPTIONS: dict[str, Any] = {
    "ids": Annotated[list[str] | None, _option("--id", "A letter's id; may be given more than once, as all of these.")],
    "reasons": Annotated[list[str] | None, _option("--reason", "A reason of docs/dead-letters.md.")],
    "stages": Annotated[list[Stage] | None, _option("--stage", "Where it was refused.")],
    "topics": Annotated[list[str] | None, _option("--topic", "Where its record came from; a family means its topic.")],
    "partitions": Annotated[list[int] | None, _option("--partition", "A partition of that topic.")],
    "tenants": Annotated[list[str] | None, _option("--tenant", "A tenant's letters alone.")],
    "types": Annotated[list[str] | None, _option("--type", "An event type, such as session.started.")],
    "subjects": Annotated[list[str] | None, _option("--subject", "The id of the thing that the event is about.")],
    "statuses": Annotated[list[str] | None, _option("--status", "One of: " + ", ".join(STATUSES) + ".")],
    "since": Annotated[str | None, _option("--since", "Refused since then: an RFC 3339 time, or 30m, 2h, 7d ago.")],
    "until": Annotated[str | None, _option("--until", "Refused before then.")],
    "is_mended": Annotated[bool, _option("--mended", "Edited letters alone.")],
    "text": Annotated[str | None, _option("--text", "Found in the error, the event's id or subject, or in the value.")],
}


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose first parameter is `selection: Selection` the options that make one."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False if name == "is_mended" else None, annotation=annotation
        )
        for name, annotation in OPTIONS.items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in OPTIONS}
        command(selection_of(**chosen), **given)

    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    run.__signature__ = inspect.Signature([*keyword_only, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*keyword_only, *options)}
    return run


def selection_of(
    *,
    ids: Sequence[str] | None = None,
    reasons: Sequence[str] | None = None,
    stages: Sequence[Stage] | None = None,
    topics: Sequence[str] | None = None,
    partitions: Sequence[int] | None = None,
    tenants: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    text: str | None = None,
    is_mended: bool = False,
) -> Selection:
    """A selection from what was typed; ends the command with a clear message when it makes none."""
    return Selection(
        ids=[letter_id(text) for text in ids or ()],
        reasons=_of(reasons, [*Reason, "unknown"], "reason"),
        stages=[stage.value for stage in stages or ()],
        topics=[_topic(name) for name in topics or ()],
        partitions=list(partitions or ()),
        tenants=list(tenants or ()),
        types=[event_type(name) for name in types or ()],
        subjects=list(subjects or ()),
        statuses=_of(statuses, STATUSES, "status"),
        since=moment(since, "--since") if since else None,
        until=moment(until, "--until") if until else None,
        text=text,
        is_mended=is_mended,
    )


def letter_id(text: str) -> uuid.UUID:
    """The id of a letter, as `dlq list` prints it."""
    try:
        return uuid.UUID(text)
    except ValueError:
        fail(f"{text[:64]!a} is no id of a letter; `siltstone dlq list` shows them", Exit.USAGE)


def meant(selection: Selection, one: str | None, *, every: bool) -> Selection:
    """The letters that a command is for: one by its id, a selection, or all of them by name."""
    if one is not None:
        if every or not selection.is_empty:
            fail("give either one letter's ID or a selection, not both", Exit.USAGE)
        return replace(selection, ids=[letter_id(one)])
    if selection.is_empty and not every:
        fail("say which letters: an ID, a selector such as --reason, or --all", Exit.USAGE)
    return selection


def moment(text: str, option: str, now: datetime | None = None) -> datetime:
    """An RFC 3339 time, or so long ago."""
    if ago := _AGO.match(text):
        return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago.group(2)]: int(ago.group(1))})
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text[:64]!a} is no time: write 2026-01-31T12:00:00Z, or 30m, 2h, 7d ago", Exit.USAGE)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def event_type(name: str) -> str:
    """`session.started` as the full name of its first version; a full name as it is."""
    full = f"siltstone.{name}.v1"
    return full if full in EVENT_TYPES else name


def _topic(name: str) -> str:
    return topic_of(Family(name), settings().topic_prefix) if name in set(Family) else name


def _of(given: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    for name in given or ():
        if name not in known:
            fail(f"{name[:64]!a} is no {what}; they are: {', '.join(known)}", Exit.USAGE)
    return list(given or ())
