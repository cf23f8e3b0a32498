"""Make dead letters a place of work: edits, redrives, every refusal, and what became of each letter."""

from alembic import op

from persistence.migrate import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """\
ALTER TABLE dead_letter
    ADD COLUMN source TEXT DEFAULT 'siltstone' NOT NULL,
    ADD COLUMN is_mended BOOLEAN DEFAULT 'false' NOT NULL,
    ADD COLUMN mended_key BYTEA,
    ADD COLUMN mended_value BYTEA,
    ADD COLUMN mended_header_names TEXT[],
    ADD COLUMN mended_header_values BYTEA[],
    ADD COLUMN job UUID,
    ADD COLUMN batch INTEGER,
    ADD COLUMN sent_tenant_id TEXT,
    ADD COLUMN resolved_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN resolution TEXT,
    ADD COLUMN resolved_log TEXT,
    ADD COLUMN event_uid UUID;
COMMENT ON COLUMN dead_letter.source IS 'which system wrote the letter';
COMMENT ON COLUMN dead_letter.is_mended IS 'whether an operator edited it';
COMMENT ON COLUMN dead_letter.mended_key IS 'the key as edited';
COMMENT ON COLUMN dead_letter.mended_value IS 'the value as edited';
COMMENT ON COLUMN dead_letter.mended_header_names IS 'the headers as edited, in order';
COMMENT ON COLUMN dead_letter.mended_header_values IS 'their values';
COMMENT ON COLUMN dead_letter.job IS 'the redrive that last sent it back';
COMMENT ON COLUMN dead_letter.batch IS 'the number of its batch in that redrive';
COMMENT ON COLUMN dead_letter.sent_tenant_id IS 'the tenant of what was last sent back';
COMMENT ON COLUMN dead_letter.resolved_at IS 'when its event was stored';
COMMENT ON COLUMN dead_letter.resolution IS 'stored: its event made rows; duplicate: the event was there already';
COMMENT ON COLUMN dead_letter.resolved_log IS 'the log that has its event''s row';
COMMENT ON COLUMN dead_letter.event_uid IS 'the key of that row';
ALTER TABLE dead_letter ADD CONSTRAINT dead_letter_resolution_check CHECK (resolution IN ('stored', 'duplicate'));
CREATE INDEX dead_letter_job_idx ON dead_letter (job, batch) WHERE status = 'redriving';
CREATE INDEX dead_letter_unresolved_idx ON dead_letter (reason, first_failed_at)
    WHERE status IN ('dead', 'redriving', 'parked');
ALTER TABLE dead_letter_action
    ADD COLUMN key_before BYTEA,
    ADD COLUMN key_after BYTEA,
    ADD COLUMN header_names_before TEXT[],
    ADD COLUMN header_values_before BYTEA[],
    ADD COLUMN header_names_after TEXT[],
    ADD COLUMN header_values_after BYTEA[],
    ADD COLUMN job UUID;
COMMENT ON COLUMN dead_letter_action.key_before IS 'the key before an edit';
COMMENT ON COLUMN dead_letter_action.key_after IS 'the key after an edit';
COMMENT ON COLUMN dead_letter_action.header_names_before IS 'the headers before an edit, in order';
COMMENT ON COLUMN dead_letter_action.header_values_before IS 'their values';
COMMENT ON COLUMN dead_letter_action.header_names_after IS 'the headers after an edit, in order';
COMMENT ON COLUMN dead_letter_action.header_values_after IS 'their values';
COMMENT ON COLUMN dead_letter_action.job IS 'the redrive that it was a part of';

CREATE TABLE dead_letter_trip (
    dead_letter_id UUID NOT NULL,
    redrive_count INTEGER NOT NULL,
    tenant_id TEXT,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    reason TEXT NOT NULL,
    stage TEXT NOT NULL,
    error TEXT NOT NULL,
    failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT dead_letter_trip_pkey PRIMARY KEY (dead_letter_id, redrive_count)
);
CREATE INDEX dead_letter_trip_topic_partition_offset_idx ON dead_letter_trip (topic, partition, "offset");
COMMENT ON TABLE dead_letter_trip IS 'Every refusal of a dead letter: the first, and one for each redrive that failed; kept when it is purged';
COMMENT ON COLUMN dead_letter_trip.dead_letter_id IS 'the letter';
COMMENT ON COLUMN dead_letter_trip.redrive_count IS '0 for the first trip';
COMMENT ON COLUMN dead_letter_trip.tenant_id IS 'when it could be read';
COMMENT ON COLUMN dead_letter_trip.topic IS 'where the record of this trip lies';
COMMENT ON COLUMN dead_letter_trip.partition IS 'where the record of this trip lies';
COMMENT ON COLUMN dead_letter_trip."offset" IS 'where the record of this trip lies';
COMMENT ON COLUMN dead_letter_trip.reason IS 'why it was refused';
COMMENT ON COLUMN dead_letter_trip.stage IS 'where it was refused';
COMMENT ON COLUMN dead_letter_trip.error IS 'what was wrong; never quotes the record';
COMMENT ON COLUMN dead_letter_trip.failed_at IS 'when it was refused';

CREATE TABLE redrive_job (
    id UUID NOT NULL,
    actor TEXT NOT NULL,
    selection TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    sent_batch INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT redrive_job_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE redrive_job IS 'Every redrive of dead letters';
COMMENT ON COLUMN redrive_job.id IS 'also the producer''s transactional.id';
COMMENT ON COLUMN redrive_job.actor IS 'who';
COMMENT ON COLUMN redrive_job.selection IS 'which letters were asked for';
COMMENT ON COLUMN redrive_job.started_at IS 'when it began';
COMMENT ON COLUMN redrive_job.finished_at IS 'when every claimed letter was sent; null while it runs';
COMMENT ON COLUMN redrive_job.sent_batch IS 'the last batch known to be sent';

INSERT INTO dead_letter_trip
SELECT id, redrive_count, tenant_id, topic, partition, "offset", reason, stage, error, last_failed_at FROM dead_letter;
"""

