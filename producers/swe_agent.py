"""Recorded runs of SWE-agent as CloudEvents: one session, one run, and what each step said, did and met.

The events are made from the file's bytes, tenant, source and start alone: the same four give the same events.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from producers.account import Word
from producers.found import captured, edited, reported
from producers.storable import cut, json_bytes
from producers.swe_agent_file import Recording, Step, UnreadableTrajectory, read
from producers.text_findings import READABLE, ErrorLine, code_blocks, errors, lines_of
from producers.timeline import Timeline

__all__ = ["UnreadableTrajectory", "count_by_type", "events"]

SUCCESS = "submitted"  # "submitted (exit_cost)" and the like were handed in for an agent that was stopped
NO_EXIT_STATUS = "no_exit_status"
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # the day that runs are put on: the files have no date
DAY_MS = 86_400_000
DEFAULT_STEP_MS = 1_000  # of a step without execution_time
READERS = frozenset(
    "open goto scroll_up scroll_down cat head tail grep find_file search_file search_dir".split()  # noqa: SIM905
)

# Bytes as ASCII JSON; together with the envelope, those of one event stay under 1 MiB.
MAX_JSON_BYTES = 256 * 1024
MAX_ACTION_BYTES = 128 * 1024
MAX_NAME_CHARACTERS = 255


class _Timeline(Timeline):
    """Events about the run of one agent."""

    def __init__(self, agent: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.agent = agent


def events(
    content: bytes,
    *,
    name: str,
    tenant: str,
    source: str = "/importers/swe-agent",
    start: datetime | None = None,
) -> list[dict[str, Any]]:
    """The file's events in order, at least 1 ms apart, each under 1 MiB.

    Without a start the run begins on EPOCH's day at a time of day made from the content. Ids do not depend on
    the start: the same file with two starts gives the same ids at other times, stored as other events.
    name stands in error messages alone. Raise UnreadableTrajectory; ValueError for a start without an offset.
    """
    if start is not None and start.utcoffset() is None:
        raise ValueError(f"The start {start.isoformat()} has no offset from UTC: add one, such as Z.")
    return accounted(content, name=name, tenant=tenant, source=source, start=start)[0]


def accounted(
    content: bytes, *, name: str, tenant: str, source: str, start: datetime | None
) -> tuple[list[dict[str, Any]], list[Word]]:
    """The same, and a word on everything in the file that none of them holds."""
    recording = read(content, name=name)
    digest = hashlib.sha256(content).digest()
    if start is None:
        start = EPOCH + timedelta(milliseconds=int.from_bytes(digest[-8:]) % DAY_MS)
    timeline = _Timeline(recording.agent, digest, tenant, source, start.astimezone(UTC))
    _record(recording, timeline)
    return timeline.events, recording.words


def count_by_type(events: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many events there are of each type, by type name."""
    return dict(sorted(Counter(event["type"] for event in events).items()))


def _record(recording: Recording, timeline: _Timeline) -> None:
    _start(recording, timeline)
    for number, step in enumerate(recording.steps, 1):
        _step(step, number, timeline)
    status = recording.exit_status or NO_EXIT_STATUS
    if not _is_success(status):
        _exception(recording, status, timeline)
    _finish(recording, status, timeline)


def _is_success(status: str) -> bool:
    return status.lower() == SUCCESS  # as mini-swe-agent writes it, with a capital


def _start(recording: Recording, timeline: _Timeline) -> None:
    timeline.add(
        "session.started", timeline.session, "", {"agent_name": timeline.agent, "environment": recording.environment}
    )
    config = {"session_id": timeline.session} | recording.config
    timeline.add(
        "run.started",
        timeline.run,
        "",
        {
            "kind": "agent",
            "model": recording.model,
            "source": timeline.agent,
            "external_ref": recording.external_ref,
            "config_snapshot": config,
        },
    )


def _step(step: Step, number: int, timeline: _Timeline) -> None:
    """What the agent said and did comes at the step's start, what it met and the node at its end."""
    started_at, started_ms = timeline.now(), timeline.now_ms
    _said(step, number, timeline)
    command = (step.action.split(maxsplit=1) or ["think"])[0][:MAX_NAME_CHARACTERS]
    if step.action.strip():
        _did(step, number, command, timeline)
    duration_ms = DEFAULT_STEP_MS if step.duration_ms is None else step.duration_ms
    timeline.now_ms = max(timeline.now_ms, started_ms + duration_ms)
    failure = _met(step, number, command, timeline)
    timeline.add(
        "node.executed",
        timeline.run,
        f"{number}",
        {
            "node_name": command,
            "status": "failed" if failure else "completed",
            "iteration": number,
            "started_at": started_at,
            "duration_ms": step.duration_ms,
            "state_snapshot": step.state,
            "error_message": failure,
            "not_understood": step.not_understood or None,
        },
    )


