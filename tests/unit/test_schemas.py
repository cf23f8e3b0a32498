"""The published schemas say what decode() does, wherever JSON Schema has the words for it."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from msgspec.structs import fields

from contracts.decode import decode
from contracts.event_type import EventType
from contracts.fields import Data, kinds_of, required_of
from contracts.refusal import Refusal
from contracts.registry import EVENT_TYPES
from contracts.schemas import fields_schema, schema_of, schemas
from contracts.window import TimeWindow
from tests.support.events import event
from workers import asyncapi
from workers.settings import load

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*.json"))
FORMATS = FormatChecker()
SAMPLES = {
    "text": "x",
    "boolean": True,
    "integer": 7,
    "bigint": 2**63 - 1,
    "numeric": "12.50",
    "timestamptz": "2026-01-31T12:00:00.123456+02:00",
    "json": [1, None, {"a": 1.5}],
    "object": {"a": [1]},
}
WORDS = {
    "status": {"run.finished": "failed", "run.started": "pending", "node.executed": "skipped", "": "running"},
    "severity": "high",
    "risk_level": "low",
    "actor_type": "user",
}
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 100, 101, 2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, 1.5),
    *("", *("x" * n for n in (1, 32, 33, 50, 51, 63, 64, 100, 101, 128, 129, 255, 256, 257))),
    *("1.5", "-0", "01", "1e5", " 1", "0x1", "NaN", "low", "running", "failed", "user", "open"),
    *("2026-01-31T12:00:00Z", "2026-01-31t12:00:00.5-01:30", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z"),
    *("2026-01-31", "application/json", "Application/JSON; charset=utf-8", "text/plain", "1.0"),
    *([], [{}], {}, {"a": 1}),
)


DISTINCT = {json.dumps([fields_schema(k.data), k.changes_field, str(k.changes)]): n for n, k in EVENT_TYPES.items()}
"""Types by what their data may be: most exception.* types differ in name alone, and one of them is enough."""


@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(text: object) -> bool:
    """RFC 3339, as far as the pattern beside it leaves anything open."""
    return not isinstance(text, str) or bool(datetime.fromisoformat(text.upper()))


def validator(kind: EventType) -> Draft202012Validator:
    return Draft202012Validator(schema_of(kind), format_checker=FORMATS)


def sample(name: str, field_kind: str, noun_verb: str) -> Any:
    """A value that the field takes."""
    word = WORDS.get(name) if field_kind == "text" else None
    if noun_verb.startswith("exception.") and name == "status":
        return "escalated"
    return (word.get(noun_verb, word[""]) if isinstance(word, dict) else word) or SAMPLES[field_kind]


def filled(data: type[Data], noun_verb: str, *, whole: bool) -> dict[str, Any]:
    """All fields of a struct, or the required ones."""
    kinds, required = kinds_of(data), required_of(data)
    return {
        f.encode_name: sample(f.name, kinds[f.name], noun_verb) for f in fields(data) if whole or f.name in required
    }


def message(kind: EventType, *, whole: bool) -> dict[str, Any]:
    """A message of the type, with all of its fields or the required ones."""
    data = filled(kind.data, kind.noun_verb, whole=whole)
    if kind.changes is not None and kind.changes_field is not None and kind.changes_field in data:
        data[kind.changes_field] = filled(kind.changes, kind.noun_verb, whole=whole)
    return event(kind.name, "thing-1", data, sequence="007", traceparent="00-0-0-00", tracestate="a=b")


def decodes(one: dict[str, Any]) -> bool:
    """Decode's verdict."""
    window = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))
    try:
        decode(json.dumps(one).encode(), None, (), int(datetime.now(UTC).timestamp() * 1000), window)
    except Refusal:
        return False
    return True


