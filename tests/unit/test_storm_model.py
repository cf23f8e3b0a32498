"""The model of the tables: it knows what the contract knows, shares nothing with it, and says what the design says."""

import ast
import hashlib
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from contracts.decode import decode
from contracts.event import event_uid, microseconds
from contracts.refusal import Refusal
from contracts.registry import EVENT_TYPES
from contracts.window import TimeWindow
from persistence.logs import DELIVERY, LOGS
from persistence.states import STATES, Rule
from tests.storm import model as storm
from tests.storm import words
from tests.storm.model import Model, Number, digest, event_of, log_row, place, read_json, state_row, structured
from tests.storm.traffic import POISONS
from tests.support.events import encoded

TIME = "2026-01-31T12:00:00Z"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def event(noun_verb: str, subject: str = "s-1", data: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A whole event at noon; its id is `e` unless given."""
    return {
        "specversion": "1.0", "id": "e", "source": "/tests", "type": f"siltstone.{noun_verb}.v1", "time": TIME,
        "subject": subject, "tenantid": "acme", "data": data or {},
    } | more  # fmt: skip


def seen(*events: dict[str, Any]) -> Model:
    """A model that saw these events, one after the other."""
    model = Model({})
    for offset, one in enumerate(events):
        model.see("t", 0, offset, None, encoded(one), ())
    return model


def state(model: Model, name: str) -> dict[str, Any]:
    """The one row of a state, without nulls and noughts."""
    ((_, row),) = model.state_rows(name)
    return {column: value for column, value in row.items() if value is not None and value != 0}


def test_it_imports_the_standard_library_alone() -> None:
    """A model that shared code with what it judges would share its faults."""
    imported: set[str | None] = set()
    for module in (storm, words):
        for node in ast.walk(ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
    assert imported - {"tests.storm.words"} == {
        *("collections.abc", "datetime", "decimal", "hashlib", "json", "typing", "uuid"),
    }


def test_it_knows_every_type_and_field() -> None:
    """The types, and the fields of each, are those of the contract."""
    declared = {
        kind.noun_verb: {field.encode_name for field in structs.fields(kind.data)} for kind in EVENT_TYPES.values()
    }
    assert {verb: set(fields) for verb, fields in words.FIELDS.items()} == declared


def test_it_knows_every_column() -> None:
    """The columns of logs and states are those of the tables, but for keys, clocks and the first delivery."""
    logs = {log.name: set(log.columns) - {"event_uid", *DELIVERY} for log in LOGS}
    assert {name: set(columns) for name, columns in words.LOG_COLUMNS.items()} == logs
    states = {one.name: {c.name for c in one.columns} for one in STATES}
    assert {name: set(columns) for name, columns in words.STATE_COLUMNS.items()} == states
    counts = {c.name for one in STATES for c in one.columns if c.rule is Rule.count}
    assert {"events", "occurrences", *words.COUNTS.values()} == counts


def test_the_uid_is_the_contracts() -> None:
    """One identity worked out by hand, with letters of more than one byte; the time's microseconds are no part."""
    one = event("session.deleted", id="é-1", source="/日本", time="2026-01-31T13:30:00.123456+01:30")
    assert storm.identity(one) == ("acme", "/日本", "é-1", 1_769_860_800_123_000)
    assert storm.uid(one) == uuid.UUID(bytes=event_uid(1_769_860_800_123_456, "acme", "/日本", "é-1"))
    assert storm.uid(one | {"time": "2026-01-31T12:00:00.123999Z"}) == storm.uid(one)


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1)), *[st.text(st.characters(codec="utf-8"))] * 3)  # noqa: DTZ001 - made UTC below
def test_uids_agree(time: datetime, tenant: str, source: str, name: str) -> None:
    """The model's uid is the pipeline's, for any identity."""
    one = event("session.deleted", tenantid=tenant, source=source, id=name, time=f"{time.isoformat()}Z")
    assert storm.uid(one).bytes == event_uid(microseconds(time.replace(tzinfo=UTC)), tenant, source, name)


