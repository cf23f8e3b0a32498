"""Every event type is stored and reads back equal, field by field, from its log and its state."""

import hashlib
import json
import random
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from contracts.fields import INDEXED_MAX
from contracts.registry import EVENT_TYPES
from persistence.logs import LOG_BY_NAME
from persistence.states import STATE_BY_NAME, Rule
from tests.storm.words import COUNTS, IMPLIED, ONLY_LOGGED
from tests.support import golden
from tests.support.decoding import decoded
from tests.support.installation import Installation
from tests.support.storing import TOPIC, database_of, store_batch

RENAMED = {"total_extraction_events": "reported_extraction_events", "set": "changes"}
NAMES = {
    "created": "ExceptionCreated", "normalized": "ExceptionNormalized", "triage_completed": "TriageCompleted",
    "policy_evaluated": "PolicyEvaluated", "resolution_suggested": "ResolutionSuggested",
    "resolution_approved": "ResolutionApproved", "feedback_captured": "FeedbackCaptured",
    "llm_decision_proposed": "LLMDecisionProposed", "copilot_question_asked": "CopilotQuestionAsked",
    "copilot_answer_given": "CopilotAnswerGiven", "updated": "ExceptionUpdated",
}  # fmt: skip


def exact(value: object) -> object:
    """JSON with every number as the text it was written in, so that 1.10 is not 1.1."""
    return json.loads(value, parse_float=str) if isinstance(value, str) else value


def as_stored(sent: Any, kind: str) -> Any:
    """A member of the message's JSON as a column of that kind gives it back."""
    if kind == "numeric" and sent is not None:
        return Decimal(sent)
    if kind == "timestamptz" and sent is not None:
        return datetime.fromisoformat(sent)
    return sent


def read(row: dict[str, Any], name: str, kind: str) -> Any:
    """A column as it compares: JSON as values, a numeric with its digits."""
    return exact(row[name]) if kind in ("json", "object") else row[name]


async def test_every_type_is_stored_and_reads_back_equal(installation: Installation) -> None:
    """One golden message a type: its log row and its state have every field, digit by digit, and nothing else."""
    values = {}
    for name in sorted(EVENT_TYPES):
        # Each about a thing of its own, so that a state shows what this one event makes of it.
        values[name] = golden.value(name).replace(b'"subject": "', f'"subject": "{name}/'.encode())
    database = database_of(installation.database_url)
    try:
        stored = await store_batch(database, [decoded(value) for value in values.values()])
        again = await store_batch(database, [decoded(value) for value in values.values()], 1000)
    finally:
        await database.engine.dispose()
    assert (stored.stored, stored.duplicate) == (len(EVENT_TYPES), 0)
    assert (again.stored, again.duplicate) == (0, len(EVENT_TYPES))
    for offset, (name, value) in enumerate(values.items()):
        sent = json.loads(value, parse_float=str)
        data = {RENAMED.get(field, field): member for field, member in sent["data"].items()}
        await check_log(installation, name, sent, data, offset)
        await check_state(installation, name, sent, data)
    blocks = await installation.fetch("SELECT * FROM code_block")
    captured = json.loads(values["siltstone.code_block.captured.v1"])
    content = captured["data"]["content"]
    assert [(b["digest"], b["content"], b["language"], b["parseable"], b["occurrences"]) for b in blocks] == [
        (hashlib.sha256(content.encode()).hexdigest(), content, "python", True, 1)
    ]
    seen = datetime.fromisoformat(captured["time"])
    assert (blocks[0]["first_seen_at"], blocks[0]["last_seen_at"]) == (seen, seen)


LONGEST_ENVELOPE = {"id": 128, "source": 256, "subject": 256, "traceparent": 256, "sequence": 32}


def longest(declared: type[Struct]) -> dict[str, Any]:
    """Every text of data as long as it may be, of random characters with four bytes each: nothing packs them."""
    schema, components = msgspec.json.schema_components([declared])
    members = components[declared.__name__]["properties"]
    assert schema
    return {
        name: text_of(limit)
        for name, member in members.items()
        if (limit := max((of.get("maxLength", 0) for of in (member, *member.get("anyOf", ()))), default=0))
    }


def text_of(length: int) -> str:
    """So many characters beyond the first plane."""
    return "".join(chr(random.randrange(0x20000, 0x2A000)) for _ in range(length))


