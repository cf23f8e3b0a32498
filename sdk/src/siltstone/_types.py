"""What each event carries, beside what the methods take by name.

Made by `python -m docs.generate` from the contracts; edit those instead.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Required, TypedDict

FAMILIES = {
    "exception.created": "exception",
    "exception.normalized": "exception",
    "exception.triage_completed": "exception",
    "exception.policy_evaluated": "exception",
    "exception.resolution_suggested": "exception",
    "exception.resolution_approved": "exception",
    "exception.feedback_captured": "exception",
    "exception.llm_decision_proposed": "exception",
    "exception.copilot_question_asked": "exception",
    "exception.copilot_answer_given": "exception",
    "exception.updated": "exception",
    "definition.saved": "execution",
    "definition.updated": "execution",
    "definition.deactivated": "execution",
    "definition.deleted": "execution",
    "run.started": "execution",
    "run.progressed": "execution",
    "run.updated": "execution",
    "run.finished": "execution",
    "run.deleted": "execution",
    "node.executed": "execution",
    "assertion.evaluated": "execution",
    "file.produced": "execution",
    "session.started": "extraction",
    "session.updated": "extraction",
    "session.state_changed": "extraction",
    "session.completed": "extraction",
    "session.deleted": "extraction",
    "extraction.recorded": "extraction",
    "code_block.captured": "extraction",
}
"""The family of each type of event, by its name without what is the same for all."""

ExceptionVerb = Literal[
    "created",
    "normalized",
    "triage_completed",
    "policy_evaluated",
    "resolution_suggested",
    "resolution_approved",
    "feedback_captured",
    "llm_decision_proposed",
    "copilot_question_asked",
    "copilot_answer_given",
    "updated",
]


class ExceptionCreated(TypedDict, total=False):
    """A business exception came up."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    payload: dict[str, Any]
    set: Required[dict[str, Any]]


class ExceptionNormalized(TypedDict, total=False):
    """The exception was brought into the platform's own form."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class TriageCompleted(TypedDict, total=False):
    """Severity and owner were judged."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class PolicyEvaluated(TypedDict, total=False):
    """The tenant's policies were evaluated."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class ResolutionSuggested(TypedDict, total=False):
    """A resolution was suggested."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class ResolutionApproved(TypedDict, total=False):
    """A resolution was approved."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class FeedbackCaptured(TypedDict, total=False):
    """Somebody said how the resolution went."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class LLMDecisionProposed(TypedDict, total=False):
    """A model proposed a decision."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class CopilotQuestionAsked(TypedDict, total=False):
    """Somebody asked the copilot."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class CopilotAnswerGiven(TypedDict, total=False):
    """The copilot answered."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class ExceptionUpdated(TypedDict, total=False):
    """Fields of the exception changed."""

    actor_type: Required[Literal["agent", "user", "system"]]
    actor_id: str | None
    set: dict[str, Any]
    payload: dict[str, Any]


class DefinitionSaved(TypedDict, total=False):
    """A test, graph, analysis or agent was saved whole: fields that are absent are cleared."""

    description: str | None
    spec_yaml: str | None
    canvas_state: dict[str, Any]
    provider: str | None
    model: str | None
    version: str | None
    kind: Required[str]
    name: Required[str]
    spec: Required[dict[str, Any]]


class DefinitionUpdated(TypedDict, total=False):
    """Some fields of a definition changed."""

    description: str | None
    spec_yaml: str | None
    canvas_state: dict[str, Any]
    provider: str | None
    model: str | None
    version: str | None
    kind: str | None
    name: str | None
    spec: dict[str, Any]


class DefinitionDeactivated(TypedDict, total=False):
    """A definition is out of use, until it is saved again."""


class DefinitionDeleted(TypedDict, total=False):
    """A definition is to be treated as deleted; its events and runs stay."""


class RunStarted(TypedDict, total=False):
    """A run of a definition began, or was queued."""

    kind: Required[str]
    status: Literal["pending", "running"] | None
    definition_id: str | None
    provider: str | None
    model: str | None
    source: str | None
    external_ref: str | None
    input_filename: str | None
    config_snapshot: Any
    initial_state: dict[str, Any]


class RunProgressed(TypedDict, total=False):
    """A run went on: another stage, another percentage."""

    current_stage: str | None
    progress_percent: int | None
    iterations: int | None
    status: Literal["pending", "running", "paused"] | None
    current_state: dict[str, Any]


class RunUpdated(TypedDict, total=False):
    """Any field of a run became known or changed; a final status comes with run.finished alone."""

    current_stage: str | None
    progress_percent: int | None
    iterations: int | None
    final_state: dict[str, Any]
    results_summary: Any
    error_message: str | None
    error_info: Any
    latency_ms: int | None
    duration_ms: int | None
    tokens_input: int | None
    tokens_output: int | None
    cost_usd: Decimal | float | int | None
    definition_id: str | None
    provider: str | None
    model: str | None
    source: str | None
    external_ref: str | None
    input_filename: str | None
    config_snapshot: Any
    initial_state: dict[str, Any]
    kind: str | None
    status: Literal["pending", "running", "paused"] | None
    current_state: dict[str, Any]


class RunFinished(TypedDict, total=False):
    """A run ended, well or not."""

    current_stage: str | None
    progress_percent: int | None
    iterations: int | None
    final_state: dict[str, Any]
    results_summary: Any
    error_message: str | None
    error_info: Any
    latency_ms: int | None
    duration_ms: int | None
    tokens_input: int | None
    tokens_output: int | None
    cost_usd: Decimal | float | int | None
    status: Required[Literal["completed", "failed", "cancelled"]]


class RunDeleted(TypedDict, total=False):
    """A run is to be treated as deleted; its events stay."""


class NodeExecuted(TypedDict, total=False):
    """A node of a run's graph was executed, or changed its status."""

    status: Literal["pending", "running", "completed", "failed", "skipped"]
    iteration: int | None
    started_at: datetime | str | None
    duration_ms: int | None
    state_snapshot: dict[str, Any]
    error_message: str | None


