"""What the design says of event types and tables, for the model: no word of it is read from the pipeline."""

from collections.abc import Mapping
from typing import Any

# --- What each event type carries, in `data` (design, section 3)

_SESSION = "environment stdout_log_path stderr_log_path extraction_config_version environment_config_version agent_name"
_TOTALS = "total_lines_processed total_feedback_outcomes total_extraction_events"
_DEFINITION = "kind name spec description spec_yaml canvas_state provider model version"
_RUN = "kind definition_id provider model source external_ref input_filename config_snapshot initial_state status"
_POSITION = "current_stage progress_percent iterations"
_RESULT = (
    f"{_POSITION} final_state results_summary error_message error_info latency_ms duration_ms tokens_input "
    "tokens_output cost_usd"
)
SET = "domain type severity status source_system entity amount sla_deadline owner current_playbook_id current_step"
EVENT_NAMES = {  # of events about exceptions, as the field says them
    "created": "ExceptionCreated",
    "normalized": "ExceptionNormalized",
    "triage_completed": "TriageCompleted",
    "policy_evaluated": "PolicyEvaluated",
    "resolution_suggested": "ResolutionSuggested",
    "resolution_approved": "ResolutionApproved",
    "feedback_captured": "FeedbackCaptured",
    "llm_decision_proposed": "LLMDecisionProposed",
    "copilot_question_asked": "CopilotQuestionAsked",
    "copilot_answer_given": "CopilotAnswerGiven",
    "updated": "ExceptionUpdated",
}
FIELDS: Mapping[str, tuple[str, ...]] = {
    name: tuple(fields.split())
    for name, fields in {
        "session.started": _SESSION,
        "session.updated": f"{_SESSION} state exit_code ended_at metadata {_TOTALS}",
        "session.state_changed": "state exit_code metadata",
        "session.completed": f"exit_code {_TOTALS}",
        "session.deleted": "",
        "extraction.recorded": "agent_name event_type pattern matched_value original_line line_number metadata "
        "code_block_language risk_level auto_confirmable",
        "code_block.captured": "agent_name content language line_start line_end context parseable",
        "definition.saved": _DEFINITION,
        "definition.updated": _DEFINITION,
        "definition.deactivated": "",
        "definition.deleted": "",
        "run.started": _RUN,
        "run.progressed": f"status current_state {_POSITION}",
        "run.updated": f"{_RUN} current_state {_RESULT}",
        "run.finished": f"status {_RESULT}",
        "run.deleted": "",
        "node.executed": "node_name status iteration started_at duration_ms state_snapshot error_message",
        "assertion.evaluated": "assertion_type passed assertion_value actual_value failure_reason output_text "
        "tool_calls raw_response",
        "file.produced": "filename file_type size_bytes storage_path",
        **{f"exception.{verb}": "actor_type actor_id set payload" for verb in EVENT_NAMES},
    }.items()
}
RENAMED: Mapping[str, str] = {"total_extraction_events": "reported_extraction_events", "set": "changes"}
NUMERIC = {"amount", "cost_usd"}
TIMES = {"started_at", "ended_at", "sla_deadline"}
JSON = {
    *("spec", "canvas_state", "set", "payload", "metadata", "context", "tool_calls", "raw_response", "results_summary"),
    *("error_info", "config_snapshot", "assertion_value", "actual_value", "state_snapshot"),
    *("initial_state", "current_state", "final_state"),
}
DEFAULTS: Mapping[str, dict[str, Any]] = {
    "run.started": {"status": "running"},
    "extraction.recorded": {"auto_confirmable": False},
}

# What an event implies for its state: a column to its value, "time" for the event's own.
IMPLIED: Mapping[str, dict[str, Any]] = {
    "session.started": {"state": "started", "started_at": "time", "ended_at": None, "exit_code": None},
    "session.completed": {"state": "completed", "ended_at": "time"},
    "run.started": {
        "status": "running", "started_at": "time", "completed_at": None, "error_message": None, "error_info": None,
    },
    "run.finished": {"completed_at": "time"},
    "definition.saved": {"is_active": True},
    "definition.deactivated": {"is_active": False},
    "exception.created": {"status": "open"},
}  # fmt: skip
COUNTS: Mapping[str, str] = {
    "definition.saved": "revisions",
    "definition.updated": "revisions",
    "extraction.recorded": "extractions",
    "code_block.captured": "code_blocks",
    "node.executed": "nodes",
    "assertion.evaluated": "assertions",
    "file.produced": "files",
}
ONLY_LOGGED = {"extraction.recorded", "code_block.captured", "node.executed", "assertion.evaluated", "file.produced"}
FIRST = {"started", "created", "saved"}
LAST = {"completed", "finished", "deactivated", "deleted"}
CAPTURED = "code_block.captured"

# --- The tables (design, section 4)

NOUNS = {  # of an event type: its log, and the state that its subject names
    "session": ("session_event", "session"),
    "extraction": ("extraction_event", "session"),
    "code_block": ("code_block_occurrence", "session"),
    "definition": ("definition_event", "definition"),
    "run": ("run_event", "run"),
    "node": ("node_execution", "run"),
    "assertion": ("assertion_result", "run"),
    "file": ("run_file", "run"),
    "exception": ("exception_event", "exception"),
}
KNOWN_ATTRIBUTES = {
    *("specversion", "id", "source", "type", "time", "subject", "tenantid", "datacontenttype", "sequence"),
    *("traceparent", "tracestate", "data"),
}
_ENVELOPE = "tenant_id event_time ce_type event_id event_source sequence traceparent rest"


def _own_columns(noun: str) -> set[str]:
    fields = {field for verb, fields in FIELDS.items() if verb.split(".")[0] == noun for field in fields}
    columns = {RENAMED.get(field, field) for field in fields} - {"content"}
    return columns | {"code_block": {"digest"}, "exception": {"event_type"}}.get(noun, set())


LOG_COLUMNS: Mapping[str, tuple[str, ...]] = {
    log: (f"{thing}_id", *_ENVELOPE.split(), *sorted(_own_columns(noun))) for noun, (log, thing) in NOUNS.items()
}
"""Of each log, its columns but `event_uid` and those of the first delivery."""

_TIMES = "created_at updated_at deleted_at"
STATE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    state: tuple(RENAMED.get(column, column) for column in columns.split())
    for state, columns in {
        "session": f"{_SESSION} {_TOTALS} state exit_code metadata started_at ended_at extractions code_blocks events "
        f"{_TIMES}",
        "code_block": "content language parseable occurrences first_seen_at last_seen_at",
        "definition": f"{_DEFINITION} is_active revisions events {_TIMES}",
        "run": f"{_RUN} {_RESULT} current_state started_at completed_at nodes assertions files events {_TIMES}",
        "exception": f"{SET} events {_TIMES}",
    }.items()
}
"""Of each state, its columns but its key and `clock`."""

COUNTED = {"events", "occurrences", *COUNTS.values()}
