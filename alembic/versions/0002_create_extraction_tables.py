"""Create the logs and states of agent sessions."""

from alembic import op

from persistence.migrate import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = """\
CREATE TABLE session_event (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    environment TEXT,
    stdout_log_path TEXT,
    stderr_log_path TEXT,
    extraction_config_version TEXT,
    environment_config_version TEXT,
    agent_name TEXT,
    state TEXT,
    exit_code INTEGER,
    metadata JSONB,
    total_lines_processed BIGINT,
    total_feedback_outcomes BIGINT,
    reported_extraction_events BIGINT,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT session_event_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX session_event_tenant_id_session_id_event_time_idx ON session_event (tenant_id, session_id, event_time);
COMMENT ON TABLE session_event IS 'Every session.* event';
COMMENT ON COLUMN session_event.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN session_event.tenant_id IS 'whose event it is';
COMMENT ON COLUMN session_event.session_id IS 'the event''s subject';
COMMENT ON COLUMN session_event.event_time IS 'the event''s own time';
COMMENT ON COLUMN session_event.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN session_event.event_id IS 'the producer''s id';
COMMENT ON COLUMN session_event.event_source IS 'who published it';
COMMENT ON COLUMN session_event.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN session_event.traceparent IS 'W3C trace context';
COMMENT ON COLUMN session_event.environment IS 'the event''s environment';
COMMENT ON COLUMN session_event.stdout_log_path IS 'the event''s stdout_log_path';
COMMENT ON COLUMN session_event.stderr_log_path IS 'the event''s stderr_log_path';
COMMENT ON COLUMN session_event.extraction_config_version IS 'the event''s extraction_config_version';
COMMENT ON COLUMN session_event.environment_config_version IS 'the event''s environment_config_version';
COMMENT ON COLUMN session_event.agent_name IS 'the event''s agent_name';
COMMENT ON COLUMN session_event.state IS 'the event''s state';
COMMENT ON COLUMN session_event.exit_code IS 'the event''s exit_code';
COMMENT ON COLUMN session_event.metadata IS 'the event''s metadata';
COMMENT ON COLUMN session_event.total_lines_processed IS 'the event''s total_lines_processed';
COMMENT ON COLUMN session_event.total_feedback_outcomes IS 'the event''s total_feedback_outcomes';
COMMENT ON COLUMN session_event.reported_extraction_events IS 'the event''s reported_extraction_events';
COMMENT ON COLUMN session_event.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN session_event.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN session_event.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN session_event.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN session_event.ingested_at IS 'when the first delivery was stored';

CREATE TABLE extraction_event (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    agent_name TEXT,
    event_type TEXT,
    pattern TEXT,
    matched_value TEXT,
    original_line TEXT,
    line_number INTEGER,
    metadata JSONB,
    code_block_language TEXT,
    risk_level TEXT,
    auto_confirmable BOOLEAN,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT extraction_event_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX extraction_event_risk_idx ON extraction_event (tenant_id, risk_level, event_time) WHERE risk_level IN ('high', 'critical');
CREATE INDEX extraction_event_tenant_id_agent_name_event_time_idx ON extraction_event (tenant_id, agent_name, event_time);
CREATE INDEX extraction_event_tenant_id_event_type_pattern_idx ON extraction_event (tenant_id, event_type, pattern);
CREATE INDEX extraction_event_tenant_id_session_id_event_time_idx ON extraction_event (tenant_id, session_id, event_time);
COMMENT ON TABLE extraction_event IS 'Every extraction.recorded event: what was found in an agent''s output';
COMMENT ON COLUMN extraction_event.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN extraction_event.tenant_id IS 'whose event it is';
COMMENT ON COLUMN extraction_event.session_id IS 'the event''s subject';
COMMENT ON COLUMN extraction_event.event_time IS 'the event''s own time';
COMMENT ON COLUMN extraction_event.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN extraction_event.event_id IS 'the producer''s id';
COMMENT ON COLUMN extraction_event.event_source IS 'who published it';
COMMENT ON COLUMN extraction_event.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN extraction_event.traceparent IS 'W3C trace context';
COMMENT ON COLUMN extraction_event.agent_name IS 'the event''s agent_name';
COMMENT ON COLUMN extraction_event.event_type IS 'the event''s event_type';
COMMENT ON COLUMN extraction_event.pattern IS 'the event''s pattern';
COMMENT ON COLUMN extraction_event.matched_value IS 'the event''s matched_value';
COMMENT ON COLUMN extraction_event.original_line IS 'the event''s original_line';
COMMENT ON COLUMN extraction_event.line_number IS 'the event''s line_number';
COMMENT ON COLUMN extraction_event.metadata IS 'the event''s metadata';
COMMENT ON COLUMN extraction_event.code_block_language IS 'the event''s code_block_language';
COMMENT ON COLUMN extraction_event.risk_level IS 'the event''s risk_level';
COMMENT ON COLUMN extraction_event.auto_confirmable IS 'the event''s auto_confirmable';
COMMENT ON COLUMN extraction_event.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN extraction_event.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN extraction_event.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN extraction_event.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN extraction_event.ingested_at IS 'when the first delivery was stored';

CREATE TABLE code_block_occurrence (
    event_uid UUID NOT NULL,
    tenant_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    event_time TIMESTAMP WITH TIME ZONE NOT NULL,
    ce_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_source TEXT NOT NULL,
    sequence TEXT,
    traceparent TEXT,
    digest TEXT,
    agent_name TEXT,
    language TEXT,
    line_start INTEGER,
    line_end INTEGER,
    context JSONB,
    parseable BOOLEAN,
    rest JSONB,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT code_block_occurrence_pkey PRIMARY KEY (event_uid)
) PARTITION BY RANGE (event_uid);
CREATE INDEX code_block_occurrence_tenant_id_agent_name_language_eve_4dbf ON code_block_occurrence (tenant_id, agent_name, language, event_time);
CREATE INDEX code_block_occurrence_tenant_id_session_id_event_time_idx ON code_block_occurrence (tenant_id, session_id, event_time);
COMMENT ON TABLE code_block_occurrence IS 'Every code_block.captured event: who showed which block, where';
COMMENT ON COLUMN code_block_occurrence.event_uid IS 'UUIDv8 of the event''s identity; sorts by its time';
COMMENT ON COLUMN code_block_occurrence.tenant_id IS 'whose event it is';
COMMENT ON COLUMN code_block_occurrence.session_id IS 'the event''s subject';
COMMENT ON COLUMN code_block_occurrence.event_time IS 'the event''s own time';
COMMENT ON COLUMN code_block_occurrence.ce_type IS 'CloudEvents type, with its major version';
COMMENT ON COLUMN code_block_occurrence.event_id IS 'the producer''s id';
COMMENT ON COLUMN code_block_occurrence.event_source IS 'who published it';
COMMENT ON COLUMN code_block_occurrence.sequence IS 'the producer''s order among events of one time';
COMMENT ON COLUMN code_block_occurrence.traceparent IS 'W3C trace context';
COMMENT ON COLUMN code_block_occurrence.digest IS 'the event''s digest';
COMMENT ON COLUMN code_block_occurrence.agent_name IS 'the event''s agent_name';
COMMENT ON COLUMN code_block_occurrence.language IS 'the event''s language';
COMMENT ON COLUMN code_block_occurrence.line_start IS 'the event''s line_start';
COMMENT ON COLUMN code_block_occurrence.line_end IS 'the event''s line_end';
COMMENT ON COLUMN code_block_occurrence.context IS 'the event''s context (any JSON)';
COMMENT ON COLUMN code_block_occurrence.parseable IS 'the event''s parseable';
COMMENT ON COLUMN code_block_occurrence.rest IS 'unknown attributes and fields, and nulls said outright; else null';
COMMENT ON COLUMN code_block_occurrence.kafka_topic IS 'of the first delivery';
COMMENT ON COLUMN code_block_occurrence.kafka_partition IS 'of the first delivery';
COMMENT ON COLUMN code_block_occurrence.kafka_offset IS 'of the first delivery';
COMMENT ON COLUMN code_block_occurrence.ingested_at IS 'when the first delivery was stored';

CREATE TABLE session (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    agent_name TEXT,
    environment TEXT,
    state TEXT,
    exit_code INTEGER,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    stdout_log_path TEXT,
    stderr_log_path TEXT,
    extraction_config_version TEXT,
    environment_config_version TEXT,
    metadata JSONB,
    total_lines_processed BIGINT,
    total_feedback_outcomes BIGINT,
    reported_extraction_events BIGINT,
    extractions BIGINT DEFAULT 0 NOT NULL,
    code_blocks BIGINT DEFAULT 0 NOT NULL,
    events BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    deleted_at TIMESTAMP WITH TIME ZONE,
    clock BYTEA[] NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX session_open_idx ON session (tenant_id, started_at) WHERE ended_at IS NULL AND deleted_at IS NULL;
CREATE INDEX session_tenant_id_agent_name_started_at_idx ON session (tenant_id, agent_name, started_at);
COMMENT ON TABLE session IS 'One agent session';
COMMENT ON COLUMN session.tenant_id IS 'whose it is';
COMMENT ON COLUMN session.id IS 'with tenant_id, which one it is';
COMMENT ON COLUMN session.agent_name IS 'which agent (last)';
COMMENT ON COLUMN session.environment IS 'the last known environment (last)';
COMMENT ON COLUMN session.state IS 'started, completed, or as the producer says in between (last)';
COMMENT ON COLUMN session.exit_code IS 'the last known exit_code (last)';
COMMENT ON COLUMN session.started_at IS 'when it started (last)';
COMMENT ON COLUMN session.ended_at IS 'when it completed; null while it is open (last)';
COMMENT ON COLUMN session.stdout_log_path IS 'the last known stdout_log_path (last)';
COMMENT ON COLUMN session.stderr_log_path IS 'the last known stderr_log_path (last)';
COMMENT ON COLUMN session.extraction_config_version IS 'the last known extraction_config_version (last)';
COMMENT ON COLUMN session.environment_config_version IS 'the last known environment_config_version (last)';
COMMENT ON COLUMN session.metadata IS 'the last known metadata (last)';
COMMENT ON COLUMN session.total_lines_processed IS 'the last known total_lines_processed (last)';
COMMENT ON COLUMN session.total_feedback_outcomes IS 'the last known total_feedback_outcomes (last)';
COMMENT ON COLUMN session.reported_extraction_events IS 'extractions as the producer counted them (last)';
COMMENT ON COLUMN session.extractions IS 'extractions stored (count)';
COMMENT ON COLUMN session.code_blocks IS 'code blocks stored (count)';
COMMENT ON COLUMN session.events IS 'events stored, of every type (count)';
COMMENT ON COLUMN session.created_at IS 'the time of its earliest event (min)';
COMMENT ON COLUMN session.updated_at IS 'the time of its latest event (max)';
COMMENT ON COLUMN session.deleted_at IS 'when it was first deleted; nothing undoes it (min)';
COMMENT ON COLUMN session.clock IS 'for each `last` column, in order, the place in the order of events of the value it has';

CREATE TABLE code_block (
    tenant_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    content TEXT,
    language TEXT,
    parseable BOOLEAN,
    occurrences BIGINT DEFAULT 0 NOT NULL,
    first_seen_at TIMESTAMP WITH TIME ZONE,
    last_seen_at TIMESTAMP WITH TIME ZONE,
    clock BYTEA[] NOT NULL,
    CONSTRAINT code_block_pkey PRIMARY KEY (tenant_id, digest)
) WITH (fillfactor = 80);
COMMENT ON TABLE code_block IS 'One block of code, by its digest; who captured it is in code_block_occurrence';
COMMENT ON COLUMN code_block.tenant_id IS 'whose it is';
COMMENT ON COLUMN code_block.digest IS 'with tenant_id, which one it is';
COMMENT ON COLUMN code_block.content IS 'the block''s text (last)';
COMMENT ON COLUMN code_block.language IS 'the last known language (last)';
COMMENT ON COLUMN code_block.parseable IS 'the last known parseable (last)';
COMMENT ON COLUMN code_block.occurrences IS 'how often it was captured (count)';
COMMENT ON COLUMN code_block.first_seen_at IS 'when it was first captured (min)';
COMMENT ON COLUMN code_block.last_seen_at IS 'when it was last captured (max)';
COMMENT ON COLUMN code_block.clock IS 'for each `last` column, in order, the place in the order of events of the value it has';
"""

DOWN = """\
DROP TABLE code_block;
DROP TABLE session;
DROP TABLE code_block_occurrence;
DROP TABLE extraction_event;
DROP TABLE session_event;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
