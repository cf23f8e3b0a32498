"""The logs: every accepted event makes one row in one of these, append-only, partitioned by its time.

The columns are those of the event types that a log keeps, read from their declarations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from asyncpg.pgproto.pgproto import UUID
from msgspec import UNSET, Raw, UnsetType
from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, PrimaryKeyConstraint, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB

from contracts.event import Event
from contracts.event_type import EventType
from contracts.fields import Data, kinds_of, required_of
from contracts.record import Record
from contracts.registry import EVENT_TYPES
from persistence.columns import TYPES, metadata

ENVELOPE_HEAD = ("event_uid", "tenant_id")
ENVELOPE_TAIL = ("event_time", "ce_type", "event_id", "event_source", "sequence", "traceparent")
DELIVERY = ("kafka_topic", "kafka_partition", "kafka_offset")
"""Of the first delivery; with `ingested_at` they are left out when tables are compared."""

Row = tuple[Any, ...]
"""The values of a log's `columns`."""

RowMaker = Callable[[Event, Data, Record], Row]


@dataclass(frozen=True, eq=False)
class Log:
    """One log. `computed` are columns read from properties of the data; `without` are fields kept elsewhere."""

    name: str
    comment: str
    indexes: tuple[tuple[str, ...], ...]
    partial: Mapping[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    @cached_property
    def event_types(self) -> tuple[EventType, ...]:
        return tuple(t for t in EVENT_TYPES.values() if t.log == self.name)

    @cached_property
    def subject_column(self) -> str:
        """The column of the event's subject: session_id, run_id, definition_id or exception_id."""
        (about,) = {t.about for t in self.event_types}
        return f"{about}_id"

    @cached_property
    def own(self) -> dict[str, str]:
        """The events' own columns: name to kind, in order of declaration."""
        columns = dict(self.computed)
        for event_type in self.event_types:
            columns |= {n: k for n, k in kinds_of(event_type.data).items() if n not in self.without}
        return columns

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that a writer fills, in the order of row()."""
        return (*ENVELOPE_HEAD, self.subject_column, *ENVELOPE_TAIL, *self._plain, *self._json, "rest", *DELIVERY)

    @cached_property
    def _json(self) -> tuple[str, ...]:
        return tuple(name for name, kind in self.own.items() if kind in ("json", "object"))

    @cached_property
    def _plain(self) -> tuple[str, ...]:
        return tuple(name for name in self.own if name not in self._json)

    def row_maker(self, kind: EventType) -> RowMaker:
        """A function from an event of a type, its data and its record to a row of this log, in the order of `columns`.

        It is made of the declarations, as a dataclass' __init__ is: one expression without a loop or a look-up.
        """
        carried, required = kinds_of(kind.data).keys() | self.computed.keys(), required_of(kind.data)

        def plain(name: str) -> str:
            if name not in carried:
                return "None"
            value = f"data.{name}"
            return value if name in required else f"(None if (value := {value}) is UNSET else value)"

        values = (
            "UUID(event.uid), event.tenant_id, event.subject, event.time, event.type_name, event.event_id",
            "event.source, event.sequence, event.traceparent",
            *map(plain, self._plain),
            *(f"json_text(data.{name})" if name in carried else "None" for name in self._json),
            "event.rest, record.topic, record.partition, record.offset",
        )
        names = {"UUID": UUID, "UNSET": UNSET, "json_text": _json_text}
        maker: RowMaker = eval(f"lambda event, data, record: ({', '.join(values)})", names)  # noqa: S307 - of our names
        return maker

    def table(self) -> Table:
        """The log's table, for migrations and their check."""
        return Table(
            self.name,
            metadata,
            Column("event_uid", Uuid(), nullable=False, comment="UUIDv8 of the event's identity; sorts by its time"),
            Column("tenant_id", Text(), nullable=False, comment="whose event it is"),
            Column(self.subject_column, Text(), nullable=False, comment="the event's subject"),
            Column("event_time", DateTime(timezone=True), nullable=False, comment="the event's own time"),
            Column("ce_type", Text(), nullable=False, comment="CloudEvents type, with its major version"),
            Column("event_id", Text(), nullable=False, comment="the producer's id"),
            Column("event_source", Text(), nullable=False, comment="who published it"),
            Column("sequence", Text(), comment="the producer's order among events of one time"),
            Column("traceparent", Text(), comment="W3C trace context"),
            *(Column(n, TYPES[k], comment=_field_comment(n, k)) for n, k in self.own.items()),
            Column("rest", JSONB(), comment="unknown attributes and fields, and nulls said outright; else null"),
            Column("kafka_topic", Text(), nullable=False, comment="of the first delivery"),
            Column("kafka_partition", Integer(), nullable=False, comment="of the first delivery"),
            Column("kafka_offset", BigInteger(), nullable=False, comment="of the first delivery"),
            Column(
                "ingested_at",
                DateTime(timezone=True),
                nullable=False,
                server_default=func.now(),
                comment="when the first delivery was stored",
            ),
            PrimaryKeyConstraint("event_uid"),
            *(Index(None, *columns) for columns in self.indexes),
            *(
                Index(f"{self.name}_{name}_idx", *columns, postgresql_where=text(where))
                for name, (columns, where) in self.partial.items()
            ),
            comment=self.comment,
            postgresql_partition_by="RANGE (event_uid)",
        )


def _json_text(raw: Raw | UnsetType | None) -> str | None:
    """JSON for a jsonb column; JSON's null is SQL's (the field was cleared)."""
    if raw is UNSET or raw is None:
        return None
    value = str(raw, "utf-8")
    return None if value == "null" else value


def _field_comment(name: str, kind: str) -> str:
    return f"the event's {name}" + (" (any JSON)" if kind == "json" else "")


LOGS: tuple[Log, ...] = (
    Log(
        "session_event",
        "Every session.* event",
        indexes=(("tenant_id", "session_id", "event_time"),),
    ),
    Log(
        "extraction_event",
        "Every extraction.recorded event: what was found in an agent's output",
        indexes=(
            ("tenant_id", "session_id", "event_time"),
            ("tenant_id", "agent_name", "event_time"),
            ("tenant_id", "event_type", "pattern"),
        ),
        partial={"risk": (("tenant_id", "risk_level", "event_time"), "risk_level IN ('high', 'critical')")},
    ),
    Log(
        "code_block_occurrence",
        "Every code_block.captured event: who showed which block, where",
        indexes=(
            ("tenant_id", "session_id", "event_time"),
            ("tenant_id", "agent_name", "language", "event_time"),
        ),
        computed={"digest": "text"},
        without=("content",),
    ),
    Log(
        "definition_event",
        "Every definition.* event: the history of a definition",
        indexes=(("tenant_id", "definition_id", "event_time"),),
    ),
    Log(
        "run_event",
        "Every run.* event: the history of a run",
        indexes=(("tenant_id", "run_id", "event_time"),),
    ),
    Log(
        "node_execution",
        "Every node.executed event: the nodes of a run, in order",
        indexes=(("tenant_id", "run_id", "event_time"),),
    ),
    Log(
        "assertion_result",
        "Every assertion.evaluated event",
        indexes=(("tenant_id", "run_id", "event_time"),),
        partial={"failed": (("tenant_id", "event_time"), "NOT passed")},
    ),
    Log(
        "run_file",
        "Every file.produced event",
        indexes=(("tenant_id", "run_id", "event_time"),),
    ),
    Log(
        "exception_event",
        "Every exception.* event: an append-only history of each exception",
        indexes=(("tenant_id", "exception_id", "event_time"),),
        computed={"event_type": "text", "changes": "object"},
        without=("set",),
    ),
)

LOG_BY_NAME: dict[str, Log] = {log.name: log for log in LOGS}


_ROW_MAKERS = {kind: log.row_maker(kind) for log in LOGS for kind in log.event_types}


def row_of(event: Event, record: Record) -> Row:
    """The event as the row that it makes in its log."""
    return _ROW_MAKERS[event.type](event, event.data, record)
