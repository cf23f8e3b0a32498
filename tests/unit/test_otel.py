"""OTLP's JSON as exporters write it: each file of tests/cases/otel, and what an agent developer sees of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from producers.account import LeftOut, Refused, Remark
from producers.imports import otel
from producers.imports.imported import Origin, Unreadable
from producers.values import instant
from tests.support.imported import CASES, ORIGIN, case, of, read, said

TRACE = "0af7651916cd43dd8448eb211c80319c"
EXPORTERS = sorted((CASES / "otel" / "exporters").iterdir())
FAILED = {"javascript-http.json": "fetch failed", "openinference.jsonl": "no calculator"}
COSTS = {"openinference.jsonl": "0.000125", "logfire.jsonl": "0.000125"}
LEFT_OUT = {"collector-file.jsonl": [LeftOut("logs"), LeftOut("spans that came again")]}
GOES_ON = {"logfire.jsonl"}


def one_span(**members: Any) -> bytes:
    """A request with one span."""
    ids = {"traceId": TRACE, "spanId": "00f067aa0ba902b7", "name": "s", "startTimeUnixNano": "1772000000000000000"}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [ids | members]}]}]}).encode()


def attribute(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


def raised(kind: str) -> dict[str, Any]:
    """The event of an exception."""
    told = [attribute("exception.type", stringValue=kind), attribute("exception.message", stringValue=f"{kind} failed")]
    return {"name": "exception", "attributes": told}


@pytest.mark.parametrize("path", EXPORTERS, ids=lambda path: path.name)
def test_an_exporters_file_is_read(path: Path) -> None:
    """A trace of an agent and its chat, 11 tokens in and 7 out, counted once; errors, costs and ends as they are."""
    found = case(otel.read, f"otel/exporters/{path.name}")
    assert found.words == LEFT_OUT.get(path.name, [])
    [started] = of(found, "run.started")
    [ended] = of(found, "run.updated" if path.name in GOES_ON else "run.finished")
    assert (started["external_ref"], started["model"]) == (TRACE, "m-1")
    assert started["provider"].lower().partition(".")[0] in ("anthropic", "openai")
    assert (ended["tokens_input"], ended["tokens_output"], ended.get("cost_usd")) == (11, 7, COSTS.get(path.name))
    agent, chat = of(found, "node.executed")
    assert (agent["state_snapshot"]["span_id"], agent["state_snapshot"].get("parent_span_id")) == (
        "b7ad6b7169203331", None
    )  # fmt: skip
    assert (chat["state_snapshot"]["parent_span_id"], chat["duration_ms"]) == ("b7ad6b7169203331", 600)
    failed = path.name in FAILED
    assert agent["status"] == ("running" if path.name in GOES_ON else "failed" if failed else "completed")
    if failed:
        assert FAILED[path.name] in ended["error_message"]
        assert ended["status"] == "failed"


def test_tokens_as_text() -> None:
    """A number in a text is a number."""
    [finished] = of(case(otel.read, "otel/tokens-as-text.jsonl"), "run.finished")
    assert (finished["tokens_input"], finished["tokens_output"]) == (50, 100)


def test_span_events() -> None:
    """An exception's type, message and stack are the node's error; events and links stay."""
    found = case(otel.read, "otel/span-events.jsonl")
    [node], [finished] = of(found, "node.executed"), of(found, "run.finished")
    assert node["error_message"] == finished["error_message"] == "ValueError: bad thing\nTraceback"
    [event], [link] = node["state_snapshot"]["events"], node["state_snapshot"]["links"]
    assert (event["name"], event["time"]) == ("exception", "2026-01-01T00:00:00.500000Z")
    assert (link["trace_id"], link["span_id"]) == ("aa", "bb")


@pytest.mark.parametrize(
    "name",
    ["one-pretty-request.json", "instrumentation-library-spans.jsonl", "resource-spans-without-request.jsonl"],
)
def test_every_shape_of_a_request_is_read(name: str) -> None:
    """Over many lines, by older names, or a part of a request alone."""
    found = case(otel.read, f"otel/{name}")
    assert found.words == []
    [node] = of(found, "node.executed")
    assert node["state_snapshot"]["span_id"] == "eee19b7ec3c1b174"


def test_requests_in_any_arrangement_are_the_same_events() -> None:
    """A line each, a list of them, one after the other over many lines, with commas or without."""
    first, second = one_span(), one_span(spanId="00f067aa0ba902b8", parentSpanId="00f067aa0ba902b7")
    lines = read(otel.read, first + b"\n" + second + b"\n").events
    assert len(lines) == 3
    pretty = [json.dumps(json.loads(request), indent=2).encode() for request in (first, second)]
    for content in (
        b"[" + first + b"," + second + b"]",
        b"[\n" + first + b",\n" + second + b"\n]\n",
        b"\n".join(pretty),
        b",\n".join(pretty),
        b"\xef\xbb\xbf" + first + b"\r\n" + second,
    ):
        found = read(otel.read, content)
        assert (found.events, found.words) == (lines, []), content


def test_a_request_that_is_cut_is_refused_and_those_before_it_are_read() -> None:
    """What follows it cannot be found."""
    pretty = json.dumps(json.loads(one_span()), indent=1).encode()
    found = read(otel.read, pretty + b"\n" + pretty[:60])
    [refused] = found.words
    assert str(refused) == "request 2: it is not JSON in line 24, nor is what follows read"
    assert len(of(found, "node.executed")) == 1


def test_other_signals() -> None:
    """They are counted, and nothing is refused."""
    found = case(otel.read, "otel/other-signals.jsonl")
    assert found.words == [LeftOut("logs"), LeftOut("metrics")]
    assert len(of(found, "node.executed")) == 1


def test_a_file_of_other_signals_alone_is_accounted_for() -> None:
    """It can be archived: all of it is left out by name."""
    found = read(otel.read, b'{"resourceMetrics": []}\n{"resourceMetrics": []}\n')
    assert (found.events, found.words) == ([], [LeftOut("metrics", 2)])


def test_ids_in_both_cases() -> None:
    """One trace, and tokens counted once."""
    found = case(otel.read, "otel/ids-in-both-cases.jsonl")
    [finished] = of(found, "run.finished")
    assert (finished["tokens_input"], finished["tokens_output"]) == (10, 5)
    assert [node["state_snapshot"].get("parent_span_id") for node in of(found, "node.executed")] == [
        None, "eee19b7ec3c1b174"
    ]  # fmt: skip


def test_what_is_awkward_is_said() -> None:
    """Refused by place, or not understood by name with its text kept; what it looks like where that is known."""
    found = case(otel.read, "otel/awkward.jsonl")
    refused = [word.item for word in found.words if isinstance(word, Refused)]
    assert refused == [*(f"line 1, span {n}" for n in (3, 4, 5)), *(f"line {n}" for n in (3, 4, 5, 6, 7))]
    names = [word.name for word in found.words if isinstance(word, Remark)]
    assert names == [
        "status.code", "gen_ai.usage.input_tokens", "kind", "endTimeUnixNano", "attributes", "events", "links"
    ]  # fmt: skip
    text = "\n".join(said(found))
    for looks in ("an answer of Jaeger's", "an exporter for the console", "a span of Zipkin's"):
        assert f"it looks like {looks}" in text or f"it looks like what {looks}" in text
    first, second = of(found, "node.executed")
    assert first["state_snapshot"]["not_understood"] == {
        "status.code": "MAYBE", "gen_ai.usage.input_tokens": "many", "kind": "9"
    }  # fmt: skip
    assert (first["state_snapshot"]["newMember"], second.get("duration_ms")) == ({"x": 1}, None)


@pytest.mark.parametrize(
    ("code", "more", "status"),
    [
        (2, {}, "failed"),
        ("2", {}, "failed"),
        ("STATUS_CODE_ERROR", {}, "failed"),
        ("Error", {}, "failed"),
        ("MAYBE", {}, "failed"),
        (1, {"attributes": [attribute("error.type", stringValue="timeout")]}, "completed"),
        (0, {"attributes": [attribute("error.type", stringValue="timeout")]}, "failed"),
        (0, {"events": [{"name": "exception", "attributes": []}]}, "completed"),
        (
            0,
            {"events": [{"name": "exception", "attributes": [attribute("exception.escaped", boolValue=True)]}]},
            "failed",
        ),
        (None, {}, "completed"),
    ],
)
def test_how_a_span_ended(code: Any, more: dict[str, Any], status: str) -> None:
    """By its status; where that is unset, by an error's type or an exception that ended it."""
    content = one_span(status={} if code is None else {"code": code}, endTimeUnixNano="1772000001000000000", **more)
    [node] = of(read(otel.read, content), "node.executed")
    assert node["status"] == status


