"""Exception: business exceptions, and every decision about them. The subject is the exception's id."""

from typing import Any, ClassVar, Literal

from msgspec import UNSET

from contracts.event_type import Family, Rank, event
from contracts.fields import (
    BigInteger,
    Data,
    Id,
    Indexed,
    Integer,
    JsonObject,
    Maybe,
    Name,
    Number,
    Optional,
    Text,
    Timestamp,
)

Severity = Literal["low", "medium", "high", "critical"]
Status = Literal["open", "analyzing", "resolved", "escalated"]


class ExceptionChanges(Data):
    """`set`: the fields of the exception that the event changes."""

    domain: Maybe[Indexed] = UNSET
    type: Maybe[Text] = UNSET
    severity: Maybe[Severity] = UNSET
    status: Maybe[Status] = UNSET
    source_system: Maybe[Text] = UNSET
    entity: Maybe[Name] = UNSET
    amount: Maybe[Number] = UNSET
    sla_deadline: Maybe[Timestamp] = UNSET
    owner: Maybe[Text] = UNSET
    current_playbook_id: Maybe[BigInteger] = UNSET
    current_step: Maybe[Integer] = UNSET


class NewException(ExceptionChanges, kw_only=True):
    """`set` of a new exception."""

    domain: Indexed
    type: Text
    severity: Severity
    source_system: Text


class ExceptionEvent(Data):
    """What every event about an exception carries."""

    event_type: ClassVar[str]  # its name as the field says it, stored beside the row

    actor_type: Literal["agent", "user", "system"]
    actor_id: Maybe[Id] = UNSET
    set: Optional[JsonObject] = UNSET
    payload: Optional[JsonObject] = UNSET

    @property
    def changes(self) -> Any:
        """`set`, under the name of the column that keeps it (SET is a word of SQL)."""
        return self.set


def _exception(verb: str, event_type: str, meaning: str) -> type[ExceptionEvent]:
    """Declare `siltstone.exception.<verb>.v1`, an event that may change any field of the exception."""
    data = type(event_type, (ExceptionEvent,), {"__doc__": meaning, "event_type": event_type}, kw_only=True, **_HOW)
    return event(
        f"exception.{verb}",
        Family.exception,
        log="exception_event",
        about="exception",
        merges=True,
        changes_field="set",
        changes=ExceptionChanges,
    )(data)


_HOW: dict[str, Any] = {"forbid_unknown_fields": True, "gc": False}


@event(
    "exception.created",
    Family.exception,
    log="exception_event",
    about="exception",
    rank=Rank.FIRST,
    merges=True,
    implies={"status": "open"},
    changes_field="set",
    changes=NewException,
)
class ExceptionCreated(ExceptionEvent, kw_only=True):
    """A business exception came up."""

    event_type: ClassVar[str] = "ExceptionCreated"

    set: JsonObject


ExceptionNormalized = _exception(
    "normalized", "ExceptionNormalized", "The exception was brought into the platform's own form."
)
TriageCompleted = _exception("triage_completed", "TriageCompleted", "Severity and owner were judged.")
PolicyEvaluated = _exception("policy_evaluated", "PolicyEvaluated", "The tenant's policies were evaluated.")
ResolutionSuggested = _exception("resolution_suggested", "ResolutionSuggested", "A resolution was suggested.")
ResolutionApproved = _exception("resolution_approved", "ResolutionApproved", "A resolution was approved.")
FeedbackCaptured = _exception("feedback_captured", "FeedbackCaptured", "Somebody said how the resolution went.")
LLMDecisionProposed = _exception("llm_decision_proposed", "LLMDecisionProposed", "A model proposed a decision.")
CopilotQuestionAsked = _exception("copilot_question_asked", "CopilotQuestionAsked", "Somebody asked the copilot.")
CopilotAnswerGiven = _exception("copilot_answer_given", "CopilotAnswerGiven", "The copilot answered.")
ExceptionUpdated = _exception("updated", "ExceptionUpdated", "Fields of the exception changed.")
