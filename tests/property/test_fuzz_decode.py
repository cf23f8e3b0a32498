"""Mutated messages through the decoder as a worker calls it: an event that can be stored, or a refusal."""

import json
from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any

from aiokafka import ConsumerRecord
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.record import Message, Record
from contracts.refusal import Reason
from contracts.text import refuse_constant
from persistence.batch import Arrived
from persistence.logs import LOG_BY_NAME
from persistence.merge import fold
from persistence.state_sql import upsert
from tests.support import golden
from tests.support.decoding import STAMP, WINDOW, decoded, finished, refusal_or_none, verdict
from tests.support.mutations import CANARY, NOISE, drawn_seed, mutants
from workers.decoding import Decoded, Refused, decode_batch
from workers.letter_index import letter_of

MUTANTS = 50_000
BATCH = 500


def record_of(message: Message, offset: int) -> Record:
    """The message as a consumer gets it."""
    key, value, headers = message
    record: Record = ConsumerRecord("t", 0, offset, STAMP, 1, key, value, None, -1, -1, headers)
    return record


def check_refused(refused: Refused) -> None:
    """A reason of the closed list but `unexpected`, and a message that says nothing of the record's own text."""
    record, refusal = refused
    assert refusal.reason in set(Reason) - {Reason.unexpected}, (refusal.message, record)
    assert CANARY not in f"{refusal.message} {refusal.exception}", (refusal.message, record)
    assert 0 < len(refusal.message) < 200, (refusal.message, record)


def check_storable(arrived: Arrived) -> None:
    """What goes to Postgres is text that it holds, and JSON; states take it in."""
    columns = LOG_BY_NAME[arrived.event.type.log].columns
    own_json = {name for name, kind in LOG_BY_NAME[arrived.event.type.log].own.items() if kind in ("json", "object")}
    for name, value in zip(columns, arrived.row, strict=True):
        if isinstance(value, datetime):
            value.astimezone(UTC)  # as the driver does; raises beyond year 1 and 9999
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()  # raises for half a surrogate pair
            if name == "rest" or name in own_json:
                json.loads(value, parse_constant=refuse_constant, parse_int=str, parse_float=str)
    for state, changes in fold([arrived.event]).items():
        json.loads(upsert(state, changes)[1], parse_constant=refuse_constant, parse_int=str)


def test_a_mutated_message_is_an_event_or_a_refusal() -> None:
    """Of 50,000 each is decoded to a row, or refused for a reason of the list; nothing said of it quotes it."""
    random = Random(drawn_seed())
    outcomes: Counter[str] = Counter()
    for first in range(0, MUTANTS, BATCH):
        batch = Decoded()
        records = [record_of(message, first + n) for n, message in enumerate(mutants(random, BATCH))]
        decode_batch(records, WINDOW, batch)
        assert len(batch.readable) + len(batch.refused) == BATCH
        for refused in batch.refused:
            check_refused(refused)
        for arrived in batch.readable[::2]:
            check_storable(arrived)
        outcomes.update({"stored": len(batch.readable)})
        outcomes.update(refused.refusal.reason.value for refused in batch.refused)
    print(outcomes)  # noqa: T201 - pytest shows it when a test fails
    assert 0.1 < outcomes["stored"] / MUTANTS < 0.6
    of_postgres = {Reason.tenant_suspended, Reason.unexpected}
    assert set(outcomes) == {"stored"} | {reason.value for reason in set(Reason) - of_postgres}


texts = st.text(max_size=12)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.floats() | st.sampled_from(["2026-01-31T12:00:00Z", "1e9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(sorted({*json.loads(golden.value("siltstone.run.finished.v1")), "set", "x"}))
objects = st.dictionaries(names, any_json, max_size=8).map(lambda one: json.dumps(one).encode())
binary = st.lists(st.tuples(names.map("ce_".__add__) | texts, st.none() | st.binary(max_size=9)), max_size=6)


@settings(max_examples=400, deadline=None)
@given(value=st.binary(max_size=60) | objects | any_json.map(lambda one: json.dumps(one).encode()), headers=binary)
@example(value=b'{"a":', headers=[("ce_specversion", b"1.0")])
def test_any_json_under_any_headers_is_refused(value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    """Bytes, free JSON and objects of our attributes' names are refused, not failed on."""
    refused = refusal_or_none(value, headers)
    assert refused is not None
    assert refused.reason is not Reason.unexpected


def test_an_integer_of_any_length_is_out_of_range() -> None:
    """The reason is the same for 20 digits and for more than Python reads."""
    for digits in (20, 400, 5_000):
        value = json.dumps(finished({"tokens_input": 1})).replace(" 1}", f" {'9' * digits}}}").encode()
        assert verdict(value) == (Reason.numeric_out_of_range, "schema")


def test_a_state_gets_an_instant_in_utc() -> None:
    """Postgres reads no offset above 15:59: such a time would be refused only while it is its batch's latest (G3)."""
    for offset in ("+23:59", "-16:00"):
        one = json.loads(golden.value("siltstone.exception.created.v1")) | {"time": f"2026-01-31T12:00:00{offset}"}
        one["data"]["set"]["sla_deadline"] = f"2026-02-02T17:00:00{offset}"
        ((state, changes),) = fold([decoded(one)]).items()
        (row,) = json.loads(upsert(state, changes)[1])
        for column, sent in (("sla_deadline", one["data"]["set"]["sla_deadline"]), ("created_at", one["time"])):
            assert row[column].endswith("Z")
            assert datetime.fromisoformat(row[column]) == datetime.fromisoformat(sent).astimezone(UTC)


def test_a_letter_fits_its_index() -> None:
    """A refused event's tenant may be of any length; what the index of letters keeps of it is not."""
    tenant: Any = refusal_or_none(json.dumps(finished(tenantid=NOISE)).encode())
    assert tenant.tenant_id == NOISE
    headers = [("x-dlq-tenant", NOISE.encode()), ("x-dlq-reason", b"r" * 5_000), ("__dlq.errors.topic", b"t" * 5_000)]
    letter = letter_of("dlq.t", 0, 0, None, b"", headers)
    assert (letter.tenant_id, letter.reason, letter.topic) == (NOISE[:256], "r" * 256, "t" * 256)
