"""Create the logs of definitions, runs and nodes."""

from alembic import op

from persistence.migrate import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = """\
CREATE TABLE definition_event (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    definition_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    description TEXT,
    spec_yaml TEXT,
    canvas_state JSONB,
    provider TEXT,
    model TEXT,
    version TEXT,
    kind TEXT,
    name TEXT,
    spec JSONB,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT definition_event_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX definition_event_tenant_id_definition_id_event_time_idx ON definition_event (tenant_id, definition_id, event_time);
COMMENT ON TABLE definition_event IS 'Every definition.* event: the history of a definition';
COMMENT ON COLUMN definition_event.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN definition_event.tenant_id IS 'whose event it is';
COMMENT ON COLUMN definition_event.definition_id IS 'the event''s subject';
COMMENT ON COLUMN definition_event.event_time IS 'the event''s own time';
COMMENT ON COLUMN definition_event.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN definition_event.event_id IS 'the producer''s id';
COMMENT ON COLUMN definition_event.event_source IS 'who published it';
COMMENT ON COLUMN definition_event.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN definition_event.traceparent IS 'W3C trace context';
COMMENT ON COLUMN definition_event.description IS 'the event''s description';
COMMENT ON COLUMN definition_event.spec_yaml IS 'the event''s spec_yaml';
COMMENT ON COLUMN definition_event.canvas_state IS 'the event''s canvas_state';
COMMENT ON COLUMN definition_event.provider IS 'the event''s provider';
COMMENT ON COLUMN definition_event.model IS 'the event''s model';
COMMENT ON COLUMN definition_event.version IS 'the event''s version';
COMMENT ON COLUMN definition_event.kind IS 'the event''s kind';
COMMENT ON COLUMN definition_event.name IS 'the event''s name';
COMMENT ON COLUMN definition_event.spec IS 'the event''s spec';
COMMENT ON COLUMN definition_event.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN definition_event.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN definition_event.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN definition_event.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN definition_event.ingested_at IS 'when the first delivery was stored';

CREATE TABLE run_event (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    kind TEXT,
    status TEXT,
    definition_id TEXT,
    provider TEXT,
    model TEXT,
    source TEXT,
    external_ref TEXT,
    input_filename TEXT,
    config_snapshot JSONB,
    initial_state JSONB,
    current_stage TEXT,
    progress_percent INTEGER,
    iterations INTEGER,
    current_state JSONB,
    final_state JSONB,
    results_summary JSONB,
    error_message TEXT,
    error_info JSONB,
    latency_ms BIGINT,
    duration_ms BIGINT,
    tokens_input BIGINT,
    tokens_output BIGINT,
    cost_usd NUMERIC,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT run_event_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX run_event_tenant_id_run_id_event_time_idx ON run_event (tenant_id, run_id, event_time);
COMMENT ON TABLE run_event IS 'Every run.* event: the history of a run';
COMMENT ON COLUMN run_event.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN run_event.tenant_id IS 'whose event it is';
COMMENT ON COLUMN run_event.run_id IS 'the event''s subject';
COMMENT ON COLUMN run_event.event_time IS 'the event''s own time';
COMMENT ON COLUMN run_event.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN run_event.event_id IS 'the producer''s id';
COMMENT ON COLUMN run_event.event_source IS 'who published it';
COMMENT ON COLUMN run_event.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN run_event.traceparent IS 'W3C trace context';
COMMENT ON COLUMN run_event.kind IS 'the event''s kind';
COMMENT ON COLUMN run_event.status IS 'the event''s status';
COMMENT ON COLUMN run_event.definition_id IS 'the event''s definition_id';
COMMENT ON COLUMN run_event.provider IS 'the event''s provider';
COMMENT ON COLUMN run_event.model IS 'the event''s model';
COMMENT ON COLUMN run_event.source IS 'the event''s source';
COMMENT ON COLUMN run_event.external_ref IS 'the event''s external_ref';
COMMENT ON COLUMN run_event.input_filename IS 'the event''s input_filename';
COMMENT ON COLUMN run_event.config_snapshot IS 'the event''s config_snapshot (any JSON)';
COMMENT ON COLUMN run_event.initial_state IS 'the event''s initial_state';
COMMENT ON COLUMN run_event.current_stage IS 'the event''s current_stage';
COMMENT ON COLUMN run_event.progress_percent IS 'the event''s progress_percent';
COMMENT ON COLUMN run_event.iterations IS 'the event''s iterations';
COMMENT ON COLUMN run_event.current_state IS 'the event''s current_state';
COMMENT ON COLUMN run_event.final_state IS 'the event''s final_state';
COMMENT ON COLUMN run_event.results_summary IS 'the event''s results_summary (any JSON)';
COMMENT ON COLUMN run_event.error_message IS 'the event''s error_message';
COMMENT ON COLUMN run_event.error_info IS 'the event''s error_info (any JSON)';
COMMENT ON COLUMN run_event.latency_ms IS 'the event''s latency_ms';
COMMENT ON COLUMN run_event.duration_ms IS 'the event''s duration_ms';
COMMENT ON COLUMN run_event.tokens_input IS 'the event''s tokens_input';
COMMENT ON COLUMN run_event.tokens_output IS 'the event''s tokens_output';
COMMENT ON COLUMN run_event.cost_usd IS 'the event''s cost_usd';
COMMENT ON COLUMN run_event.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN run_event.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN run_event.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN run_event.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN run_event.ingested_at IS 'when the first delivery was stored';

CREATE TABLE node_execution (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    node_name TEXT,
    status TEXT,
    iteration INTEGER,
    started_at TIMESTAMP WITH TIME ZONE,
    duration_ms BIGINT,
    state_snapshot JSONB,
    error_message TEXT,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT node_execution_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX node_execution_tenant_id_run_id_event_time_idx ON node_execution (tenant_id, run_id, event_time);
COMMENT ON TABLE node_execution IS 'Every node.executed event: the nodes of a run, in order';
COMMENT ON COLUMN node_execution.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN node_execution.tenant_id IS 'whose event it is';
COMMENT ON COLUMN node_execution.run_id IS 'the event''s subject';
COMMENT ON COLUMN node_execution.event_time IS 'the event''s own time';
COMMENT ON COLUMN node_execution.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN node_execution.event_id IS 'the producer''s id';
COMMENT ON COLUMN node_execution.event_source IS 'who published it';
COMMENT ON COLUMN node_execution.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN node_execution.traceparent IS 'W3C trace context';
COMMENT ON COLUMN node_execution.node_name IS 'the event''s node_name';
COMMENT ON COLUMN node_execution.status IS 'the event''s status';
COMMENT ON COLUMN node_execution.iteration IS 'the event''s iteration';
COMMENT ON COLUMN node_execution.started_at IS 'the event''s started_at';
COMMENT ON COLUMN node_execution.duration_ms IS 'the event''s duration_ms';
COMMENT ON COLUMN node_execution.state_snapshot IS 'the event''s state_snapshot';
COMMENT ON COLUMN node_execution.error_message IS 'the event''s error_message';
COMMENT ON COLUMN node_execution.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN node_execution.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN node_execution.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN node_execution.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN node_execution.ingested_at IS 'when the first delivery was stored';
"""

DOWN = """\
DROP TABLE node_execution;
DROP TABLE run_event;
DROP TABLE definition_event;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