async def test_the_longest_texts_fit_into_every_index(installation: Installation) -> None:
    """An event that the contract takes is not refused for its length, whatever its script: no index is too narrow."""
    values = []
    for number, name in enumerate(sorted(EVENT_TYPES)):
        one, kind = json.loads(golden.value(name)), EVENT_TYPES[name]
        one |= {attribute: text_of(length) for attribute, length in LONGEST_ENVELOPE.items()} | {"tenantid": "a" * 63}
        one["data"] |= longest(kind.data)
        if kind.changes is not None:
            one["data"]["set"] = (one["data"].get("set") or {}) | longest(kind.changes)
        one["id"] = f"{number:03}" + one["id"][3:]
        values.append(one)
    texts = [len(text) for one in values for text in one["data"].values() if isinstance(text, str)]
    assert (max(texts), texts.count(255) > 10) == (INDEXED_MAX, True)
    database = database_of(installation.database_url)
    try:
        stored = await store_batch(database, [decoded(one) for one in values])
    finally:
        await database.engine.dispose()
    assert (stored.stored, stored.duplicate) == (len(EVENT_TYPES), 0)


async def check_log(
    installation: Installation, name: str, sent: dict[str, Any], data: dict[str, Any], offset: int
) -> None:
    """The event has one row in one log, with the envelope, its own columns, the rest and its first delivery."""
    kind = EVENT_TYPES[name]
    log = LOG_BY_NAME[kind.log]
    (row,) = await installation.fetch(f"SELECT * FROM {log.name} WHERE ce_type = $1", name)  # noqa: S608 - a table's name
    assert row["event_uid"].bytes == decoded(json.dumps(sent).encode()).uid
    envelope = {
        "tenant_id": "acme", log.subject_column: sent["subject"], "event_time": datetime.fromisoformat(sent["time"]),
        "ce_type": name, "event_id": sent["id"], "event_source": sent["source"], "sequence": sent["sequence"],
        "traceparent": sent["traceparent"], "kafka_topic": TOPIC, "kafka_partition": 0, "kafka_offset": offset,
    }  # fmt: skip
    assert {column: row[column] for column in envelope} == envelope
    expected = {column: as_stored(data.get(column), log.own[column]) for column in log.own}
    if kind.noun_verb == "code_block.captured":
        expected["digest"] = hashlib.sha256(data["content"].encode()).hexdigest()
    if kind.about == "exception":
        expected["event_type"] = NAMES[kind.noun_verb.removeprefix("exception.")]
    assert {column: read(row, column, log.own[column]) for column in log.own} == expected
    left = set(data) - set(log.own) - {"content"}
    assert exact(row["rest"]) == {
        "attributes": {"tracestate": sent["tracestate"]},
        "data": {column: data[column] for column in left},
    }
    assert left == {"unknown_field"}


async def check_state(installation: Installation, name: str, sent: dict[str, Any], data: dict[str, Any]) -> None:
    """The state has what the event carries and implies; every other column is null, every other count 0."""
    kind = EVENT_TYPES[name]
    state = STATE_BY_NAME[kind.about]
    (row,) = await installation.fetch(f"SELECT * FROM {state.name} WHERE id = $1", sent["subject"])  # noqa: S608
    time = datetime.fromisoformat(sent["time"])
    carried = {} if kind.noun_verb in ONLY_LOGGED else data.get("changes", data)
    expected: dict[str, Any] = {"events": 1, "created_at": time, "updated_at": time}
    expected |= {c: time if value == "time" else value for c, value in IMPLIED.get(kind.noun_verb, {}).items()}
    expected |= {COUNTS[kind.noun_verb]: 1} if kind.noun_verb in COUNTS else {}
    expected |= {"deleted_at": time} if kind.noun_verb.endswith(".deleted") else {}
    expected |= {"agent_name": data["agent_name"]} if kind.about == "session" and "agent_name" in data else {}
    for column in state.columns:
        if column.name in carried:
            expected[column.name] = as_stored(carried[column.name], column.kind)
        expected.setdefault(column.name, 0 if column.rule is Rule.count else None)
    assert {c.name: read(row, c.name, c.kind) for c in state.columns} == expected
    numbers = [c.name for c in state.columns if c.kind == "numeric" and c.name in carried]
    assert [str(row[column]) for column in numbers] == [carried[column] for column in numbers]