def test_binary_mode_says_the_same() -> None:
    """Attributes in ce_* headers make the row that they make in the value, unknown ones too."""
    one = event("session.started", data={"agent_name": "a", "new": 1.10}, extra="x", sequence="7", tracestate="t=1")
    headers = [(f"ce_{name}", value.encode()) for name, value in one.items() if name != "data"]
    value = json.dumps(one["data"]).encode()
    binary = structured(value, [("content-type", b"application/json; charset=utf-8"), *headers])
    assert log_row(event_of(read_json(binary))) == log_row(event_of(read_json(encoded(one))))
    assert log_row(event_of(read_json(binary)))["rest"] == {
        "attributes": {"extra": "x", "tracestate": "t=1"},
        "data": {"new": Number("1.1")},
    }
    repeated = [("content-type", b"application/CloudEvents+json"), ("ce_specversion", b"1.0"), ("ce_id", b"another")]
    assert structured(encoded(one), repeated) == encoded(one)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("1", "1"),
        ("1.10", "1.10"),
        ("-0", "0"),
        ("-0.0", "0.0"),
        ("1e2", "100"),
        ("-1.50E1", "-15.0"),
        ("1e-3", "0.001"),
    ],
)
def test_a_number_has_the_digits_that_postgres_writes(text: str, digits: str) -> None:
    """Scale is kept, exponents are written out, nought has no sign, and no number is true or false."""
    assert read_json(text) == Number(digits)
    assert read_json("[1]") != read_json("[true]")


def test_the_columns_of_one_row() -> None:
    """Defaults, cut and rounded times, numerics from text, renamed and computed columns, the rest with its nulls."""
    started = log_row(event_of(event("run.started", data={"kind": "k"}, time="2026-01-31T12:00:00.1234569Z")))
    assert (started["status"], started["event_time"]) == ("running", NOON.replace(microsecond=123_456))
    assert log_row(event_of(event("run.started", data={"kind": "k", "status": None})))["status"] is None
    data = {"node_name": "n", "status": "failed", "started_at": "2026-01-31T13:00:00.9999995+01:00"}
    assert log_row(event_of(event("node.executed", data=data)))["started_at"] == NOON.replace(second=1)
    found = event_of(event("extraction.recorded", data={"agent_name": "a", "event_type": "e", "pattern": "p"}))
    assert log_row(found)["auto_confirmable"] is False
    totals = log_row(event_of(event("session.completed", data={"exit_code": 0, "total_extraction_events": None})))
    assert (totals["reported_extraction_events"], totals["rest"]) == (None, {"data": {"total_extraction_events": None}})
    asked = read_json(encoded(event("exception.llm_decision_proposed", data={"set": {"amount": 1.50}, "payload": {}})))
    row = log_row(event_of(asked))
    assert (row["event_type"], row["changes"], row["payload"]) == (
        "LLMDecisionProposed", {"amount": Number("1.5")}, {},
    )  # fmt: skip
    assert "content" not in log_row(event_of(event("code_block.captured", data={"agent_name": "a", "content": "c"})))
    assert row["rest"] is None


def test_the_order_of_events() -> None:
    """Time, then sequence with missing first and as bytes, then rank, then uid."""
    ordered = [
        event("session.completed", data={"exit_code": 1}),
        event("session.started", data={"agent_name": "a"}, sequence="10"),
        event("session.updated", sequence="10"),
        event("session.deleted", sequence="10"),
        event("session.started", data={"agent_name": "a"}, sequence="9"),
        event("session.started", data={"agent_name": "a"}, sequence="é"),
        event("session.started", data={"agent_name": "a"}, time="2026-01-31T12:00:00.000001Z"),
    ]
    places = [place(event_of(one)) for one in ordered]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_null_clears_absent_leaves_and_saving_replaces() -> None:
    """What a definition has after an update with a null, and after it is saved again with less."""
    saved = event(
        "definition.saved", data={"kind": "k", "name": "n", "spec": {}, "model": "m", "provider": "p"}, id="1"
    )
    updated = event("definition.updated", data={"model": None}, id="2", sequence="2")
    again = event("definition.saved", data={"kind": "k", "name": "o", "spec": {}}, id="3", sequence="3")
    gone = event("definition.deactivated", id="4", time="2026-01-31T11:00:00Z")
    row = state(seen(updated, saved), "definition")
    assert ("model" in row, row["provider"], row["is_active"], row["revisions"]) == (False, "p", True, 2)
    row = state(seen(again, gone, saved, updated), "definition")
    assert ("provider" in row, row["name"], row["is_active"]) == (False, "o", True)
    assert (row["revisions"], row["events"], row["created_at"]) == (3, 4, NOON.replace(hour=11))


def test_a_name_that_stands_in_gives_way() -> None:
    """An extraction names a session until an event of the session's own does, however early that one is."""
    later = event(
        "extraction.recorded", data={"agent_name": "x", "event_type": "e", "pattern": "p"}, id="2",
        time="2026-01-31T13:00:00Z",
    )  # fmt: skip
    assert state(seen(later), "session")["agent_name"] == "x"
    assert state(seen(later, event("session.started", data={"agent_name": "a"})), "session")["agent_name"] == "a"
    assert "agent_name" not in state(seen(later, event("session.updated", data={"agent_name": None})), "session")


