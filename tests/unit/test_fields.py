"""The fields of data: absent, null and value told apart, and every limit at its bound and one beyond."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from contracts.refusal import Reason, Stage
from tests.support.decoding import TIME, decoded, finished, refusal, value_with, verdict
from tests.support.events import event

INVALID = (Reason.schema_invalid, Stage.schema)
OUT_OF_RANGE = (Reason.numeric_out_of_range, Stage.schema)


def field(one: dict[str, Any] | bytes, name: str) -> Any:
    """A field of the decoded data."""
    return getattr(decoded(one).data, name)


def test_absent_null_and_value_are_told_apart() -> None:
    """An absent field is UNSET, a null one None, and any other has its value; JSON null stays raw."""
    assert field(finished(), "error_message") is UNSET
    assert field(finished({"error_message": None}), "error_message") is None
    assert field(finished({"error_message": ""}), "error_message") == ""
    assert field(finished(), "final_state") is UNSET
    assert bytes(field(finished({"final_state": None}), "final_state")) == b"null"


@pytest.mark.parametrize(
    ("noun_verb", "data", "name"),
    [
        ("run.finished", {}, "status"),
        ("session.completed", {}, "exit_code"),
        ("definition.saved", {"kind": "test", "name": "n"}, "spec"),
        ("exception.created", {"actor_type": "agent"}, "set"),
        ("exception.updated", {}, "actor_type"),
        ("assertion.evaluated", {"assertion_type": "equals"}, "passed"),
    ],
)
def test_a_required_field_is_neither_absent_nor_null(noun_verb: str, data: dict[str, Any], name: str) -> None:
    """A required field that is absent or null is refused, with its name in the message; raw JSON is no exception."""
    for given in (data, data | {name: None}):
        refused = refusal(event(noun_verb, "s", given, time=TIME))
        assert (refused.reason, refused.stage) == INVALID
        assert f"`{name}`" in refused.message or f"`$.data.{name}`" in refused.message


@pytest.mark.parametrize("missing", ["domain", "type", "severity", "source_system"])
def test_a_new_exception_says_what_it_is(missing: str) -> None:
    """exception.created needs domain, type, severity and source_system in its `set`; others need none."""
    changes = {"domain": "d", "type": "t", "severity": "low", "source_system": "s"}
    del changes[missing]
    created = event("exception.created", "e", {"actor_type": "agent", "set": changes}, time=TIME)
    assert verdict(created) == INVALID
    assert verdict(created | {"data": {"actor_type": "agent", "set": changes | {missing: None}}}) == INVALID
    assert decoded(created | {"type": "siltstone.exception.updated.v1"}).type.noun_verb == "exception.updated"


@pytest.mark.parametrize(
    ("noun_verb", "data", "name", "longest"),
    [
        ("session.started", {}, "agent_name", 255),
        ("extraction.recorded", {"agent_name": "a", "event_type": "e"}, "pattern", 255),
        ("extraction.recorded", {"agent_name": "a", "pattern": "p"}, "event_type", 255),
        ("definition.saved", {"kind": "test", "spec": {}}, "name", 255),
        ("file.produced", {}, "filename", 255),
        ("run.started", {"kind": "test"}, "model", 100),
        ("run.started", {"kind": "test"}, "definition_id", 256),
        ("run.started", {"kind": "test"}, "provider", 50),
        ("run.started", {"kind": "test"}, "source", 50),
        ("run.started", {}, "kind", 50),
        ("run.progressed", {}, "current_stage", 50),
        ("code_block.captured", {"agent_name": "a", "content": "c"}, "language", 50),
        ("exception.updated", {}, "actor_id", 256),
    ],
)
def test_a_text_field_ends_at_its_limit(noun_verb: str, data: dict[str, Any], name: str, longest: int) -> None:
    """A text of the longest length (in characters) is accepted; one more is schema_invalid."""
    required = {"actor_type": "agent"} if noun_verb.startswith("exception") else {}
    accepted = event(noun_verb, "s", required | data | {name: "é" * longest}, time=TIME)
    assert field(accepted, name) == "é" * longest
    assert verdict(event(noun_verb, "s", required | data | {name: "é" * (longest + 1)}, time=TIME)) == INVALID


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("latency_ms", 0, 2**63 - 1),
        ("tokens_input", 0, 2**63 - 1),
        ("iterations", -(2**31), 2**31 - 1),
        ("progress_percent", 0, 100),
    ],
)
def test_an_integer_ends_at_its_bounds(name: str, least: int, most: int) -> None:
    """The least and the greatest value are accepted; one beyond is numeric_out_of_range, far beyond too."""
    assert field(finished({name: least}), name) == least
    assert field(finished({name: most}), name) == most
    for beyond in (least - 1, most + 1, 2**64, -(2**70), 10**40):
        assert verdict(finished({name: beyond})) == OUT_OF_RANGE


@pytest.mark.parametrize("name", ["current_playbook_id", "current_step"])
def test_numbers_in_set_have_bounds_too(name: str) -> None:
    """current_playbook_id is a bigint with a sign, current_step an integer."""
    most = 2**63 - 1 if name == "current_playbook_id" else 2**31 - 1

    def one(number: int) -> dict[str, Any]:
        return event("exception.updated", "e", {"actor_type": "user", "set": {name: number}}, time=TIME)

    for number in (most, -most - 1):
        assert getattr(decoded(one(number)).changed, name) == number
    for number in (most + 1, -most - 2):
        assert verdict(one(number)) == OUT_OF_RANGE


@pytest.mark.parametrize("text", ["1.5", "1.0000000000000000000000000001", "1e-400", '"5"', '"1.0"', "true", "[]"])
def test_an_integer_is_a_whole_number(text: str) -> None:
    """A fraction, however small, a text and a boolean are no integer."""
    assert verdict(value_with(f'"latency_ms": {text}')) == INVALID


@pytest.mark.parametrize(
    ("text", "whole"), [("12.0", 12), ("1e2", 100), ("-0.0", 0), ("1200e-2", 12), ("9223372036854775807.0", 2**63 - 1)]
)
def test_a_whole_number_may_have_a_fraction_of_zeros_or_an_exponent(text: str, whole: int) -> None:
    """As JSON Schema has it; in `set`, in a renamed field and beside an unknown one too, and each keeps its bounds."""
    assert field(value_with(f'"latency_ms": {text}'), "latency_ms") == whole
    assert field(value_with(f'"latency_ms": {text}, "unknown": 1.0'), "latency_ms") == whole
    counted = event("session.completed", "s", {"exit_code": 0, "total_extraction_events": 7}, time=TIME)
    value = json.dumps(counted).replace("7}", f"{text}}}").encode()
    assert field(value, "reported_extraction_events") == whole
    changed = event("exception.updated", "e", {"actor_type": "user", "set": {"current_playbook_id": 7}}, time=TIME)
    value = json.dumps(changed).replace("7}", f"{text}}}").encode()
    assert getattr(decoded(value).changed, "current_playbook_id") == whole  # noqa: B009 - its type is any type's


@pytest.mark.parametrize("text", ["9223372036854775808.0", "1e19", "-1.0", "1e308", "1e400000000"])
def test_a_whole_number_with_a_fraction_ends_at_the_same_bounds(text: str) -> None:
    """Beyond is numeric_out_of_range, beside another such number too: what is huge is not written out."""
    assert verdict(value_with(f'"latency_ms": {text}')) == OUT_OF_RANGE
    assert verdict(value_with(f'"duration_ms": 1.0, "latency_ms": {text}')) == OUT_OF_RANGE


@pytest.mark.parametrize(
    "text",
    ["0.10", "1.000000000000000000000000001", "123456789012345678901234567890", "-1.50", "1E+2", "0.1e-5", "1e131071"],
)
def test_a_decimal_keeps_every_digit(text: str) -> None:
    """A JSON number and a decimal string are the same exact number, trailing zeros included."""
    for given in (text, f'"{text}"'):
        number = field(value_with(f'"cost_usd": {given}'), "cost_usd")
        assert isinstance(number, Decimal)
        assert number.as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize(
    "text",
    [
        '"NaN"',
        '"sNaN"',
        '"Infinity"',
        '"-inf"',
        '"1_0"',
        '"\u0661"',
        '" 1"',
        '"1 "',
        '"+1"',
        '".5"',
        '"1."',
        '"01"',
        '""',
        "true",
        "[]",
        '"1e"',
    ],
)
def test_a_decimal_is_written_as_a_json_number(text: str) -> None:
    """What Python's Decimal reads beyond that (NaN, underscores, other digits, blanks) is schema_invalid."""
    assert verdict(value_with(f'"cost_usd": {text}')) == INVALID


