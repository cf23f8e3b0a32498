"""Create the logs of assertions and files, and the states of definitions and runs."""

from alembic import op

from persistence.migrate import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = """\
CREATE TABLE assertion_result (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    assertion_type TEXT,
    passed BOOLEAN,
    assertion_value JSONB,
    actual_value JSONB,
    failure_reason TEXT,
    output_text TEXT,
    tool_calls JSONB,
    raw_response JSONB,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT assertion_result_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX assertion_result_failed_idx ON assertion_result (tenant_id, event_time) WHERE NOT passed;
CREATE INDEX assertion_result_tenant_id_run_id_event_time_idx ON assertion_result (tenant_id, run_id, event_time);
COMMENT ON TABLE assertion_result IS 'Every assertion.evaluated event';
COMMENT ON COLUMN assertion_result.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN assertion_result.tenant_id IS 'whose event it is';
COMMENT ON COLUMN assertion_result.run_id IS 'the event''s subject';
COMMENT ON COLUMN assertion_result.event_time IS 'the event''s own time';
COMMENT ON COLUMN assertion_result.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN assertion_result.event_id IS 'the producer''s id';
COMMENT ON COLUMN assertion_result.event_source IS 'who published it';
COMMENT ON COLUMN assertion_result.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN assertion_result.traceparent IS 'W3C trace context';
COMMENT ON COLUMN assertion_result.assertion_type IS 'the event''s assertion_type';
COMMENT ON COLUMN assertion_result.passed IS 'the event''s passed';
COMMENT ON COLUMN assertion_result.assertion_value IS 'the event''s assertion_value (any JSON)';
COMMENT ON COLUMN assertion_result.actual_value IS 'the event''s actual_value (any JSON)';
COMMENT ON COLUMN assertion_result.failure_reason IS 'the event''s failure_reason';
COMMENT ON COLUMN assertion_result.output_text IS 'the event''s output_text';
COMMENT ON COLUMN assertion_result.tool_calls IS 'the event''s tool_calls (any JSON)';
COMMENT ON COLUMN assertion_result.raw_response IS 'the event''s raw_response (any JSON)';
COMMENT ON COLUMN assertion_result.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN assertion_result.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN assertion_result.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN assertion_result.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN assertion_result.ingested_at IS 'when the first delivery was stored';

CREATE TABLE run_file (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    filename TEXT,
    file_type TEXT,
    size_bytes BIGINT,
    storage_path TEXT,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT run_file_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX run_file_tenant_id_run_id_event_time_idx ON run_file (tenant_id, run_id, event_time);
COMMENT ON TABLE run_file IS 'Every file.produced event';
COMMENT ON COLUMN run_file.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN run_file.tenant_id IS 'whose event it is';
COMMENT ON COLUMN run_file.run_id IS 'the event''s subject';
COMMENT ON COLUMN run_file.event_time IS 'the event''s own time';
COMMENT ON COLUMN run_file.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN run_file.event_id IS 'the producer''s id';
COMMENT ON COLUMN run_file.event_source IS 'who published it';
COMMENT ON COLUMN run_file.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN run_file.traceparent IS 'W3C trace context';
COMMENT ON COLUMN run_file.filename IS 'the event''s filename';
COMMENT ON COLUMN run_file.file_type IS 'the event''s file_type';
COMMENT ON COLUMN run_file.size_bytes IS 'the event''s size_bytes';
COMMENT ON COLUMN run_file.storage_path IS 'the event''s storage_path';
COMMENT ON COLUMN run_file.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN run_file.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN run_file.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN run_file.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN run_file.ingested_at IS 'when the first delivery was stored';

CREATE TABLE definition (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT,
    name TEXT,
    spec JSONB,
    description TEXT,
    spec_yaml TEXT,
    canvas_state JSONB,
    provider TEXT,
    model TEXT,
    version TEXT,
    is_active BOOLEAN,
    revisions BIGINT DEFAULT 0 NOT NULL,
    events BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    deleted_at TIMESTAMP WITH TIME ZONE,
    clock BYTEA[] NOT NULL,
    CONSTRAINT definition_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX definition_tenant_id_name_idx ON definition (tenant_id, name);
CREATE INDEX definition_tenant_id_provider_model_idx ON definition (tenant_id, provider, model);
COMMENT ON TABLE definition IS 'One test, graph, analysis or agent definition';
COMMENT ON COLUMN definition.tenant_id IS 'whose it is';
COMMENT ON COLUMN definition.id IS 'with tenant_id, which one it is';
COMMENT ON COLUMN definition.kind IS 'the last known kind (last)';
COMMENT ON COLUMN definition.name IS 'the last known name (last)';
COMMENT ON COLUMN definition.spec IS 'the definition itself (last)';
COMMENT ON COLUMN definition.description IS 'the last known description (last)';
COMMENT ON COLUMN definition.spec_yaml IS 'the last known spec_yaml (last)';
COMMENT ON COLUMN definition.canvas_state IS 'the last known canvas_state (last)';
COMMENT ON COLUMN definition.provider IS 'the last known provider (last)';
COMMENT ON COLUMN definition.model IS 'the last known model (last)';
COMMENT ON COLUMN definition.version IS 'the author''s own version (last)';
COMMENT ON COLUMN definition.is_active IS 'false when deactivated (last)';
COMMENT ON COLUMN definition.revisions IS 'how often it was saved or updated (count)';
COMMENT ON COLUMN definition.events IS 'events stored, of every type (count)';
COMMENT ON COLUMN definition.created_at IS 'the time of its earliest event (min)';
COMMENT ON COLUMN definition.updated_at IS 'the time of its latest event (max)';
COMMENT ON COLUMN definition.deleted_at IS 'when it was first deleted; nothing undoes it (min)';
COMMENT ON COLUMN definition.clock IS 'for each `last` column, in order, the place in the order of events of the value it has';

CREATE TABLE run (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT,
    status TEXT,
    definition_id TEXT,
    provider TEXT,
    model TEXT,
    source TEXT,
    external_ref TEXT,
    input_filename TEXT,
    current_stage TEXT,
    progress_percent INTEGER,
    iterations INTEGER,
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    latency_ms BIGINT,
    duration_ms BIGINT,
    tokens_input BIGINT,
    tokens_output BIGINT,
    cost_usd NUMERIC,
    error_message TEXT,
    error_info JSONB,
    config_snapshot JSONB,
    initial_state JSONB,
    current_state JSONB,
    final_state JSONB,
    results_summary JSONB,
    nodes BIGINT DEFAULT 0 NOT NULL,
    assertions BIGINT DEFAULT 0 NOT NULL,
    files BIGINT DEFAULT 0 NOT NULL,
    events BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    deleted_at TIMESTAMP WITH TIME ZONE,
    clock BYTEA[] NOT NULL,
    CONSTRAINT run_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX run_tenant_id_definition_id_status_started_at_idx ON run (tenant_id, definition_id, status, started_at);
CREATE INDEX run_tenant_id_external_ref_idx ON run (tenant_id, external_ref);
CREATE INDEX run_tenant_id_model_started_at_idx ON run (tenant_id, model, started_at);
CREATE INDEX run_tenant_id_source_started_at_idx ON run (tenant_id, source, started_at);
COMMENT ON TABLE run IS 'One run of a definition';
COMMENT ON COLUMN run.tenant_id IS 'whose it is';
COMMENT ON COLUMN run.id IS 'with tenant_id, which one it is';
COMMENT ON COLUMN run.kind IS 'the last known kind (last)';
COMMENT ON COLUMN run.status IS 'pending, running, paused, completed, failed or cancelled (last)';
COMMENT ON COLUMN run.definition_id IS 'the last known definition_id (last)';
COMMENT ON COLUMN run.provider IS 'the last known provider (last)';
COMMENT ON COLUMN run.model IS 'the last known model (last)';
COMMENT ON COLUMN run.source IS 'the last known source (last)';
COMMENT ON COLUMN run.external_ref IS 'the last known external_ref (last)';
COMMENT ON COLUMN run.input_filename IS 'the last known input_filename (last)';
COMMENT ON COLUMN run.current_stage IS 'the last known current_stage (last)';
COMMENT ON COLUMN run.progress_percent IS 'the last known progress_percent (last)';
COMMENT ON COLUMN run.iterations IS 'the last known iterations (last)';
COMMENT ON COLUMN run.started_at IS 'when it started (last)';
COMMENT ON COLUMN run.completed_at IS 'when it finished; null while it runs (last)';
COMMENT ON COLUMN run.latency_ms IS 'the last known latency_ms (last)';
COMMENT ON COLUMN run.duration_ms IS 'the last known duration_ms (last)';
COMMENT ON COLUMN run.tokens_input IS 'the last known tokens_input (last)';
COMMENT ON COLUMN run.tokens_output IS 'the last known tokens_output (last)';
COMMENT ON COLUMN run.cost_usd IS 'the last known cost_usd (last)';
COMMENT ON COLUMN run.error_message IS 'the last known error_message (last)';
COMMENT ON COLUMN run.error_info IS 'the last known error_info (last)';
COMMENT ON COLUMN run.config_snapshot IS 'the last known config_snapshot (last)';
COMMENT ON COLUMN run.initial_state IS 'the last known initial_state (last)';
COMMENT ON COLUMN run.current_state IS 'the last known current_state (last)';
COMMENT ON COLUMN run.final_state IS 'the last known final_state (last)';
COMMENT ON COLUMN run.results_summary IS 'the last known results_summary (last)';
COMMENT ON COLUMN run.nodes IS 'nodes stored (count)';
COMMENT ON COLUMN run.assertions IS 'assertions stored (count)';
COMMENT ON COLUMN run.files IS 'files stored (count)';
COMMENT ON COLUMN run.events IS 'events stored, of every type (count)';
COMMENT ON COLUMN run.created_at IS 'the time of its earliest event (min)';
COMMENT ON COLUMN run.updated_at IS 'the time of its latest event (max)';
COMMENT ON COLUMN run.deleted_at IS 'when it was first deleted; nothing undoes it (min)';
COMMENT ON COLUMN run.clock IS 'for each `last` column, in order, the place in the order of events of the value it has';
"""

DOWN = """\
DROP TABLE run;
DROP TABLE definition;
DROP TABLE run_file;
DROP TABLE assertion_result;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