def test_nothing_undoes_a_deletion() -> None:
    """deleted_at is the earliest one, and a later start leaves it."""
    deletions = [event("run.deleted", id=str(n), time=f"2026-01-31T1{n}:00:00Z") for n in (3, 1, 2)]
    started = event("run.started", data={"kind": "k"}, time="2026-01-31T20:00:00Z")
    row = state(seen(*deletions, started), "run")
    assert (row["deleted_at"], row["events"], row["status"]) == (NOON.replace(hour=11), 4, "running")


def test_a_block_is_one_however_often_it_is_captured() -> None:
    """Equal content of one tenant is one block, with its last language; another tenant's is another."""
    data = {"agent_name": "a", "content": "x = 1\n", "language": "python", "parseable": True}
    first = event("code_block.captured", data=data, id="1")
    last = event("code_block.captured", "s-2", data | {"language": None}, id="2", time="2026-01-31T13:00:00Z")
    rows = dict(seen(last, first, first, first | {"tenantid": "globex"}).state_rows("code_block"))
    found = hashlib.sha256(b"x = 1\n").hexdigest()
    assert list(rows) == [("acme", found), ("globex", found)]
    row = rows["acme", found]
    assert (row["language"], row["parseable"], row["occurrences"], row["first_seen_at"], row["last_seen_at"]) == (
        None, True, 2, NOON, NOON.replace(hour=13),
    )  # fmt: skip


def test_repeats_count_once_and_the_stored_content_makes_the_state() -> None:
    """Equal bytes are one row; of other content the one that is chosen makes the state."""
    one, other = (event("session.started", data={"agent_name": name}) for name in "ab")
    model = seen(one, other, one, other)
    assert (model.records, model.events) == (4, 1)
    ((uid, rows),) = model.log_rows("session_event")
    assert [row["agent_name"] for row in rows] == ["a", "b"]
    assert state(model, "session")["agent_name"] == "a"
    model.choose(uid, 1)
    assert (state(model, "session")["agent_name"], state(model, "session")["events"]) == ("b", 1)


def test_letters_are_of_poison_and_of_late_tenants() -> None:
    """Each poisoned record makes a letter where it lies, but not where a redrive sent it; late ones may make one."""
    trip = [("x-dlq-id", b"1"), ("x-dlq-redrive-count", b"1"), ("__dlq.errors.topic", b"t")]
    headers: list[tuple[str, bytes | None]] = [("x", None)]
    model = Model({digest(b"k", None, headers): "not_cloudevent"}, ["late"])
    model.see("t", 0, 1, b"k", None, headers)
    model.see("t", 1, 1, b"k", None, headers)
    model.see("t", 1, 2, b"k", None, [*headers, *trip])
    late = encoded(event("session.started", data={"agent_name": "a"}, tenantid="late"))
    model.see("t", 0, 2, None, late, ())
    model.see("t", 0, 3, None, late, trip)
    assert model.letters == {("t", 0, 1): "not_cloudevent", ("t", 1, 1): "not_cloudevent"}
    assert model.maybe == {("t", 0, 2)}
    assert (model.events, model.records, model.redriven) == (1, 5, 2)
    with pytest.raises(ValueError, match="t 0 9 is no poison, and no event"):
        model.see("t", 0, 9, None, b"{}", ())


def test_the_columns_a_state_row_has_are_all_of_them() -> None:
    """A row says every column, as null or 0 where nothing was said."""
    row = state_row("exception", [event_of(event("exception.created", data={"set": {}}))])
    assert set(row) == set(words.STATE_COLUMNS["exception"])
    assert (row["status"], row["owner"], row["events"]) == ("open", None, 1)


def test_what_the_traffic_says_of_bad_records_is_true() -> None:
    """Also of an event that ends in letters of several bytes: cut within one, bad JSON would be bad UTF-8."""
    window, now_ms = TimeWindow(NOON.replace(year=2000)), int(NOON.timestamp() * 1000)
    wrong, left_to_the_database = [], []
    for poisoned in POISONS:
        bad = poisoned(event("session.updated", data={"state": "s"}) | {"unknown": "日"})
        try:
            decode(bad.value, bad.key, bad.headers, now_ms, window)
        except Refusal as refusal:
            if refusal.reason != bad.reason:
                wrong.append((refusal.reason, bad.reason))
        else:
            left_to_the_database.append(bad.reason)
    assert not wrong
    assert left_to_the_database == ["tenant_unknown", "tenant_suspended", "numeric_out_of_range"]