class AssertionEvaluated(TypedDict, total=False):
    """An assertion about a run was evaluated."""

    assertion_value: Any
    actual_value: Any
    failure_reason: str | None
    output_text: str | None
    tool_calls: Any
    raw_response: Any


class FileProduced(TypedDict, total=False):
    """A run produced a file."""

    file_type: str | None
    size_bytes: int | None
    storage_path: str | None


class SessionStarted(TypedDict, total=False):
    """An agent began a session."""

    environment: str | None
    stdout_log_path: str | None
    stderr_log_path: str | None
    extraction_config_version: str | None
    environment_config_version: str | None


class SessionUpdated(TypedDict, total=False):
    """Fields of a session became known, or changed; also that it ended, where nobody knows with which exit code."""

    environment: str | None
    stdout_log_path: str | None
    stderr_log_path: str | None
    extraction_config_version: str | None
    environment_config_version: str | None
    agent_name: str | None
    state: str | None
    exit_code: int | None
    ended_at: datetime | str | None
    metadata: dict[str, Any]
    total_lines_processed: int | None
    total_feedback_outcomes: int | None
    total_extraction_events: int | None


class SessionStateChanged(TypedDict, total=False):
    """A session went into another state, such as waiting for an answer."""

    exit_code: int | None
    metadata: dict[str, Any]


class SessionCompleted(TypedDict, total=False):
    """A session ended; the totals are as its producer counted them."""

    exit_code: Required[int]
    total_lines_processed: int | None
    total_feedback_outcomes: int | None
    total_extraction_events: int | None


class SessionDeleted(TypedDict, total=False):
    """A session is to be treated as deleted; its events stay."""


class ExtractionRecorded(TypedDict, total=False):
    """Something was found in an agent's output: an error, a prompt, a tool call."""

    agent_name: str
    event_type: Required[str]
    pattern: Required[str]
    matched_value: str | None
    original_line: str | None
    line_number: int | None
    metadata: dict[str, Any]
    code_block_language: str | None
    risk_level: Literal["low", "medium", "high", "critical"] | None
    auto_confirmable: bool | None


class CodeBlockCaptured(TypedDict, total=False):
    """An agent showed a block of code; equal content is stored once a tenant, by its digest."""

    agent_name: str
    language: str | None
    line_start: int | None
    line_end: int | None
    context: Any
    parseable: bool | None
