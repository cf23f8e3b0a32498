"""Make the pages that say what the code says: `python -m docs.generate`. tests/docs fails when one is out of date."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr
from sqlalchemy import Table

from contracts.event_type import TIME, EventType, Family
from contracts.fields import Data, kinds_of, required_of
from contracts.registry import EVENT_TYPES, topic_of
from contracts.schemas import fields_schema, meaning_of, schema_of
from docs.reasons import GRANTS, INDEX_REASONS
from persistence.columns import metadata
from persistence.logs import LOG_BY_NAME
from persistence.states import STATE_BY_NAME
from persistence.tables import LOG_TABLES, STATE_TABLES
from workers.cli.main import app
from workers.cli.terminal import Exit
from workers.metrics import Metrics
from workers.settings import FILE_SUFFIX, Settings, is_secret, variable_of

FOLDER = Path(__file__).parent
HEADER = "<!-- Made by `python -m docs.generate`; edit the code instead. -->\n"


def main() -> None:
    """Write every page that differs."""
    for name, page in PAGES.items():
        path, text = FOLDER / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(FOLDER.parent)}")


def table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table; nothing when there are no rows."""
    listed = list(rows)
    if listed:
        yield ""
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        for row in listed:
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def page(title: str, intro: str, body: Iterator[str]) -> str:
    """A whole page."""
    lines = [HEADER, f"# {title}", "", intro, *body]
    text = "\n".join(lines).strip() + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


# Events


def events() -> str:
    """docs/events.md."""
    intro = (
        "Every event is a [CloudEvent](https://cloudevents.io) 1.0 in structured JSON mode, one a record, keyed "
        "`<tenantid>/<subject>`. Unknown attributes and unknown fields of `data` are kept, not refused. An absent "
        "field leaves its column as it is; null clears it, and is refused for a required field. A value is at most "
        "1 MiB, nested at most 64 deep. `siltstone schemas` prints the same as JSON Schema."
    )
    return page("Events", intro, _events())


def _events() -> Iterator[str]:
    yield "\n## Attributes"
    schema = schema_of(next(iter(EVENT_TYPES.values())))
    rows = []
    for name, said in schema["properties"].items():
        limits = "the event's type, below" if name == "type" else limits_of(said)
        rows.append((f"`{name}`", "yes" if name in schema["required"] else "no", limits, said["description"]))
    yield from table(("attribute", "required", "limits", "meaning"), rows)
    for family in Family:
        yield f"\n## {family.value.capitalize()}\n\nTopic `{topic_of(family)}`, dead letters `dlq.{topic_of(family)}`."
        for kind in (k for k in EVENT_TYPES.values() if k.family is family):
            yield from _event(kind)


def _event(kind: EventType) -> Iterator[str]:
    yield f"\n### `{kind.name}`\n\n{meaning_of(kind)}\n"
    states = " and ".join(f"[`{name}`](tables.md#{name})" for name in (kind.about, kind.also) if name)
    log = LOG_BY_NAME[kind.log]
    yield f"Subject: the {kind.about}'s id. Log: [`{log.name}`](tables.md#{log.name}). State: {states}."
    if kind.replaces:
        yield "It replaces all of its fields: those that are absent are cleared."
    if kind.fills:
        filled = ", ".join(f"`{name}`" for name in kind.fills)
        yield f"It fills {filled} of the {kind.about} until an event that says so comes."
    if implied := [f"`{name}` = {_implied(value)}" for name, value in kind.implies.items()]:
        yield f"Implied, unless it carries them: {', '.join(implied)}."
    yield from _fields(kind.data)
    if kind.changes is not None:
        yield f"\n`{kind.changes_field}` changes the {kind.about}:"
        yield from _fields(kind.changes)


def _fields(data: type[Data]) -> Iterator[str]:
    schema, kinds = fields_schema(data), kinds_of(data)
    required = {name for name in required_of(data)}
    columns = {said: name for name, said in zip(data.__struct_fields__, data.__struct_encode_fields__, strict=True)}
    rows = []
    for name, said in schema["properties"].items():
        column = columns[name]
        stored = f"; stored as `{column}`" if column != name else ""
        rows.append(
            (f"`{name}`", "yes" if column in required else "no", kinds[column], limits_of(said) + stored)
        )
    if not rows:
        yield "\nIts `data` is an empty object.\n"
    yield from table(("field", "required", "column", "limits"), rows)


def limits_of(schema: Mapping[str, Any]) -> str:
    """What a schema allows, in words."""
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(options) == 1:
        return limits_of(options[0])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    if options:
        return "a number, or the same as text"
    if schema.get("format") == "date-time":
        return "RFC 3339 with an offset"
    match schema.get("type"):
        case "string":
            return _text_limits(schema)
        case "integer":
            return f"{schema['minimum']} to {schema['maximum']}"
        case "object":
            return "an object"
        case "boolean":
            return "true or false"
        case _:
            return "any JSON"