def test_every_exception_of_a_span_is_told() -> None:
    """Behind the status' message, unless an exception says the same; each once."""
    events = [raised(kind) for kind in ("A", "B", "B")]
    [node] = of(read(otel.read, one_span(status={"code": 2, "message": "gave up"}, events=events)), "node.executed")
    assert node["error_message"] == "gave up\n\nA: A failed\n\nB: B failed"
    [node] = of(
        read(otel.read, one_span(status={"code": 2, "message": "A failed"}, events=events[:1])), "node.executed"
    )
    assert node["error_message"] == "A: A failed"


def test_a_trace_with_two_roots_failed_when_one_of_them_did() -> None:
    """The first is not the only one that counts."""
    ended = "1772000001000000000"
    content = (
        one_span(endTimeUnixNano=ended)
        + b"\n"
        + one_span(spanId="00f067aa0ba902b8", endTimeUnixNano=ended, status={"code": 2, "message": "second"})
    )
    [finished] = of(read(otel.read, content), "run.finished")
    assert (finished["status"], finished["error_message"]) == ("failed", "second")


def test_a_span_without_an_end_goes_on() -> None:
    """So does its run; neither is completed."""
    found = read(otel.read, one_span(endTimeUnixNano="0"))
    [node] = of(found, "node.executed")
    assert node["status"] == "running"
    assert "duration_ms" not in node
    assert of(found, "run.finished") == []