@pytest.mark.parametrize(
    "text", ["1e400000", "1e131072", "1e-16384", "1e99999999999999999999", "-1e99999999999999999999"]
)
def test_a_decimal_that_no_column_holds_is_out_of_range(text: str) -> None:
    """More than 131,072 digits before the point or 16,383 after it are numeric_out_of_range, as number and text."""
    for given in (text, f'"{text}"'):
        assert verdict(value_with(f'"cost_usd": {given}')) == OUT_OF_RANGE
    changes = {"actor_type": "agent", "set": {"amount": text}}
    assert verdict(event("exception.updated", "e", changes, time=TIME)) == OUT_OF_RANGE


def test_a_timestamp_has_an_offset() -> None:
    """A *_at field and sla_deadline are instants; without an offset, or as a number, they are schema_invalid."""

    def node(at: object) -> dict[str, Any]:
        return event("node.executed", "r", {"node_name": "n", "status": "failed", "started_at": at}, time=TIME)

    def updated(at: object) -> dict[str, Any]:
        return event("exception.updated", "e", {"actor_type": "system", "set": {"sla_deadline": at}}, time=TIME)

    instant = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert field(node("2026-01-31T17:30:00+05:30"), "started_at") == instant
    assert decoded(updated("2026-01-31T12:00:00Z")).changed.sla_deadline == instant  # type: ignore[attr-defined]
    assert instant.utcoffset() == timedelta(0)
    bad: object
    for bad in (
        "2026-01-31T12:00:00",
        "soon",
        "",
        1_769_860_800,
        [],
        "0001-01-01T00:00:00+05:00",
        "2026-13-01T00:00:00Z",
    ):
        assert verdict(node(bad)) == INVALID
        assert verdict(updated(bad)) == INVALID