def _text_limits(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    said = "text" if most is None else f"at most {most} characters"
    said = f"{least} to {most} characters" if least and most is not None else said
    pattern = schema.get("pattern", "")
    return f"{said}, `{pattern}`" if pattern and len(pattern) < 60 else said  # noqa: PLR2004 - what a cell shows well


def _implied(value: object) -> str:
    if value is TIME:
        return "the event's time"
    return {None: "null", True: "true", False: "false"}.get(value, f"`{value}`") if value is None or isinstance(
        value, bool
    ) else f"`{value}`"


# Tables


def tables() -> str:
    """docs/tables.md."""
    intro = (FOLDER / "tables.intro.md").read_text(encoding="utf-8").strip()
    return page("Tables", intro, _tables())


def _tables() -> Iterator[str]:
    for title, chosen in (
        ("Logs", LOG_TABLES),
        ("States", STATE_TABLES),
        ("Beside them", {n: t for n, t in metadata.tables.items() if n not in LOG_TABLES and n not in STATE_TABLES}),
    ):
        yield f"\n## {title}"
        for name in chosen:
            yield from _table(metadata.tables[name])


def _table(one: Table) -> Iterator[str]:
    yield f"\n### {one.name}\n\n{one.comment}."
    state = STATE_BY_NAME.get(one.name)
    rows = []
    for column in one.columns:
        merged = state.by_name.get(column.name) if state else None
        comment = (column.comment or "").removesuffix(f" ({merged.rule.value})" if merged else "")
        said = ["`" + column.name + "`", str(column.type.compile()), "" if column.nullable else "not null"]
        rows.append([*said, *([merged.rule.value if merged else ""] if state else []), comment])
    merge = ["merge"] if state else []
    yield from table(["column", "type", "null", *merge, "meaning"], rows)
    key = ", ".join(f"`{c.name}`" for c in one.primary_key.columns)
    yield f"Key: {key}.\n"
    indexes = []
    for index in sorted(one.indexes, key=lambda i: str(i.name)):
        where = index.dialect_options["postgresql"]["where"]
        columns = ", ".join(str(c.name) for c in index.columns) + (f" where {where}" if where is not None else "")
        indexes.append((f"`{columns}`", INDEX_REASONS[one.name, columns]))
    yield from table(("index", "for"), indexes)
    grants = [(f"`{role}`", on[one.name].lower()) for role, on in GRANTS.items() if one.name in on]
    yield from table(("role", "may"), grants)


# Settings, metrics, commands


def settings() -> str:
    """docs/settings.md."""
    intro = (
        "Environment variables, read once and checked at start; an empty variable is as good as none. "
        f"A secret may also be given as `NAME{FILE_SUFFIX}`, the path of a file that holds it."
    )
    return page("Settings", intro, _settings())


def _settings() -> Iterator[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = "" if default is None or default == "" else f"`{str(default).lower() if default is False else default}`"
        secret = f"; also `{variable_of(name)}{FILE_SUFFIX}`" if is_secret(name) else ""
        rows.append((f"`{variable_of(name)}`", shown, (field.description or "") + secret))
    yield from table(("variable", "default", "meaning"), rows)


def metrics() -> str:
    """docs/metrics.md."""
    intro = (
        "`/metrics` on `SILTSTONE_HTTP_PORT` gives these in the Prometheus text format; counters end in `_total`, "
        "histograms in `_bucket`, `_sum` and `_count`."
    )
    return page("Metrics", intro, _metrics())


def _metrics() -> Iterator[str]:
    rows = []
    for name, metric in vars(Metrics()).items():
        if name != "registry":
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - no public name for it
            rows.append((f"`{metric._name}`", metric._type, labels, metric._documentation))  # noqa: SLF001
    yield from table(("metric", "kind", "labels", "meaning"), rows)


def commands() -> str:
    """docs/commands.md."""
    intro = (
        "Data goes to standard output, messages to standard error. `-o json` and `-o jsonl` are for programs; "
        "`NO_COLOR` is respected."
    )
    return page("Commands", intro, _commands())


def _commands() -> Iterator[str]:
    yield "\n## Exit codes"
    yield from table(("code", "meaning"), [(str(code.value), _EXITS[code]) for code in Exit])
    for path, command in walk(typer.main.get_command(app), "siltstone"):
        yield f"\n## `{path}`\n\n{help_of(command)}"
        rows = []
        for parameter in command.params:
            if parameter.name != "help":
                rows.append((f"`{names_of(parameter)}`", _default(parameter), getattr(parameter, "help", None) or ""))
        yield from table(("argument or option", "default", "meaning"), rows)


_EXITS: Mapping[Exit, str] = {
    Exit.DONE: "done",
    Exit.UNEXPECTED: "unexpected: a defect, or a worker that stopped; the message says which",
    Exit.USAGE: "the command was not understood, or a setting cannot be used",
    Exit.NOT_FOUND: "what was asked for is not there",
    Exit.SOME_FAILED: "some of it failed; each is named",
    Exit.UNAVAILABLE: "a service is unavailable",
    Exit.CHECK_FAILED: "a check failed",
}


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below `command`, with the words that call it; groups are their commands."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from walk(child, f"{path} {name}")


def help_of(command: Any) -> str:
    """A command's help, as one paragraph."""
    return " ".join((command.help or "").split())


def names_of(parameter: Any) -> str:
    """How an argument or option is written."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return name if parameter.required else f"[{name.strip('[]')}]"
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    if default is None or default in (False, (), []) or callable(default):
        return ""
    return f"`{getattr(default, 'value', str(default).lower() if default is True else default)}`"


PAGES: Mapping[str, Callable[[], str]] = {
    "events.md": events,
    "tables.md": tables,
    "settings.md": settings,
    "metrics.md": metrics,
    "commands.md": commands,
}

if __name__ == "__main__":
    sys.exit(main())