def mutations(whole: dict[str, Any], *parents: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The message with each member of the object at `parents` left out, and with each of VALUES in its place."""
    names = whole
    for parent in parents:
        names = names[parent]
    for name in names:
        for value in (..., *VALUES):
            made = copy.deepcopy(whole)
            at: dict[str, Any] = made
            for parent in parents:
                at = at[parent]
            if value is ...:
                del at[name]
            else:
                at[name] = value
            yield f"{name} = {value!r}", made


def verdicts(kind: EventType, *parents: str) -> dict[str, tuple[bool, bool]]:
    """The schema's and the decoder's verdict on each mutation."""
    schema = validator(kind)
    return {what: (schema.is_valid(m), decodes(m)) for what, m in mutations(message(kind, whole=True), *parents)}


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_least_and_whole_messages_are_valid(name: str) -> None:
    """A message with the required fields, and one with all of them, decode and are valid; for every type."""
    kind = EVENT_TYPES[name]
    for whole in (False, True):
        assert list(validator(kind).iter_errors(message(kind, whole=whole))) == []
        assert decodes(message(kind, whole=whole))


@pytest.mark.parametrize("name", sorted(DISTINCT.values()))
def test_schema_and_decoder_agree_on_data(name: str) -> None:
    """For every field of a message, set to each of some 60 values or left out: one verdict."""
    kind = EVENT_TYPES[name]
    found = verdicts(kind, "data")
    if kind.changes_field is not None:
        found |= verdicts(kind, "data", kind.changes_field)
    assert {what: v for what, v in found.items() if v[0] != v[1]} == {}
    assert set(found.values()) == ({(True, True), (False, False)} if found else set())


def test_schema_and_decoder_agree_on_attributes() -> None:
    """For every attribute, likewise; but a tenant id of a wrong form decodes, and is refused as unknown after that."""
    found = verdicts(EVENT_TYPES["siltstone.session.deleted.v1"])
    differ = {what: v for what, v in found.items() if v[0] != v[1]}
    assert {what.split(" = ")[0] for what in differ} == {"tenantid"}
    assert set(differ.values()) == {(False, True)}


def test_golden_messages_are_valid() -> None:
    """What was accepted once is valid by the schema published today; there is a message of every type."""
    messages = [json.loads(path.read_bytes()) for path in GOLDEN]
    assert {m["type"] for m in messages} >= set(EVENT_TYPES)
    assert [e for m in messages for e in validator(EVENT_TYPES[m["type"]]).iter_errors(m)] == []


def test_schemas_are_schemas_of_their_own_dialect() -> None:
    """Each published document is a valid JSON Schema 2020-12, open to unknown attributes and fields."""
    assert list(schemas()) == list(EVENT_TYPES)
    for name, schema in schemas().items():
        Draft202012Validator.check_schema(schema)
        kind = EVENT_TYPES[name]
        known = message(kind, whole=False)
        unknown = {**known, "partitionkey": "k", "data": {**known["data"], "never_seen": [1]}}
        assert validator(kind).is_valid(unknown)
        assert schema["properties"]["type"]["const"] == name


@pytest.mark.parametrize(
    ("type_name", "path", "value"),
    [
        ("session.started", ("type",), "siltstone.session.started.v2"),
        ("session.started", ("time",), "2026-01-31T12:00:00"),
        ("session.started", ("time",), "2026-02-30T12:00:00Z"),
        ("session.started", ("tenantid",), "Acme"),
        ("session.started", ("id",), ""),
        ("session.started", ("data", "agent_name"), None),
        ("run.finished", ("data", "cost_usd"), "1,5"),
        ("run.progressed", ("data", "status"), "completed"),
        ("run.progressed", ("data", "progress_percent"), 101),
        ("definition.saved", ("data", "spec"), []),
        ("exception.created", ("data", "set"), {"domain": "d"}),
        ("exception.updated", ("data", "set"), {"severity": "urgent"}),
        ("node.executed", ("data", "started_at"), "2026-01-31T12:00:00"),
        ("file.produced", ("data", "size_bytes"), -1),
    ],
)
def test_bad_messages_are_invalid(type_name: str, path: tuple[str, ...], value: object) -> None:
    """Each rule of the envelope and of the fields is in the schema itself."""
    kind = EVENT_TYPES[f"siltstone.{type_name}.v1"]
    bad = message(kind, whole=True)
    at = bad if len(path) == 1 else bad["data"]
    at[path[-1]] = value
    assert [tuple(e.absolute_path)[: len(path)] for e in validator(kind).iter_errors(bad)] != []


def test_asyncapi_has_one_message_for_each_event_type() -> None:
    """Every topic is a channel, each event type a message of its family's, a single record and not a batch."""
    document = asyncapi.document(load({"SILTSTONE_TOPIC_PREFIX": "p."}), "1.2.3")
    assert (document["asyncapi"], document["info"]["version"]) == ("3.0.0", "1.2.3")
    channels = document["channels"]
    topics = {f"p.siltstone.{family}" for family in ("extraction", "execution", "exception")}
    assert {c["address"] for c in channels.values()} == topics | {f"dlq.{topic}" for topic in topics}
    for topic in topics:
        family = topic.rsplit(".", 1)[1]
        assert set(channels[topic]["messages"]) == {k.noun_verb for k in EVENT_TYPES.values() if k.family == family}
    messages = document["components"]["messages"]
    for kind in EVENT_TYPES.values():
        assert messages[kind.noun_verb]["payload"]["type"] == "object"
        assert messages[kind.noun_verb]["payload"]["properties"]["type"]["const"] == kind.name
    assert {r for r in _references(document) if not _resolves(document, r)} == set()
    assert document == asyncapi.document(load({"SILTSTONE_TOPIC_PREFIX": "p."}), "1.2.3")


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _resolves(document: Any, reference: str) -> bool:
    at = document
    for part in reference.removeprefix("#/").split("/"):
        if part not in at:
            return False
        at = at[part]
    return True
