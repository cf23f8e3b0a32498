"""Binary mode says the same as structured mode, headers are text, and no refusal quotes the record."""

import json
from typing import Any

import pytest

from contracts.refusal import Reason, Stage
from tests.support.decoding import TIME, Headers, decoded, finished, refusal, refusal_or_none, verdict

NOT_CLOUDEVENT = (Reason.not_cloudevent, Stage.envelope)
BAD_JSON = (Reason.bad_json, Stage.decode)
CANARY = "canary7f3a"


def binary(**attributes: bytes) -> Headers:
    """The headers of a binary-mode run.finished."""
    names = {
        "specversion": b"1.0", "id": b"i-1", "source": b"/s", "type": b"siltstone.run.finished.v1",
        "time": TIME.encode(), "subject": b"r-1", "tenantid": b"acme",
    } | attributes  # fmt: skip
    return [("content-type", b"application/json"), *((f"ce_{name}", value) for name, value in names.items() if value)]


def test_binary_mode_says_the_same() -> None:
    """Attributes from ce_ headers and data from the value make the event that structured mode makes."""
    event = decoded(b'{"status": "failed"}', binary(sequence=b"3", extra="é".encode()))
    same = decoded(
        finished({"status": "failed"}, id="i-1", source="/s", sequence="3", extra="é"),
    )
    assert (event.uid, event.order(), event.subject, event.data) == (same.uid, same.order(), same.subject, same.data)
    assert event.rest == '{"attributes":{"extra":"é"}}'


@pytest.mark.parametrize(
    ("value", "headers", "expected"),
    [
        (b"{}", binary(id=b""), (Reason.missing_id, Stage.envelope)),
        (b'{"status": "failed"', binary(), BAD_JSON),
        (b"", binary(), BAD_JSON),
        (b'{"status": "failed"}, "tenantid": "globex"', binary(), BAD_JSON),
        (b'{"status": "failed"}', binary(sequence=b"a\0"), (Reason.unstorable_text, Stage.decode)),
        (b"{}", binary(), (Reason.schema_invalid, Stage.schema)),
    ],
)
def test_binary_mode_has_the_same_rules(value: bytes, headers: Headers, expected: tuple[Reason, Stage]) -> None:
    """A fault in a ce_ header or in the bare data is refused as in structured mode; data cannot add attributes."""
    assert verdict(value, headers) == expected


@pytest.mark.parametrize(
    "content_type", [b"application/cloudevents+json", b"Application/CloudEvents+JSON; charset=UTF-8"]
)
@pytest.mark.parametrize("name", ["content-type", "Content-Type"])
def test_the_value_wins_over_a_repeated_header(name: str, content_type: bytes) -> None:
    """In structured mode, whatever the case that says so, a ce_ header that disagrees with the value is ignored."""
    headers: Headers = [
        (name, content_type),
        *(h for h in binary(id=b"other", tenantid=b"globex") if "ce" in h[0]),
    ]
    event = decoded(finished(id="mine"), headers)
    assert (event.event_id, event.tenant_id) == ("mine", "acme")


@pytest.mark.parametrize(
    ("headers", "expected", "message"),
    [
        ([("x", b"1"), ("y", None)], NOT_CLOUDEVENT, "the record's header number 2 is null"),
        ([("x", b"a\xff")], (Reason.bad_utf8, Stage.envelope), "the record's header number 1 is no UTF-8 at byte 1"),
        ([("ce_id", None)], NOT_CLOUDEVENT, "the header ce_id is null"),
        (
            [("é", b"1"), ("x", "é".encode()), ("\udcff", None)],
            (Reason.bad_utf8, Stage.envelope),
            "the name of the record's header number 3 is no UTF-8",
        ),
    ],
)
def test_a_header_is_text(headers: Headers, expected: tuple[Reason, Stage], message: str) -> None:
    """A null header, a value and a name that are no UTF-8 are refused; the message says which one, by number."""
    refused = refusal(finished(), headers)
    assert ((refused.reason, refused.stage), refused.message) == (expected, message)


def _canaries() -> list[tuple[bytes | None, Headers, bytes | None]]:
    """Records that are bad in one place each, with the canary wherever a record can hold text."""
    whole: dict[str, Any] = dict.fromkeys(finished(), CANARY) | {"specversion": "1.0", "time": TIME, CANARY: CANARY}
    good: dict[str, Any] = whole | {"type": "siltstone.run.finished.v1", "datacontenttype": "application/json"}
    wrong = {CANARY: CANARY, "status": "failed"}
    datas: list[dict[str, Any]] = [
        wrong | {"status": CANARY},
        wrong | {"status": f"{CANARY} - at `$.{CANARY}`"},
        wrong | {"current_stage": CANARY * 10},
        wrong | {"final_state": [CANARY]},
        wrong | {"final_state": CANARY},
        wrong | {"cost_usd": CANARY},
        wrong | {"cost_usd": {CANARY: 1}},
        wrong | {"latency_ms": CANARY},
        wrong | {"latency_ms": -1},
        {CANARY: CANARY},
    ]
    values: list[Any] = [good | {"data": data} for data in datas]
    values += [good | {name: value} for name in whole for value in ({CANARY: 1}, [CANARY], CANARY * 99)]
    values += [whole | {"time": CANARY}, whole | {"time": "1970-01-01T00:00:00Z"}, [CANARY], CANARY]
    changes = {"actor_type": "agent", "set": {"severity": CANARY, CANARY: CANARY}}
    values += [good | {"type": "siltstone.exception.updated.v1", "data": changes}]
    values += [good | {"type": "siltstone.exception.updated.v1", "data": changes | {"actor_type": CANARY}}]
    values += [
        good
        | {
            "type": "siltstone.node.executed.v1",
            "data": {"started_at": CANARY, "node_name": CANARY, "status": "failed"},
        }
    ]
    raws = [json.dumps(value).encode() for value in values]
    text = json.dumps(good | {"data": wrong}).encode()
    raws += [
        text[:-9],
        text + text,
        CANARY.encode(),
        text.replace(b"canary", b"canary\xff"),
        text.replace(b"canary", b"\\ud800canary"),
    ]
    raws += [
        text.replace(b'"failed"', bad)
        for bad in (b"canary7f3a", b'"canary7f3a\\q"', b'"canary7f3a\x01"', b"-canary7f3a")
    ]
    found: list[tuple[bytes | None, Headers, bytes | None]] = [(raw, (), None) for raw in raws]
    found += [(text, [(CANARY, value)], None) for value in (None, CANARY.encode() + b"\xff")]
    found += [(text, [(CANARY + "\udcff", b"")], None)]
    found += [(text, (), CANARY.encode() + b"/x"), (text, binary(), None), (text, binary(time=CANARY.encode()), None)]
    return found


def test_no_message_quotes_the_record() -> None:
    """A canary in every text, name, header and key of bad records is in no refusal's message."""
    found = [refused for value, headers, key in _canaries() if (refused := refusal_or_none(value, headers, key))]
    assert [r.message for r in found if CANARY[:6] in r.message + r.exception] == []
    assert len(found) > 50
