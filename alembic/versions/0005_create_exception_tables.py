"""Create the log and the state of exceptions."""

from alembic import op

from persistence.migrate import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """\
CREATE TABLE exception_event (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    exception_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    event_type TEXT,
    changes JSONB,
    actor_type TEXT,
    actor_id TEXT,
    payload JSONB,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT exception_event_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX exception_event_tenant_id_exception_id_event_time_idx ON exception_event (tenant_id, exception_id, event_time);
COMMENT ON TABLE exception_event IS 'Every exception.* event: an append-only history of each exception';
COMMENT ON COLUMN exception_event.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN exception_event.tenant_id IS 'whose event it is';
COMMENT ON COLUMN exception_event.exception_id IS 'the event''s subject';
COMMENT ON COLUMN exception_event.event_time IS 'the event''s own time';
COMMENT ON COLUMN exception_event.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN exception_event.event_id IS 'the producer''s id';
COMMENT ON COLUMN exception_event.event_source IS 'who published it';
COMMENT ON COLUMN exception_event.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN exception_event.traceparent IS 'W3C trace context';
COMMENT ON COLUMN exception_event.event_type IS 'the event''s event_type';
COMMENT ON COLUMN exception_event.changes IS 'the event''s changes';
COMMENT ON COLUMN exception_event.actor_type IS 'the event''s actor_type';
COMMENT ON COLUMN exception_event.actor_id IS 'the event''s actor_id';
COMMENT ON COLUMN exception_event.payload IS 'the event''s payload';
COMMENT ON COLUMN exception_event.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN exception_event.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN exception_event.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN exception_event.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN exception_event.ingested_at IS 'when the first delivery was stored';

CREATE TABLE exception (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    domain TEXT,
    type TEXT,
    severity TEXT,
    status TEXT,
    source_system TEXT,
    entity TEXT,
    amount NUMERIC,
    sla_deadline TIMESTAMP WITH TIME ZONE,
    owner TEXT,
    current_playbook_id BIGINT,
    current_step INTEGER,
    events BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    deleted_at TIMESTAMP WITH TIME ZONE,
    clock BYTEA[] NOT NULL,
    CONSTRAINT exception_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX exception_tenant_id_domain_created_at_idx ON exception (tenant_id, domain, created_at);
CREATE INDEX exception_tenant_id_severity_created_at_idx ON exception (tenant_id, severity, created_at);
CREATE INDEX exception_tenant_id_sla_deadline_idx ON exception (tenant_id, sla_deadline);
CREATE INDEX exception_tenant_id_status_severity_idx ON exception (tenant_id, status, severity);
COMMENT ON TABLE exception IS 'One business exception';
COMMENT ON COLUMN exception.tenant_id IS 'whose it is';
COMMENT ON COLUMN exception.id IS 'with tenant_id, which one it is';
COMMENT ON COLUMN exception.domain IS 'the last known domain (last)';
COMMENT ON COLUMN exception.type IS 'the last known type (last)';
COMMENT ON COLUMN exception.severity IS 'low, medium, high or critical (last)';
COMMENT ON COLUMN exception.status IS 'open, analyzing, resolved or escalated (last)';
COMMENT ON COLUMN exception.source_system IS 'the last known source_system (last)';
COMMENT ON COLUMN exception.entity IS 'the last known entity (last)';
COMMENT ON COLUMN exception.amount IS 'the last known amount (last)';
COMMENT ON COLUMN exception.sla_deadline IS 'the last known sla_deadline (last)';
COMMENT ON COLUMN exception.owner IS 'the last known owner (last)';
COMMENT ON COLUMN exception.current_playbook_id IS 'the last known current_playbook_id (last)';
COMMENT ON COLUMN exception.current_step IS 'the last known current_step (last)';
COMMENT ON COLUMN exception.events IS 'events stored, of every type (count)';
COMMENT ON COLUMN exception.created_at IS 'the time of its earliest event (min)';
COMMENT ON COLUMN exception.updated_at IS 'the time of its latest event (max)';
COMMENT ON COLUMN exception.deleted_at IS 'when it was first deleted; nothing undoes it (min)';
COMMENT ON COLUMN exception.clock IS 'for each `last` column, in order, the place in the order of events of the value it has';
"""

DOWN = """\
DROP TABLE exception;
DROP TABLE exception_event;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