def test_a_start_stands_for_one_that_cannot_be_read() -> None:
    """Without it the span is refused: a wrong date would hide it among others."""
    content = one_span(startTimeUnixNano="soon")
    with_start = Origin("acme", ORIGIN.source, instant("2026-05-01T00:00:00Z"))
    assert [type(word) for word in read(otel.read, content).words] == [Refused]
    found = read(otel.read, content, origin=with_start)
    assert [type(word) for word in found.words] == [Remark]
    [node] = of(found, "node.executed")
    assert node["started_at"] == "2026-05-01T00:00:00.000000Z"


def test_a_compressed_file_says_what_to_do() -> None:
    """A collector's file exporter can write one."""
    with pytest.raises(Unreadable, match="gzip: unpack it"):
        read(otel.read, b"\x1f\x8b\x08\x00")


def test_a_span_that_comes_again_counts_once_as_the_one_that_knows_its_end() -> None:
    """Whichever of the two came first."""
    whole, open_ = one_span(endTimeUnixNano="1772000001000000000"), one_span()
    for content in (whole + b"\n" + open_, open_ + b"\n" + whole):
        found = read(otel.read, content)
        [node] = of(found, "node.executed")
        assert (node["status"], found.words) == ("completed", [LeftOut("spans that came again")])


def test_the_model_that_answered_counts_before_the_one_that_was_asked_for() -> None:
    """Whichever span began first."""
    asked = one_span(attributes=[attribute("gen_ai.request.model", stringValue="m")])
    answered = one_span(
        spanId="00f067aa0ba902b8",
        parentSpanId="00f067aa0ba902b7",
        attributes=[attribute("gen_ai.response.model", stringValue="m-2026-01-01")],
    )
    [started] = of(read(otel.read, asked + b"\n" + answered), "run.started")
    assert started["model"] == "m-2026-01-01"