def _said(step: Step, number: int, timeline: _Timeline) -> None:
    """Record the code and the errors in what the agent said.

    A response begins with its thought as a rule: a thought is read where it stands nowhere else.
    """
    for field, text in _spoken(step).items():
        _shown_code(text, field, number, timeline)
        for error in errors(text):
            _error(error, field, number, {}, timeline)


def _shown_code(text: str, field: str, number: int, timeline: _Timeline) -> None:
    """Record the fenced blocks of a text: code, or edits of files."""
    for block in code_blocks(text):
        if block.is_edit:
            context = {"step": number, "field": field}
            label = f"edit:{number}:{field}:{block.line_start}"
            timeline.add("extraction.recorded", timeline.session, label, edited(timeline.agent, block, context))
            continue
        timeline.add(
            "code_block.captured",
            timeline.session,
            f"{number}:{field}:{block.line_start}",
            captured(timeline.agent, block, {"step": number, "field": field}),
        )


def _spoken(step: Step) -> dict[str, str]:
    spoken = {"response": step.response}
    if step.thought.strip() not in step.response:
        spoken["thought"] = step.thought
    return spoken


def _did(step: Step, number: int, command: str, timeline: _Timeline) -> None:
    metadata: dict[str, Any] = {"step": number}
    for field, text, limit in (
        ("action", step.action, MAX_ACTION_BYTES),
        ("observation", step.observation, MAX_JSON_BYTES),
    ):
        metadata[field] = cut(text, limit)
        if json_bytes(text) > limit:
            metadata[f"{field}_cut_from_characters"] = len(text)
    _extracted(
        timeline,
        f"tool:{number}",
        {
            "event_type": "tool",
            "pattern": "action",
            "matched_value": command,
            "original_line": step.action.strip().split("\n", 1)[0][:4096],
            "metadata": metadata,
        },
    )


def _met(step: Step, number: int, command: str, timeline: _Timeline) -> str | None:
    """Record the code and the errors of the observation; return the first that makes the step a failure."""
    failure = None
    _shown_code(step.observation, "observation", number, timeline)
    for error in errors(step.observation):
        _error(error, "observation", number, {"command": command}, timeline)
        if not (command in READERS and error.pattern in READABLE):
            failure = failure or error.matched
    return failure


def _error(error: ErrorLine, field: str, number: int, known: dict[str, str], timeline: _Timeline) -> None:
    """Record one line that reports an error; its number counts from 1 within the field's text."""
    _extracted(
        timeline,
        f"error:{number}:{field}:{error.line_number}",
        reported(error) | {"metadata": {"step": number, "field": field, **known}},
    )


def _extracted(timeline: _Timeline, label: str, data: dict[str, Any]) -> None:
    timeline.add("extraction.recorded", timeline.session, label, {"agent_name": timeline.agent, **data})


def _exception(recording: Recording, status: str, timeline: _Timeline) -> None:
    """An agent that was stopped but left a submission is less severe than one that left nothing."""
    facts = {
        "domain": "agent",
        "type": status,
        "severity": "medium" if recording.submission else "high",
        "source_system": timeline.agent,
        "entity": recording.external_ref or timeline.run,
    }
    payload = {"run_id": timeline.run, "session_id": timeline.session, "steps": len(recording.steps)}
    data = {"actor_type": "system", "set": facts, "payload": payload}
    timeline.add("exception.created", timeline.exception, "", data)


def _finish(recording: Recording, status: str, timeline: _Timeline) -> None:
    failed = not _is_success(status)
    durations = [step.duration_ms for step in recording.steps if step.duration_ms is not None]
    complete = bool(durations) and len(durations) == len(recording.steps)
    state = recording.steps[-1].state if recording.steps else None
    message = f"The run ended with exit status {status}." if recording.exit_status else "The file has no exit status."
    summary = {"exit_status": status, "submission": recording.submission, "api_calls": recording.counts["api_calls"]}
    timeline.add(
        "run.finished",
        timeline.run,
        "",
        {
            "status": "failed" if failed else "completed",
            "final_state": state,
            "results_summary": recording.info | {key: value for key, value in summary.items() if value is not None},
            "error_message": message if failed else None,
            "error_info": {"exit_status": status} if failed else None,
            "duration_ms": sum(durations) if complete else None,
            "tokens_input": recording.counts["tokens_sent"],
            "tokens_output": recording.counts["tokens_received"],
            "cost_usd": recording.cost_usd,
            "iterations": len(recording.steps),
            "not_understood": recording.not_understood or None,
        },
    )
    texts = [text for step in recording.steps for text in (*_spoken(step).values(), step.observation)]
    ended = {"exit_code": int(failed)} if recording.exit_status else {"state": "ended", "ended_at": timeline.now()}
    timeline.add(
        "session.completed" if recording.exit_status else "session.updated",
        timeline.session,
        "",
        {
            **ended,
            "total_lines_processed": sum(len(lines_of(text)) for text in texts),
            "total_extraction_events": sum(
                event["type"] == "siltstone.extraction.recorded.v1" for event in timeline.events
            ),
        },
    )
