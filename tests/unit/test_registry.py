"""Each event type is declared and has a golden message with all of its fields (docs/events.md; G8)."""

import json

import pytest
from msgspec import UNSET, structs

from contracts.event_type import Family
from contracts.registry import EVENT_TYPES
from persistence.logs import LOG_BY_NAME
from persistence.states import STATE_BY_NAME
from tests.support import golden
from tests.support.decoding import decoded

DESIGNED = {
    Family.extraction: {
        "session.started", "session.updated", "session.state_changed", "session.completed", "session.deleted",
        "extraction.recorded", "code_block.captured",
    },
    Family.execution: {
        "definition.saved", "definition.updated", "definition.deactivated", "definition.deleted",
        "run.started", "run.progressed", "run.updated", "run.finished", "run.deleted",
        "node.executed", "assertion.evaluated", "file.produced",
    },
    Family.exception: {
        "exception.created", "exception.normalized", "exception.triage_completed", "exception.policy_evaluated",
        "exception.resolution_suggested", "exception.resolution_approved", "exception.feedback_captured",
        "exception.llm_decision_proposed", "exception.copilot_question_asked", "exception.copilot_answer_given",
        "exception.updated",
    },
}  # fmt: skip


def test_every_type_is_declared_in_its_family() -> None:
    """The registry holds version 1 of each event type, in the family whose topic it comes by, and no other."""
    expected = {f"siltstone.{verb}.v1": family for family, verbs in DESIGNED.items() for verb in verbs}
    assert {name: kind.family for name, kind in EVENT_TYPES.items()} == expected


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_type_has_a_table(name: str) -> None:
    """A type's log and states exist, and its fills and implied columns are columns of its state."""
    kind = EVENT_TYPES[name]
    assert kind in LOG_BY_NAME[kind.log].event_types
    state = STATE_BY_NAME[kind.about]
    assert set(kind.fills) | set(kind.implies) <= set(state.by_name)
    assert kind.also is None or kind.also in STATE_BY_NAME


def test_every_type_has_a_golden_message() -> None:
    """There is a message for every type that is accepted today; those of older versions stay beside them."""
    assert set(EVENT_TYPES) <= set(golden.names())


@pytest.mark.parametrize("name", golden.names())
def test_a_golden_message_decodes_with_all_of_its_fields(name: str) -> None:
    """A message once accepted decodes for ever: every field of the type has a value, the unknown one is kept."""
    event = decoded(golden.value(name))
    sent = json.loads(golden.value(name))
    assert event.type.name == name
    assert event.event_id == sent["id"]
    fields = structs.fields(event.type.data)
    assert [f.name for f in fields if getattr(event.data, f.name) in (UNSET, None)] == []
    assert {f.encode_name for f in fields} == set(sent["data"]) - {"unknown_field"}
    assert json.loads(event.rest or "", parse_float=str) == {
        "attributes": {"tracestate": "vendor=a1"},
        "data": {"unknown_field": {"kept": ["1.10", None]}},
    }
