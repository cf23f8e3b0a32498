"""Execution: definitions, their runs, nodes, assertions and files. The subject is the run's or definition's id."""

from functools import partial
from typing import Literal

from msgspec import UNSET

from contracts.event_type import TIME, Family, Rank, event
from contracts.fields import (
    Count,
    Data,
    Flag,
    Id,
    Indexed,
    Integer,
    Json,
    JsonObject,
    Label,
    Maybe,
    Model,
    Name,
    Number,
    Optional,
    Percent,
    Text,
    Timestamp,
)

_definition = partial(event, family=Family.execution, log="definition_event", about="definition")
_run = partial(event, family=Family.execution, log="run_event", about="run")


class _DefinitionText(Data):
    description: Maybe[Text] = UNSET
    spec_yaml: Maybe[Text] = UNSET
    canvas_state: Optional[JsonObject] = UNSET
    provider: Maybe[Label] = UNSET
    model: Maybe[Model] = UNSET
    version: Maybe[Text] = UNSET


@_definition("definition.saved", rank=Rank.FIRST, merges=True, replaces=True, implies={"is_active": True})
class DefinitionSaved(_DefinitionText, kw_only=True):
    """A test, graph, analysis or agent was saved whole: fields that are absent are cleared."""

    kind: Label
    name: Name
    spec: JsonObject


@_definition("definition.updated", merges=True)
class DefinitionUpdated(_DefinitionText):
    """Some fields of a definition changed."""

    kind: Maybe[Label] = UNSET
    name: Maybe[Name] = UNSET
    spec: Optional[JsonObject] = UNSET


@_definition("definition.deactivated", rank=Rank.LAST, implies={"is_active": False})
class DefinitionDeactivated(Data):
    """A definition is out of use, until it is saved again."""


@_definition("definition.deleted", rank=Rank.LAST, implies={"deleted_at": TIME})
class DefinitionDeleted(Data):
    """A definition is to be treated as deleted; its events and runs stay."""


class _RunPosition(Data):
    current_stage: Maybe[Label] = UNSET
    progress_percent: Maybe[Percent] = UNSET
    iterations: Maybe[Integer] = UNSET


class _RunResult(_RunPosition):
    final_state: Optional[JsonObject] = UNSET
    results_summary: Optional[Json] = UNSET
    error_message: Maybe[Text] = UNSET
    error_info: Optional[Json] = UNSET
    latency_ms: Maybe[Count] = UNSET
    duration_ms: Maybe[Count] = UNSET
    tokens_input: Maybe[Count] = UNSET
    tokens_output: Maybe[Count] = UNSET
    cost_usd: Maybe[Number] = UNSET


@_run(
    "run.started",
    rank=Rank.FIRST,
    merges=True,
    implies={"status": "running", "started_at": TIME, "completed_at": None, "error_message": None, "error_info": None},
)
class RunStarted(Data):
    """A run of a definition began, or was queued."""

    kind: Label
    status: Maybe[Literal["pending", "running"]] = "running"
    definition_id: Maybe[Id] = UNSET
    provider: Maybe[Label] = UNSET
    model: Maybe[Model] = UNSET
    source: Maybe[Label] = UNSET
    external_ref: Maybe[Indexed] = UNSET
    input_filename: Maybe[Name] = UNSET
    config_snapshot: Optional[Json] = UNSET
    initial_state: Optional[JsonObject] = UNSET


@_run("run.progressed", merges=True)
class RunProgressed(_RunPosition):
    """A run went on: another stage, another percentage."""

    status: Maybe[Literal["pending", "running", "paused"]] = UNSET
    current_state: Optional[JsonObject] = UNSET


@_run("run.updated", merges=True)
class RunUpdated(_RunResult):
    """Any field of a run became known or changed; a final status comes with run.finished alone."""

    definition_id: Maybe[Id] = UNSET
    provider: Maybe[Label] = UNSET
    model: Maybe[Model] = UNSET
    source: Maybe[Label] = UNSET
    external_ref: Maybe[Indexed] = UNSET
    input_filename: Maybe[Name] = UNSET
    config_snapshot: Optional[Json] = UNSET
    initial_state: Optional[JsonObject] = UNSET
    kind: Maybe[Label] = UNSET
    status: Maybe[Literal["pending", "running", "paused"]] = UNSET
    current_state: Optional[JsonObject] = UNSET


@_run("run.finished", rank=Rank.LAST, merges=True, implies={"completed_at": TIME})
class RunFinished(_RunResult, kw_only=True):
    """A run ended, well or not."""

    status: Literal["completed", "failed", "cancelled"]


@_run("run.deleted", rank=Rank.LAST, implies={"deleted_at": TIME})
class RunDeleted(Data):
    """A run is to be treated as deleted; its events stay."""


@event("node.executed", Family.execution, log="node_execution", about="run")
class NodeExecuted(Data):
    """A node of a run's graph was executed, or changed its status."""

    node_name: Text
    status: Literal["pending", "running", "completed", "failed", "skipped"]
    iteration: Maybe[Integer] = UNSET
    started_at: Maybe[Timestamp] = UNSET
    duration_ms: Maybe[Count] = UNSET
    state_snapshot: Optional[JsonObject] = UNSET
    error_message: Maybe[Text] = UNSET


@event("assertion.evaluated", Family.execution, log="assertion_result", about="run")
class AssertionEvaluated(Data):
    """An assertion about a run was evaluated."""

    assertion_type: Text
    passed: Flag
    assertion_value: Optional[Json] = UNSET
    actual_value: Optional[Json] = UNSET
    failure_reason: Maybe[Text] = UNSET
    output_text: Maybe[Text] = UNSET
    tool_calls: Optional[Json] = UNSET
    raw_response: Optional[Json] = UNSET


@event("file.produced", Family.execution, log="run_file", about="run")
class FileProduced(Data):
    """A run produced a file."""

    filename: Name
    file_type: Maybe[Text] = UNSET
    size_bytes: Maybe[Count] = UNSET
    storage_path: Maybe[Text] = UNSET