@pytest.mark.parametrize("name", ["final_state"])
@pytest.mark.parametrize("text", ["[]", '"x"', "1", "true", " [1]"])
def test_an_object_field_is_an_object(name: str, text: str) -> None:
    """Any other JSON in a field that is an object is schema_invalid; null clears it."""
    assert verdict(value_with(f'"{name}": {text}')) == INVALID


@pytest.mark.parametrize("text", ["[]", '"x"', "1", "true", "null", '{"a":[0.10]}'])
def test_a_json_field_is_kept_byte_for_byte(text: str) -> None:
    """results_summary may be any JSON, and stays the bytes that came."""
    assert bytes(field(value_with(f'"results_summary": {text}'), "results_summary")) == text.encode()


@pytest.mark.parametrize(
    ("noun_verb", "data", "name", "words"),
    [
        ("run.finished", {}, "status", {"completed", "failed", "cancelled"}),
        ("run.started", {"kind": "test"}, "status", {"pending", "running"}),
        ("run.progressed", {}, "status", {"pending", "running", "paused"}),
        ("run.updated", {}, "status", {"pending", "running", "paused"}),
        ("node.executed", {"node_name": "n"}, "status", {"pending", "running", "completed", "failed", "skipped"}),
        ("exception.updated", {}, "actor_type", {"agent", "user", "system"}),
        (
            "extraction.recorded",
            {"agent_name": "a", "event_type": "e", "pattern": "p"},
            "risk_level",
            {"low", "medium", "high", "critical"},
        ),
    ],
)
def test_a_closed_list_is_closed(noun_verb: str, data: dict[str, Any], name: str, words: set[str]) -> None:
    """Each word of the list is accepted, and every other word of all lists, in any other case too, is refused."""
    every = {"completed", "failed", "cancelled", "pending", "running", "paused", "skipped", "low", "critical", "agent"}
    for word in words:
        assert field(event(noun_verb, "s", data | {name: word}, time=TIME), name) == word
    for word in (every - words) | {w.upper() for w in words} | {"", "x"}:
        assert verdict(event(noun_verb, "s", data | {name: word}, time=TIME)) == INVALID


def test_defaults_are_those_of_the_declaration() -> None:
    """auto_confirmable is false and a run's status running unless the event says otherwise."""
    found = event("extraction.recorded", "s", {"agent_name": "a", "event_type": "e", "pattern": "p"}, time=TIME)
    assert field(found, "auto_confirmable") is False
    assert field(event("run.started", "r", {"kind": "test"}, time=TIME), "status") == "running"
