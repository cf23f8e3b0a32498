"""Every table, as SQLAlchemy knows it: what migrations make is checked against this."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    text,
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
    Column("source", Text(), nullable=False, server_default="siltstone", comment="which system wrote the letter"),
    Column("is_mended", Boolean(), nullable=False, server_default="false", comment="whether an operator edited it"),
    Column("mended_key", LargeBinary(), comment="the key as edited"),
    Column("mended_value", LargeBinary(), comment="the value as edited"),
    Column("mended_header_names", ARRAY(Text()), comment="the headers as edited, in order"),
    Column("mended_header_values", ARRAY(LargeBinary()), comment="their values"),
    Column("job", Uuid(), comment="the redrive that last sent it back"),
    Column("batch", Integer(), comment="the number of its batch in that redrive"),
    Column("sent_tenant_id", Text(), comment="the tenant of what was last sent back"),
    Column("resolved_at", DateTime(timezone=True), comment="when its event was stored"),
    Column("resolution", Text(), comment="stored: its event made rows; duplicate: the event was there already"),
    Column("resolved_log", Text(), comment="the log that has its event's row"),
    Column("event_uid", Uuid(), comment="the key of that row"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("status IN ('dead', 'redriving', 'resolved', 'parked', 'discarded')", name="status"),
    CheckConstraint("resolution IN ('stored', 'duplicate')", name="resolution"),
    Index(None, "last_failed_at", "id"),
    Index(None, "topic", "partition", "offset"),
    Index(None, "tenant_id", "last_failed_at"),
    Index(
        "dead_letter_unresolved_idx",
        "reason",
        "first_failed_at",
        postgresql_where=text("status IN ('dead', 'redriving', 'parked')"),
    ),
    Index("dead_letter_job_idx", "job", "batch", postgresql_where=text("status = 'redriving'")),
    comment="The dead letters: an index of the dlq.* topics",
)

DEAD_LETTER_TRIP = Table(
    "dead_letter_trip",
    metadata,
    Column("dead_letter_id", Uuid(), nullable=False, comment="the letter"),
    Column("redrive_count", Integer(), nullable=False, comment="0 for the first trip"),
    Column("tenant_id", Text(), comment="when it could be read"),
    Column("topic", Text(), nullable=False, comment="where the record of this trip lies"),
    Column("partition", Integer(), nullable=False, comment="where the record of this trip lies"),
    Column("offset", BigInteger(), nullable=False, comment="where the record of this trip lies"),
    Column("reason", Text(), nullable=False, comment="why it was refused"),
    Column("stage", Text(), nullable=False, comment="where it was refused"),
    Column("error", Text(), nullable=False, comment="what was wrong; never quotes the record"),
    _at("failed_at", "when it was refused", default=False),
    PrimaryKeyConstraint("dead_letter_id", "redrive_count"),
    Index(None, "topic", "partition", "offset"),
    comment="Every refusal of a dead letter: the first, and one for each redrive that failed; kept when it is purged",
)

REDRIVE_JOB = Table(
    "redrive_job",
    metadata,
    Column("id", Uuid(), nullable=False, comment="also the producer's transactional.id"),
    Column("actor", Text(), nullable=False, comment="who"),
    Column("selection", Text(), nullable=False, comment="which letters were asked for"),
    _at("started_at", "when it began"),
    Column("finished_at", DateTime(timezone=True), comment="when every claimed letter was sent; null while it runs"),
    Column("sent_batch", Integer(), nullable=False, server_default="0", comment="the last batch known to be sent"),
    PrimaryKeyConstraint("id"),
    comment="Every redrive of dead letters",
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
    Column("key_before", LargeBinary(), comment="the key before an edit"),
    Column("key_after", LargeBinary(), comment="the key after an edit"),
    Column("header_names_before", ARRAY(Text()), comment="the headers before an edit, in order"),
    Column("header_values_before", ARRAY(LargeBinary()), comment="their values"),
    Column("header_names_after", ARRAY(Text()), comment="the headers after an edit, in order"),
    Column("header_values_after", ARRAY(LargeBinary()), comment="their values"),
    Column("job", Uuid(), comment="the redrive that it was a part of"),
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
