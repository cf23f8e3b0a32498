"""docs/tables.md."""

from collections.abc import Iterator

from alembic.script import ScriptDirectory
from sqlalchemy import Table
from sqlalchemy.engine import make_url

from docs.pages.indexes import INDEX_COSTS, INDEX_REASONS
from docs.pages.markdown import page, table
from persistence import migrate
from persistence.columns import metadata
from persistence.states import STATE_BY_NAME
from persistence.tables import LOG_TABLES, STATE_TABLES

DIALECT = make_url("postgresql+asyncpg://").get_dialect()()

INTRO = """\
Every accepted event makes one row in one log, append-only, and is merged into the state of the thing it is about.
The logs are partitioned by month through `event_uid`, whose first 48 bits are the event's time; `history` holds what
is older than the first month. Row-level security is enabled and forced on every table and partition: `siltstone_reader`
sees the rows of `app.tenant_id` alone, and nothing when it is not set. No role but the owner has a privilege on a
partition. A state column says how it is merged: `last` takes the value of the event that comes last in the order of
events, `min` and `max` the least and greatest, `count` how many events there were.
"""


def grants() -> dict[str, dict[str, str]]:
    """What each role may do, by table, as the migrations granted it."""
    found: dict[str, dict[str, str]] = {}
    for script in reversed(list(ScriptDirectory(str(migrate.scripts())).walk_revisions())):
        for role, tables in getattr(script.module, "GRANTS", {}).items():
            found.setdefault(role, {}).update(tables)
    return found


def tables() -> str:
    """docs/tables.md."""
    return page("Tables", INTRO, _tables())


def _tables() -> Iterator[str]:
    for title, chosen in (
        ("Logs", LOG_TABLES),
        ("States", STATE_TABLES),
        ("Beside them", {n: t for n, t in metadata.tables.items() if n not in LOG_TABLES and n not in STATE_TABLES}),
    ):
        yield f"\n## {title}"
        for name in chosen:
            yield from _table(metadata.tables[name])
    yield "\n" + INDEX_COSTS


def _table(one: Table) -> Iterator[str]:
    yield f"\n### {one.name}\n\n{one.comment}."
    state = STATE_BY_NAME.get(one.name)
    rows = []
    for column in one.columns:
        merged = state.by_name.get(column.name) if state else None
        comment = (column.comment or "").removesuffix(f" ({merged.rule.value})" if merged else "")
        said = ["`" + column.name + "`", column.type.compile(DIALECT).lower(), "" if column.nullable else "not null"]
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
    may = [(f"`{role}`", on[one.name].lower()) for role, on in grants().items() if one.name in on]
    yield from table(("role", "may"), may)