def test_langfuses_level_says_that_a_span_failed() -> None:
    """It sets no status."""
    level = [attribute("langfuse.observation.level", stringValue="ERROR")]
    [node] = of(read(otel.read, one_span(attributes=level)), "node.executed")
    assert node["status"] == "failed"


def test_logfires_pending_span_is_a_word_on_its_parent() -> None:
    """Beside the parent it is no span of its own; without it the parent goes on."""
    own = "00f067aa0ba902b7"
    kind = [
        attribute("logfire.span_type", stringValue="pending_span"),
        attribute("logfire.pending_parent_id", stringValue="0000000000000000"),
    ]
    pending = one_span(
        spanId="00f067aa0ba902b9", parentSpanId=own, endTimeUnixNano="1772000000000000000", attributes=kind
    )
    [node] = of(read(otel.read, pending), "node.executed")
    assert (node["status"], node["state_snapshot"]["span_id"]) == ("running", own)
    found = read(otel.read, pending + b"\n" + one_span(endTimeUnixNano="1772000001000000000"))
    [node] = of(found, "node.executed")
    assert (node["status"], found.words) == ("completed", [LeftOut("spans that came again")])


@pytest.mark.parametrize(
    ("agent", "chat", "parents", "tokens"),
    [
        (11, 0, (None, "00f067aa0ba902b7"), 11),
        (0, 0, (None, "00f067aa0ba902b7"), 0),
        (3, 4, ("00f067aa0ba902b8", "00f067aa0ba902b7"), 7),
    ],
)
def test_tokens_of_children_without_any_and_of_parents_in_a_circle(
    agent: int, chat: int, parents: tuple[str | None, str], tokens: int
) -> None:
    """A child's 0 hides no sum; in a circle each span stands for itself."""
    ids = ("00f067aa0ba902b7", "00f067aa0ba902b8")
    lines = [
        one_span(
            spanId=own,
            parentSpanId=parent,
            endTimeUnixNano="1772000001000000000",
            attributes=[attribute("gen_ai.usage.input_tokens", intValue=used)],
        )
        for own, parent, used in zip(ids, parents, (agent, chat), strict=True)
    ]
    [finished] = of(read(otel.read, b"\n".join(lines)), "run.finished")
    assert finished["tokens_input"] == tokens


def test_two_values_of_one_name_that_are_not_understood_are_both_kept() -> None:
    """The second under its number."""
    [node] = of(read(otel.read, one_span(attributes=[5, 6])), "node.executed")
    assert node["state_snapshot"]["not_understood"] == {"attributes": "5", "attributes#2": "6"}


def test_lines_are_read_behind_a_first_one_that_is_none() -> None:
    """As of a log that begins with words: it alone is refused."""
    found = read(otel.read, b"INFO exporting\n" + one_span() + b"\n" + one_span(spanId="00f067aa0ba902b8") + b"\n")
    assert said(found) == ["line 1: it is not JSON"]
    assert len(of(found, "node.executed")) == 2


@pytest.mark.parametrize(("name", "kept"), [("parentSpanId", "7"), ("traceState", None)])
def test_an_id_that_is_no_text_is_said(name: str, kept: str | None) -> None:
    """It is there, and is not the same as none; of a state nothing is asked."""
    [node] = of(read(otel.read, one_span(**{name: 7})), "node.executed")
    assert node["state_snapshot"].get("not_understood", {}).get(name) == kept


def test_a_span_whose_own_id_is_no_text_is_refused() -> None:
    """Nobody could say which it is."""
    [refused] = read(otel.read, one_span(spanId=7)).words
    assert str(refused) == "line 1, span 1: it has no traceId or no spanId that can be read"
