"""Create the ledger of offsets."""

from alembic import op

from persistence.migrate import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = """\
CREATE TABLE ingest_batch (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    stored INT8MULTIRANGE NOT NULL,
    duplicate INT8MULTIRANGE NOT NULL,
    refused INT8MULTIRANGE NOT NULL,
    invisible INT8MULTIRANGE NOT NULL,
    worker TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT ingest_batch_pkey PRIMARY KEY (id)
);
CREATE INDEX ingest_batch_consumer_group_topic_partition_idx ON ingest_batch (consumer_group, topic, partition);
COMMENT ON TABLE ingest_batch IS 'The ledger: what became of every offset, a row a partition and committed batch';
COMMENT ON COLUMN ingest_batch.id IS 'in no order that means anything';
COMMENT ON COLUMN ingest_batch.consumer_group IS 'the consumer group';
COMMENT ON COLUMN ingest_batch.topic IS 'the topic';
COMMENT ON COLUMN ingest_batch.partition IS 'the partition';
COMMENT ON COLUMN ingest_batch.stored IS 'offsets whose log row this batch made';
COMMENT ON COLUMN ingest_batch.duplicate IS 'offsets of events that were stored before';
COMMENT ON COLUMN ingest_batch.refused IS 'offsets that became dead letters';
COMMENT ON COLUMN ingest_batch.invisible IS 'offsets that hold nothing to read: markers, aborted records';
COMMENT ON COLUMN ingest_batch.worker IS 'which worker';
COMMENT ON COLUMN ingest_batch.at IS 'when it was committed';

CREATE TABLE ingest_retired (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    log TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offsets INT8MULTIRANGE NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT ingest_retired_pkey PRIMARY KEY (id)
);
CREATE INDEX ingest_retired_topic_partition_idx ON ingest_retired (topic, partition);
COMMENT ON TABLE ingest_retired IS 'Offsets whose log rows went with a partition that retention dropped';
COMMENT ON COLUMN ingest_retired.id IS 'in no order that means anything';
COMMENT ON COLUMN ingest_retired.log IS 'the log that the rows were in';
COMMENT ON COLUMN ingest_retired.topic IS 'the topic';
COMMENT ON COLUMN ingest_retired.partition IS 'the partition';
COMMENT ON COLUMN ingest_retired.offsets IS 'offsets whose rows retention dropped';
COMMENT ON COLUMN ingest_retired.at IS 'when they were dropped';
"""

DOWN = """\
DROP TABLE ingest_retired;
DROP TABLE ingest_batch;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
