"""Create the index of dead letters, and the history of actions on them."""

from alembic import op

from persistence.migrate import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """\
CREATE TABLE dead_letter (
    id UUID NOT NULL,
    tenant_id TEXT,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    consumer_group TEXT NOT NULL,
    event_type TEXT,
    event_id TEXT,
    subject TEXT,
    reason TEXT NOT NULL,
    stage TEXT NOT NULL,
    error TEXT NOT NULL,
    exception TEXT,
    sqlstate TEXT,
    key BYTEA,
    value BYTEA,
    header_names TEXT[] NOT NULL,
    header_values BYTEA[] NOT NULL,
    record_timestamp BIGINT NOT NULL,
    letter_topic TEXT NOT NULL,
    letter_partition INTEGER NOT NULL,
    letter_offset BIGINT NOT NULL,
    first_failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    redrive_count INTEGER DEFAULT '0' NOT NULL,
    status TEXT NOT NULL,
    phase SMALLINT DEFAULT '1' NOT NULL,
    CONSTRAINT dead_letter_pkey PRIMARY KEY (id),
    CONSTRAINT dead_letter_status_check CHECK (status IN ('dead', 'redriving', 'resolved', 'parked', 'discarded'))
);
CREATE INDEX dead_letter_last_failed_at_id_idx ON dead_letter (last_failed_at, id);
CREATE INDEX dead_letter_tenant_id_last_failed_at_idx ON dead_letter (tenant_id, last_failed_at);
CREATE INDEX dead_letter_topic_partition_offset_idx ON dead_letter (topic, partition, "offset");
COMMENT ON TABLE dead_letter IS 'The dead letters: an index of the dlq.* topics';
COMMENT ON COLUMN dead_letter.id IS 'x-dlq-id: the same for every delivery of one record';
COMMENT ON COLUMN dead_letter.tenant_id IS 'when it could be read';
COMMENT ON COLUMN dead_letter.topic IS 'where the record came from';
COMMENT ON COLUMN dead_letter.partition IS 'where the record came from';
COMMENT ON COLUMN dead_letter."offset" IS 'where the record came from';
COMMENT ON COLUMN dead_letter.consumer_group IS 'who refused it';
COMMENT ON COLUMN dead_letter.event_type IS 'when it could be read';
COMMENT ON COLUMN dead_letter.event_id IS 'when it could be read';
COMMENT ON COLUMN dead_letter.subject IS 'when it could be read';
COMMENT ON COLUMN dead_letter.reason IS 'one of the closed list of reasons';
COMMENT ON COLUMN dead_letter.stage IS 'decode, envelope, schema, tenant or store';
COMMENT ON COLUMN dead_letter.error IS 'what was wrong; never quotes the record';
COMMENT ON COLUMN dead_letter.exception IS 'the type of the exception';
COMMENT ON COLUMN dead_letter.sqlstate IS 'of the database''s refusal';
COMMENT ON COLUMN dead_letter.key IS 'the record''s key, byte for byte';
COMMENT ON COLUMN dead_letter.value IS 'the record''s value, byte for byte; null for a tombstone';
COMMENT ON COLUMN dead_letter.header_names IS 'the record''s own headers, in order';
COMMENT ON COLUMN dead_letter.header_values IS 'their values, byte for byte';
COMMENT ON COLUMN dead_letter.record_timestamp IS 'the record''s Kafka timestamp, ms';
COMMENT ON COLUMN dead_letter.letter_topic IS 'where the letter itself lies';
COMMENT ON COLUMN dead_letter.letter_partition IS 'where the letter itself lies';
COMMENT ON COLUMN dead_letter.letter_offset IS 'where the letter itself lies';
COMMENT ON COLUMN dead_letter.first_failed_at IS 'when it was first refused';
COMMENT ON COLUMN dead_letter.last_failed_at IS 'when it was last refused';
COMMENT ON COLUMN dead_letter.redrive_count IS 'how often it was sent back';
COMMENT ON COLUMN dead_letter.status IS 'dead, redriving, resolved, parked or discarded';
COMMENT ON COLUMN dead_letter.phase IS '0 redriving, 1 dead, 2 resolved';

CREATE TABLE dead_letter_action (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    dead_letter_id UUID NOT NULL,
    actor TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    action TEXT NOT NULL,
    why TEXT,
    value_before BYTEA,
    value_after BYTEA,
    CONSTRAINT dead_letter_action_pkey PRIMARY KEY (id)
);
CREATE INDEX dead_letter_action_dead_letter_id_id_idx ON dead_letter_action (dead_letter_id, id);
COMMENT ON TABLE dead_letter_action IS 'Every action of an operator on a dead letter';
COMMENT ON COLUMN dead_letter_action.id IS 'in the order of actions';
COMMENT ON COLUMN dead_letter_action.dead_letter_id IS 'the letter';
COMMENT ON COLUMN dead_letter_action.actor IS 'who';
COMMENT ON COLUMN dead_letter_action.at IS 'when';
COMMENT ON COLUMN dead_letter_action.action IS 'what';
COMMENT ON COLUMN dead_letter_action.why IS 'as the actor says';
COMMENT ON COLUMN dead_letter_action.value_before IS 'the value before an edit';
COMMENT ON COLUMN dead_letter_action.value_after IS 'the value after an edit';
"""

DOWN = """\
DROP TABLE dead_letter_action;
DROP TABLE dead_letter;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
