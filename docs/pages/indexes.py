"""Why each secondary index is there, and what it costs. docs/tables.md is not made while one lacks a reason."""

INDEX_REASONS: dict[tuple[str, str], str] = {
    ("session_event", "tenant_id, session_id, event_time"): "the events of one session, in order",
    ("extraction_event", "tenant_id, session_id, event_time"): "the extractions of one session, in order",
    ("extraction_event", "tenant_id, agent_name, event_time"): "the extractions of one agent, in order",
    ("extraction_event", "tenant_id, event_type, pattern"): "extractions by event type, or by type and pattern",
    (
        "extraction_event",
        "tenant_id, risk_level, event_time where risk_level IN ('high', 'critical')",
    ): "the risky ones, newest first; low and medium ones cost nothing",
    ("code_block_occurrence", "tenant_id, session_id, event_time"): "the code blocks of one session, in order",
    (
        "code_block_occurrence",
        "tenant_id, agent_name, language, event_time",
    ): "code blocks by agent, or by agent and language, in order",
    ("definition_event", "tenant_id, definition_id, event_time"): "the history of one definition",
    ("run_event", "tenant_id, run_id, event_time"): "the history of one run",
    ("node_execution", "tenant_id, run_id, event_time"): "the nodes of one run, in order",
    ("assertion_result", "tenant_id, run_id, event_time"): "the assertions of one run, passed or not",
    ("assertion_result", "tenant_id, event_time where NOT passed"): "what failed, newest first, over all runs",
    ("run_file", "tenant_id, run_id, event_time"): "the files of one run",
    ("exception_event", "tenant_id, exception_id, event_time"): "the event log of one exception, in order",
    ("session", "tenant_id, agent_name, started_at"): "an agent's sessions, newest first",
    (
        "session",
        "tenant_id, started_at where ended_at IS NULL AND deleted_at IS NULL",
    ): "sessions that are still open, newest first; a row leaves it when its session ends",
    ("definition", "tenant_id, name"): "a definition by its name",
    ("definition", "tenant_id, provider, model"): "definitions by provider, or by provider and model",
    (
        "run",
        "tenant_id, definition_id, status, started_at",
    ): "a definition's runs by status, newest first",
    ("run", "tenant_id, source, started_at"): "runs by where they came from, newest first",
    ("run", "tenant_id, external_ref"): "the run that another system knows by its own id",
    ("run", "tenant_id, model, started_at"): "runs by model, newest first",
    ("exception", "tenant_id, status, severity"): "the open ones by severity",
    ("exception", "tenant_id, domain, created_at"): "exceptions of a domain, newest first",
    ("exception", "tenant_id, severity, created_at"): "exceptions of a severity in any status, newest first",
    ("exception", "tenant_id, sla_deadline"): "what is due next",
    ("dead_letter", "last_failed_at, id"): "the newest letters of all tenants",
    ("dead_letter", "tenant_id, last_failed_at"): "one tenant's letters, newest first",
    ("dead_letter", "topic, partition, offset"): "letters in the order of their records, as a redrive sends them",
    (
        "dead_letter",
        "reason, first_failed_at where status IN ('dead', 'redriving', 'parked')",
    ): "letters that wait, by reason, and since when: for alerts",
    ("dead_letter", "job, batch where status = 'redriving'"): "the letters of an interrupted redrive",
    ("dead_letter_trip", "topic, partition, offset"): "the letter of one record, for `verify`",
    ("dead_letter_action", "dead_letter_id, id"): "what was done to one letter, in order",
    ("ingest_batch", "consumer_group, topic, partition"): "the account of one partition",
    ("ingest_retired", "topic, partition"): "the retired offsets of one partition",
}
"""By table and columns, as docs/tables.md names them."""

INDEX_COSTS = """\
## What an index costs

Measured with `python -m bench.index_cost` (PostgreSQL 18, 20,000 rows a transaction): CPU time of the server's process
and bytes of WAL, a row, over those of the table with its key alone. With all of its indexes an `extraction_event` row
costs 16.5 µs and 844 bytes, with its key alone 8.5 µs and 524 bytes; a new `run` row 18.0 µs and 1,517 bytes, and
10.0 µs and 1,111 bytes.

| table | index | µs | WAL bytes |
| --- | --- | --- | --- |
| extraction_event | `tenant_id, session_id, event_time` | 5.5 | 94 |
| extraction_event | `tenant_id, agent_name, event_time` | 5.0 | 123 |
| extraction_event | `tenant_id, event_type, pattern` | 3.0 | 89 |
| extraction_event | `tenant_id, risk_level, event_time` (partial: a third of the rows) | 1.0 | 26 |
| run | `tenant_id, definition_id, status, started_at` | 2.5 | 112 |
| run | `tenant_id, model, started_at` | 2.5 | 94 |
| run | `tenant_id, source, started_at` | 2.5 | 89 |
| run | `tenant_id, external_ref` | 2.0 | 101 |

The risk index is partial for this: low and medium risks are most extractions, and nobody asks for them by risk.
There is no index by tenant and time over a whole log: the key, which begins with the time, and the partitions serve it.
"""
