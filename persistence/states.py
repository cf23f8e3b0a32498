"""The states: one row a thing, merged column by column from the events about it, in whatever order they come.

Each declaration reads as the table it makes. `last` takes the value whose event comes last in the order of
events, `min` and `max` the least and greatest, `count` how many events there were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Index, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA

from persistence.columns import TYPES, metadata

FILLFACTOR = 80  # per cent: room for the next version of a row on its own page


class Rule(Enum):
    """How two values of one column become one."""

    last = "last"
    min = "min"
    max = "max"
    count = "count"


@dataclass(frozen=True)
class Column:
    """A merged column. `of`: for `count`, the events counted (all when empty); for `min` and `max`, whether the
    event's time is taken from every event (`every`) or only where a type implies the column.
    """

    name: str
    kind: str
    rule: Rule
    comment: str
    of: tuple[str, ...] = ()
    every: bool = False


def last(name: str, kind: str, comment: str = "") -> Column:
    return Column(name, kind, Rule.last, comment or f"the last known {name}")


def count(name: str, comment: str, *of: str) -> Column:
    return Column(name, "bigint", Rule.count, comment, of)


def first_time(name: str, comment: str) -> Column:
    return Column(name, "timestamptz", Rule.min, comment, every=True)


def last_time(name: str, comment: str) -> Column:
    return Column(name, "timestamptz", Rule.max, comment, every=True)


DELETED = Column("deleted_at", "timestamptz", Rule.min, "when it was first deleted; nothing undoes it")
CREATED = first_time("created_at", "the time of its earliest event")
UPDATED = last_time("updated_at", "the time of its latest event")


@dataclass(frozen=True, eq=False)
class State:
    """One state table, key (tenant_id, `key`)."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...]
    partial: Mapping[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    key: str = "id"

    @cached_property
    def lasts(self) -> tuple[Column, ...]:
        """The columns that need a remembered order; `clock` has an element for each, in this order."""
        return tuple(c for c in self.columns if c.rule is Rule.last)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {c.name: c for c in self.columns}

    def table(self) -> Table:
        """The state's table, for migrations and their check."""
        return Table(
            self.name,
            metadata,
            SqlColumn("tenant_id", Text(), nullable=False, comment="whose it is"),
            SqlColumn(self.key, Text(), nullable=False, comment="with tenant_id, which one it is"),
            *(
                SqlColumn(
                    c.name,
                    TYPES[c.kind],
                    nullable=c.rule is not Rule.count,
                    server_default=text("0") if c.rule is Rule.count else None,
                    comment=f"{c.comment} ({c.rule.value})",
                )
                for c in self.columns
            ),
            SqlColumn(
                "clock",
                ARRAY(BYTEA()),
                nullable=False,
                comment="for each `last` column, in order, the place in the order of events of the value it has",
            ),
            PrimaryKeyConstraint("tenant_id", self.key),
            *(Index(None, *columns) for columns in self.indexes),
            *(
                Index(f"{self.name}_{name}_idx", *columns, postgresql_where=text(where))
                for name, (columns, where) in self.partial.items()
            ),
            comment=self.comment,
            postgresql_with={"fillfactor": FILLFACTOR},
        )


SESSION = State(
    "session",
    "One agent session",
    (
        last("agent_name", "text", "which agent"),
        last("environment", "text"),
        last("state", "text", "started, completed, or as the producer says in between"),
        last("exit_code", "integer"),
        last("started_at", "timestamptz", "when it started"),
        last("ended_at", "timestamptz", "when it completed; null while it is open"),
        last("stdout_log_path", "text"),
        last("stderr_log_path", "text"),
        last("extraction_config_version", "text"),
        last("environment_config_version", "text"),
        last("metadata", "object"),
        last("total_lines_processed", "bigint"),
        last("total_feedback_outcomes", "bigint"),
        last("reported_extraction_events", "bigint", "extractions as the producer counted them"),
        count("extractions", "extractions stored", "extraction.recorded"),
        count("code_blocks", "code blocks stored", "code_block.captured"),
        count("events", "events stored, of every type"),
        CREATED,
        UPDATED,
        DELETED,
    ),
    indexes=(("tenant_id", "agent_name", "started_at"),),
    partial={"open": (("tenant_id", "started_at"), "ended_at IS NULL AND deleted_at IS NULL")},
)

CODE_BLOCK = State(
    "code_block",
    "One block of code, by its digest; who captured it is in code_block_occurrence",
    (
        last("content", "text", "the block's text"),
        last("language", "text"),
        last("parseable", "boolean"),
        count("occurrences", "how often it was captured"),
        first_time("first_seen_at", "when it was first captured"),
        last_time("last_seen_at", "when it was last captured"),
    ),
    indexes=(),
    key="digest",
)

DEFINITION = State(
    "definition",
    "One test, graph, analysis or agent definition",
    (
        last("kind", "text"),
        last("name", "text"),
        last("spec", "object", "the definition itself"),
        last("description", "text"),
        last("spec_yaml", "text"),
        last("canvas_state", "object"),
        last("provider", "text"),
        last("model", "text"),
        last("version", "text", "the author's own version"),
        last("is_active", "boolean", "false when deactivated"),
        count("revisions", "how often it was saved or updated", "definition.saved", "definition.updated"),
        count("events", "events stored, of every type"),
        CREATED,
        UPDATED,
        DELETED,
    ),
    indexes=(("tenant_id", "name"), ("tenant_id", "provider", "model")),
)

RUN = State(
    "run",
    "One run of a definition",
    (
        last("kind", "text"),
        last("status", "text", "pending, running, paused, completed, failed or cancelled"),
        last("definition_id", "text"),
        last("provider", "text"),
        last("model", "text"),
        last("source", "text"),
        last("external_ref", "text"),
        last("input_filename", "text"),
        last("current_stage", "text"),
        last("progress_percent", "integer"),
        last("iterations", "integer"),
        last("started_at", "timestamptz", "when it started"),
        last("completed_at", "timestamptz", "when it finished; null while it runs"),
        last("latency_ms", "bigint"),
        last("duration_ms", "bigint"),
        last("tokens_input", "bigint"),
        last("tokens_output", "bigint"),
        last("cost_usd", "numeric"),
        last("error_message", "text"),
        last("error_info", "json"),
        last("config_snapshot", "json"),
        last("initial_state", "object"),
        last("current_state", "object"),
        last("final_state", "object"),
        last("results_summary", "json"),
        count("nodes", "nodes stored", "node.executed"),
        count("assertions", "assertions stored", "assertion.evaluated"),
        count("files", "files stored", "file.produced"),
        count("events", "events stored, of every type"),
        CREATED,
        UPDATED,
        DELETED,
    ),
    indexes=(
        ("tenant_id", "definition_id", "status", "started_at"),
        ("tenant_id", "source", "started_at"),
        ("tenant_id", "external_ref"),
        ("tenant_id", "model", "started_at"),
    ),
)

EXCEPTION = State(
    "exception",
    "One business exception",
    (
        last("domain", "text"),
        last("type", "text"),
        last("severity", "text", "low, medium, high or critical"),
        last("status", "text", "open, analyzing, resolved or escalated"),
        last("source_system", "text"),
        last("entity", "text"),
        last("amount", "numeric"),
        last("sla_deadline", "timestamptz"),
        last("owner", "text"),
        last("current_playbook_id", "bigint"),
        last("current_step", "integer"),
        count("events", "events stored, of every type"),
        CREATED,
        UPDATED,
        DELETED,
    ),
    indexes=(
        ("tenant_id", "status", "severity"),
        ("tenant_id", "domain", "created_at"),
        ("tenant_id", "severity", "created_at"),
        ("tenant_id", "sla_deadline"),
    ),
)

STATES: tuple[State, ...] = (SESSION, CODE_BLOCK, DEFINITION, RUN, EXCEPTION)
STATE_BY_NAME: dict[str, State] = {state.name: state for state in STATES}
