"""Every table, as SQLAlchemy knows it: what migrations make is checked against this."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, INT8MULTIRANGE

from persistence.columns import metadata
from persistence.logs import LOGS
from persistence.states import STATES

LOG_TABLES = {log.name: log.table() for log in LOGS}
STATE_TABLES = {state.name: state.table() for state in STATES}


def _at(name: str, comment: str, *, default: bool = True) -> Column[object]:
    return Column(
        name, DateTime(timezone=True), nullable=False, server_default=func.now() if default else None, comment=comment
    )


TENANT = Table(
    "tenant",
    metadata,
    Column("tenant_id", Text(), nullable=False, comment="the tenantid of its events"),
    Column("name", Text(), nullable=False, comment="for people"),
    Column("status", Text(), nullable=False, server_default="active", comment="active, suspended or archived"),
    _at("created_at", "when it was created"),
    _at("updated_at", "when its status last changed"),
    PrimaryKeyConstraint("tenant_id"),
    CheckConstraint("status IN ('active', 'suspended', 'archived')", name="status"),
    CheckConstraint("tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'", name="tenant_id"),
    comment="Whose events are accepted",
)

DEAD_LETTER = Table(
    "dead_letter",
    metadata,
    Column("id", Uuid(), nullable=False, comment="x-dlq-id: the same for every delivery of one record"),
    Column("tenant_id", Text(), comment="when it could be read"),
    Column("topic", Text(), nullable=False, comment="where the record came from"),
    Column("partition", Integer(), nullable=False, comment="where the record came from"),
    Column("offset", BigInteger(), nullable=False, comment="where the record came from"),
    Column("consumer_group", Text(), nullable=False, comment="who refused it"),
    Column("event_type", Text(), comment="when it could be read"),
    Column("event_id", Text(), comment="when it could be read"),
    Column("subject", Text(), comment="when it could be read"),
    Column("reason", Text(), nullable=False, comment="one of the closed list of reasons"),
    Column("stage", Text(), nullable=False, comment="decode, envelope, schema, tenant or store"),
    Column("error", Text(), nullable=False, comment="what was wrong; never quotes the record"),
    Column("exception", Text(), comment="the type of the exception"),
    Column("sqlstate", Text(), comment="of the database's refusal"),
    Column("key", LargeBinary(), comment="the record's key, byte for byte"),
    Column("value", LargeBinary(), comment="the record's value, byte for byte; null for a tombstone"),
    Column("header_names", ARRAY(Text()), nullable=False, comment="the record's own headers, in order"),
    Column("header_values", ARRAY(LargeBinary()), nullable=False, comment="their values, byte for byte"),
    Column("record_timestamp", BigInteger(), nullable=False, comment="the record's Kafka timestamp, ms"),
    Column("letter_topic", Text(), nullable=False, comment="where the letter itself lies"),
    Column("letter_partition", Integer(), nullable=False, comment="where the letter itself lies"),
    Column("letter_offset", BigInteger(), nullable=False, comment="where the letter itself lies"),
    _at("first_failed_at", "when it was first refused", default=False),
    _at("last_failed_at", "when it was last refused", default=False),
    Column("redrive_count", Integer(), nullable=False, server_default="0", comment="how often it was sent back"),
    Column("status", Text(), nullable=False, comment="dead, redriving, resolved, parked or discarded"),
    Column("phase", SmallInteger(), nullable=False, server_default="1", comment="0 redriving, 1 dead, 2 resolved"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("status IN ('dead', 'redriving', 'resolved', 'parked', 'discarded')", name="status"),
    Index(None, "last_failed_at", "id"),
    Index(None, "topic", "partition", "offset"),
    Index(None, "tenant_id", "last_failed_at"),
    comment="The dead letters: an index of the dlq.* topics",
)

DEAD_LETTER_ACTION = Table(
    "dead_letter_action",
    metadata,
    Column("id", BigInteger(), Identity(always=True), nullable=False, comment="in the order of actions"),
    Column("dead_letter_id", Uuid(), nullable=False, comment="the letter"),
    Column("actor", Text(), nullable=False, comment="who"),
    _at("at", "when"),
    Column("action", Text(), nullable=False, comment="what"),
    Column("why", Text(), comment="as the actor says"),
    Column("value_before", LargeBinary(), comment="the value before an edit"),
    Column("value_after", LargeBinary(), comment="the value after an edit"),
    PrimaryKeyConstraint("id"),
    Index(None, "dead_letter_id", "id"),
    comment="Every action of an operator on a dead letter",
)

_OFFSETS = INT8MULTIRANGE()

INGEST_BATCH = Table(
    "ingest_batch",
    metadata,
    Column("id", BigInteger(), Identity(always=True), nullable=False, comment="in no order that means anything"),
    Column("consumer_group", Text(), nullable=False, comment="the consumer group"),
    Column("topic", Text(), nullable=False, comment="the topic"),
    Column("partition", Integer(), nullable=False, comment="the partition"),
    Column("stored", _OFFSETS, nullable=False, comment="offsets whose log row this batch made"),
    Column("duplicate", _OFFSETS, nullable=False, comment="offsets of events that were stored before"),
    Column("refused", _OFFSETS, nullable=False, comment="offsets that became dead letters"),
    Column(
        "invisible", _OFFSETS, nullable=False, comment="offsets that hold nothing to read: markers, aborted records"
    ),
    Column("worker", Text(), nullable=False, comment="which worker"),
    _at("at", "when it was committed"),
    PrimaryKeyConstraint("id"),
    Index(None, "consumer_group", "topic", "partition"),
    comment="The ledger: what became of every offset, a row a partition and committed batch",
)

INGEST_RETIRED = Table(
    "ingest_retired",
    metadata,
    Column("id", BigInteger(), Identity(always=True), nullable=False, comment="in no order that means anything"),
    Column("log", Text(), nullable=False, comment="the log that the rows were in"),
    Column("topic", Text(), nullable=False, comment="the topic"),
    Column("partition", Integer(), nullable=False, comment="the partition"),
    Column("offsets", _OFFSETS, nullable=False, comment="offsets whose rows retention dropped"),
    _at("at", "when they were dropped"),
    PrimaryKeyConstraint("id"),
    Index(None, "topic", "partition"),
    comment="Offsets whose log rows went with a partition that retention dropped",
)
