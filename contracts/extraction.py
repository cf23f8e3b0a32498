"""Extraction: agent sessions, and what was extracted from their output. The subject is the session's id."""

import hashlib
from functools import partial
from typing import Literal

from msgspec import UNSET, field

from contracts.event_type import TIME, Family, Rank, event
from contracts.fields import Count, Data, Flag, Integer, Json, JsonObject, Label, Maybe, Name, Optional, Text, Timestamp

_session = partial(event, family=Family.extraction, log="session_event", about="session")


class _SessionPaths(Data):
    environment: Maybe[Text] = UNSET
    stdout_log_path: Maybe[Text] = UNSET
    stderr_log_path: Maybe[Text] = UNSET
    extraction_config_version: Maybe[Text] = UNSET
    environment_config_version: Maybe[Text] = UNSET


@_session(
    "session.started",
    rank=Rank.FIRST,
    merges=True,
    implies={"state": "started", "started_at": TIME, "ended_at": None, "exit_code": None},
)
class SessionStarted(_SessionPaths, kw_only=True):
    """An agent began a session."""

    agent_name: Name


@_session("session.updated", merges=True)
class SessionUpdated(_SessionPaths):
    """Fields of a session became known, or changed; also that it ended, where nobody knows with which exit code."""

    agent_name: Maybe[Name] = UNSET
    state: Maybe[Text] = UNSET
    exit_code: Maybe[Integer] = UNSET
    ended_at: Maybe[Timestamp] = UNSET
    metadata: Optional[JsonObject] = UNSET
    total_lines_processed: Maybe[Count] = UNSET
    total_feedback_outcomes: Maybe[Count] = UNSET
    reported_extraction_events: Maybe[Count] = field(default=UNSET, name="total_extraction_events")


@_session("session.state_changed", merges=True)
class SessionStateChanged(Data):
    """A session went into another state, such as waiting for an answer."""

    state: Text
    exit_code: Maybe[Integer] = UNSET
    metadata: Optional[JsonObject] = UNSET


@_session("session.completed", rank=Rank.LAST, merges=True, implies={"state": "completed", "ended_at": TIME})
class SessionCompleted(Data):
    """A session ended; the totals are as its producer counted them."""

    exit_code: Integer
    total_lines_processed: Maybe[Count] = UNSET
    total_feedback_outcomes: Maybe[Count] = UNSET
    reported_extraction_events: Maybe[Count] = field(default=UNSET, name="total_extraction_events")


@_session("session.deleted", rank=Rank.LAST, implies={"deleted_at": TIME})
class SessionDeleted(Data):
    """A session is to be treated as deleted; its events stay."""


@event("extraction.recorded", Family.extraction, log="extraction_event", about="session", fills=("agent_name",))
class ExtractionRecorded(Data):
    """Something was found in an agent's output: an error, a prompt, a tool call."""

    agent_name: Name
    event_type: Name
    pattern: Name
    matched_value: Maybe[Text] = UNSET
    original_line: Maybe[Text] = UNSET
    line_number: Maybe[Integer] = UNSET
    metadata: Optional[JsonObject] = UNSET
    code_block_language: Maybe[Label] = UNSET
    risk_level: Maybe[Literal["low", "medium", "high", "critical"]] = UNSET
    auto_confirmable: Maybe[Flag] = False


@event(
    "code_block.captured",
    Family.extraction,
    log="code_block_occurrence",
    about="session",
    fills=("agent_name",),
    also="code_block",
)
class CodeBlockCaptured(Data):
    """An agent showed a block of code; equal content is stored once a tenant, by its digest."""

    agent_name: Name
    content: Text
    language: Maybe[Label] = UNSET
    line_start: Maybe[Integer] = UNSET
    line_end: Maybe[Integer] = UNSET
    context: Optional[Json] = UNSET
    parseable: Maybe[Flag] = UNSET

    @property
    def digest(self) -> str:
        """SHA-256 of the content, as 64 hexadecimal digits."""
        return hashlib.sha256(self.content.encode()).hexdigest()