NEW_TABLES = ("dead_letter_trip", "redrive_job")
GRANTS = {
    "siltstone_worker": {"dead_letter_trip": "SELECT, INSERT"},
    "siltstone_operator": {
        "dead_letter_trip": "SELECT, INSERT",
        "redrive_job": "SELECT, INSERT, UPDATE",
        "dead_letter": "INSERT, DELETE",
    },
    "siltstone_reader": {"dead_letter_trip": "SELECT"},
}


def upgrade() -> None:
    statements = [UP]
    for table in NEW_TABLES:
        statements += [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY owner_all ON {table} TO siltstone_owner USING (true) WITH CHECK (true)",
        ]
    for role in ("siltstone_worker", "siltstone_operator"):
        policy = role.removeprefix("siltstone_") + "_all"
        statements += [
            f"CREATE POLICY {policy} ON {table} TO {role} USING (true) WITH CHECK (true)"
            for table in NEW_TABLES
            if table in GRANTS[role]
        ]
    own = "tenant_id = nullif(current_setting('app.tenant_id', true), '')"
    statements.append(f"CREATE POLICY reader_own ON dead_letter_trip FOR SELECT TO siltstone_reader USING ({own})")
    for role, tables in GRANTS.items():
        statements += [f"GRANT {privileges} ON {table} TO {role}" for table, privileges in tables.items()]
    run_script(op.get_bind(), ";\n".join(statements))


def downgrade() -> None:
    letter = [
        "source",
        "is_mended",
        "mended_key",
        "mended_value",
        "mended_header_names",
        "mended_header_values",
        "job",
        "batch",
        "sent_tenant_id",
        "resolved_at",
        "resolution",
        "resolved_log",
        "event_uid",
    ]
    action = [
        "key_before",
        "key_after",
        "header_names_before",
        "header_values_before",
        "header_names_after",
        "header_values_after",
        "job",
    ]
    statements = [
        "REVOKE INSERT, DELETE ON dead_letter FROM siltstone_operator",
        *(f"DROP TABLE {table}" for table in NEW_TABLES),
        "DROP INDEX dead_letter_unresolved_idx",
        "ALTER TABLE dead_letter " + ", ".join(f"DROP COLUMN {name}" for name in letter),
        "ALTER TABLE dead_letter_action " + ", ".join(f"DROP COLUMN {name}" for name in action),
    ]
    run_script(op.get_bind(), ";\n".join(statements))
