"""What other tools' files become: whole files, half good ones, and such as are none."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from contracts.decode import decode
from contracts.window import TimeWindow
from producers import event_lines
from producers.account import LeftOut, Refused
from producers.imports import imported, junit, otel, promptfoo, runs_json, sentinel_yaml, swe_agent
from producers.imports.imported import Imported, Importer, Origin, Unreadable
from producers.imports.jsonl import importer
from producers.imports.mapping import BadMapping, mapping
from workers import importing
from workers.importing import UIDS_AT_ONCE, Expected, File

ORIGIN = Origin("acme", "/importers/test")
WINDOW = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))

MAPPING = """
events:
  - when: {kind: error}
    type: extraction.recorded
    subject: $session.id
    time: $at
    id: $id
    data: {agent_name: $agent, event_type: error, pattern: $rule, metadata: {all: $}, matched_value: $$5}
  - when: {kind: start}
    type: session.started
    subject: $session.id
    data: {agent_name: $agent}
"""
JUNIT = b"""<?xml version="1.0"?>
<testsuites><testsuite name="pytest" timestamp="2026-03-01T10:00:00+01:00" time="1,203.5" hostname="ci" tests="4">
  <properties><property name="seed" value="7"/></properties>
  <testcase classname="tests.a" name="test_one" time="0.25"><system-out>hello</system-out></testcase>
  <testcase classname="tests.a" name="test_two" time="0.5"><failure message="assert 1 == 2">trace</failure></testcase>
  <testcase name="test_three"><skipped message="later"/></testcase>
  <testcase classname="tests.b" name="test_four"><error type="OSError"/></testcase>
</testsuite></testsuites>"""
PROMPTFOO = {
    "evalId": "eval-1",
    "results": {
        "version": 3,
        "timestamp": "2026-02-03T04:05:06.007Z",
        "results": [
            {
                "provider": {"id": "openai:chat:gpt-4o"},
                "prompt": {"raw": "Say hi"},
                "vars": {"name": "x"},
                "response": {"output": "hi", "tokenUsage": {"prompt": 10, "completion": 3}, "cost": 0.0125},
                "latencyMs": 420,
                "success": False,
                "score": 0.5,
                "gradingResult": {
                    "componentResults": [
                        {"pass": True, "score": 1, "assertion": {"type": "contains", "value": "hi"}},
                        {
                            "pass": False,
                            "score": 0,
                            "reason": "no bye",
                            "assertion": {"type": "contains", "value": "bye"},
                        },
                    ]
                },
            },
            {"provider": "local", "prompt": "x", "error": "timed out"},
        ],
    },
}


def _attribute(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


def _span(own: str, name: str, began: int, ended: int, **more: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": str(began * 10**6), "endTimeUnixNano": str(ended * 10**6)}
    return {"traceId": "t1", "spanId": own, "name": name, **times, **more}


SPANS = [
    _span("b", "chat gpt", 1_770_000_000_100, 1_770_000_000_400, parentSpanId="a", attributes=[
        _attribute("gen_ai.system", stringValue="openai"), _attribute("gen_ai.request.model", stringValue="gpt-4o"),
        _attribute("gen_ai.usage.input_tokens", intValue="12"), _attribute("gen_ai.usage.output_tokens", intValue=5),
        _attribute("x", arrayValue={"values": [{"boolValue": True}, {"doubleValue": 0.5}]}),
    ]),
    _span("a", "agent", 1_770_000_000_000, 1_770_000_001_000, status={"code": 2, "message": "gave up"}),
]  # fmt: skip
OTEL = json.dumps({"resourceSpans": [{"resource": {"attributes": [_attribute("service.name", stringValue="bot")]},
                                      "scopeSpans": [{"spans": SPANS}]}]}).encode()  # fmt: skip
RUN = {
    "id": "job-17",
    "status": "done",
    "created_at": "2026-01-02T03:04:05Z",
    "finished_at": "2026-01-02T03:05:05Z",
    "progress": 0.5,
    "stages": [
        {
            "name": "parse",
            "status": "complete",
            "started_at": "2026-01-02T03:04:06Z",
            "ended_at": "2026-01-02T03:04:08Z",
        },
        {"name": "score", "status": "error", "error": {"message": "no data"}, "retries": 2},
    ],
    "results": {"score": 0.75},
    "files": [{"name": "report.pdf", "size": 1234}, "plain.txt"],
    "cost": 0.1,
    "owner": "me",
}
YAML = b"""name: polite
provider: openai
model: gpt-4o
prompt: |
  Say hi,   # kept as it is
assertions: [{type: contains, value: hi}]
---
name: second
version: 2
"""


def _read(read: Importer, content: bytes, name: str = "x") -> Imported:
    items = list(read(BytesIO(content), name, ORIGIN))
    return Imported([i for i in items if isinstance(i, dict)], [i for i in items if not isinstance(i, dict)])


def _lines(mapped: str, *lines: Any) -> Imported:
    content = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    return _read(importer(mapping(mapped, "m.yaml")), content)


def _short(found: Imported) -> list[tuple[str, Any]]:
    telling = {"node.executed": "node_name", "assertion.evaluated": "passed", "file.produced": "filename"}
    telling |= {"run.finished": "status", "definition.saved": "name", "run.started": "external_ref"}
    nouns = [(e["type"].removeprefix("siltstone.").removesuffix(".v1"), e["data"]) for e in found.events]
    return [(noun, data.get(telling.get(noun, ""))) for noun, data in nouns]


def _of(found: Imported, noun: str) -> list[dict[str, Any]]:
    return [event["data"] for event in found.events if event["type"] == f"siltstone.{noun}.v1"]


def test_a_junit_suite_is_a_run_and_each_case_a_node_and_an_assertion() -> None:
    """Times, counts and reasons as the file has them; a skipped case has nothing that was asserted."""
    found = junit.events(JUNIT, "out/junit.xml", ORIGIN)
    assert _short(found) == [
        ("run.started", "pytest"),
        ("node.executed", "tests.a::test_one"),
        ("assertion.evaluated", True),
        ("node.executed", "tests.a::test_two"),
        ("assertion.evaluated", False),
        ("node.executed", "test_three"),
        ("node.executed", "tests.b::test_four"),
        ("assertion.evaluated", False),
        ("run.finished", "failed"),
    ]
    assert found.events[0]["time"] == "2026-03-01T09:00:00.000Z"
    assert [n["status"] for n in _of(found, "node.executed")] == ["completed", "failed", "skipped", "failed"]
    assert [n.get("duration_ms") for n in _of(found, "node.executed")] == [250, 500, None, None]
    assert [a.get("failure_reason") for a in _of(found, "assertion.evaluated")] == [
        None,
        "assert 1 == 2\ntrace",
        "OSError",
    ]
    assert _of(found, "assertion.evaluated")[0]["output_text"] == "hello"
    [finished] = _of(found, "run.finished")
    assert finished["duration_ms"] == 1_203_500
    assert finished["results_summary"] == {"tests": 4, "failures": 1, "errors": 1, "skipped": 1, "said": {"tests": 4}}
    assert _of(found, "run.started")[0]["config_snapshot"] == {
        "suite": "pytest",
        "hostname": "ci",
        "properties": {"seed": "7"},
    }


def test_two_suites_that_are_the_same_are_two_runs() -> None:
    """Within one file; the same file again makes the same ids."""
    suite = b'<testsuite name="a"><testcase name="x"/></testsuite>'
    found = junit.events(b"<testsuites>" + suite * 2 + b"</testsuites>", "x", ORIGIN)
    assert len({event["id"] for event in found.events}) == len(found.events) == 8
    nameless = junit.events(b'<testsuite name="a"><testcase/><testcase name="x"/></testsuite>', "x", ORIGIN)
    assert [node["node_name"] for node in _of(nameless, "node.executed")] == ["test case 1", "x"]


def test_promptfoo_results_are_runs_with_their_checks() -> None:
    """Model, tokens, cost and each check's reason; a result with an error alone has failed."""
    found = promptfoo.events(json.dumps(PROMPTFOO).encode(), "r.json", ORIGIN)
    assert _short(found) == [
        ("run.started", "eval-1"),
        ("assertion.evaluated", True),
        ("assertion.evaluated", False),
        ("run.finished", "completed"),
        ("run.started", "eval-1"),
        ("run.finished", "failed"),
    ]
    started, finished = _of(found, "run.started")[0], _of(found, "run.finished")
    assert (started["provider"], started["model"]) == ("openai", "gpt-4o")
    assert started["config_snapshot"] == {"prompt": "Say hi", "vars": {"name": "x"}, "description": None}
    assert [finished[0][n] for n in ("tokens_input", "tokens_output", "cost_usd", "latency_ms")] == [
        10,
        3,
        "0.0125",
        420,
    ]
    assert finished[1]["error_message"] == "timed out"
    assert _of(found, "assertion.evaluated")[1]["failure_reason"] == "no bye"


def test_a_trace_is_a_run_and_its_spans_are_nodes() -> None:
    """In the order in which they began, with the model and tokens of GenAI's attributes; the root says how it ended."""
    found = _read(otel.read, OTEL + b"\n{broken\n")
    assert found.refused == [Refused("line 2", "it is not JSON")]
    assert _short(found) == [
        ("run.started", "t1"), ("node.executed", "agent"), ("node.executed", "chat gpt"), ("run.finished", "failed")
    ]  # fmt: skip
    [started], [finished] = _of(found, "run.started"), _of(found, "run.finished")
    assert (started["provider"], started["model"], started["config_snapshot"]) == (
        "openai", "gpt-4o", {"name": "agent", "service": "bot"}
    )  # fmt: skip
    assert [finished[n] for n in ("duration_ms", "tokens_input", "tokens_output", "error_message")] == [
        1000,
        12,
        5,
        "gave up",
    ]
    chat = _of(found, "node.executed")[1]
    assert (chat["duration_ms"], chat["state_snapshot"]["parent_span_id"]) == (300, "a")
    assert chat["state_snapshot"]["attributes"]["x"] == [True, 0.5]


def test_an_older_run_keeps_what_it_has_no_place_for() -> None:
    """Stages, files and results have theirs; unknown members stay under their own names."""
    found = runs_json.events(json.dumps(RUN).encode(), "17.json", ORIGIN)
    assert _short(found) == [
        ("run.started", "job-17"), ("node.executed", "parse"), ("node.executed", "score"),
        ("file.produced", "report.pdf"), ("file.produced", "plain.txt"), ("run.progressed", None),
        ("run.finished", "completed"),
    ]  # fmt: skip
    [started], [finished] = _of(found, "run.started"), _of(found, "run.finished")
    assert started["owner"] == "me"
    assert _of(found, "run.progressed") == [{"progress_percent": 50}]
    parse, score = _of(found, "node.executed")
    assert (parse["status"], parse["duration_ms"], parse["started_at"]) == (
        "completed",
        2000,
        "2026-01-02T03:04:06.000Z",
    )
    assert (score["status"], score["error_message"], score["retries"]) == ("failed", "no data", 2)
    assert (finished["cost_usd"], finished["results_summary"]) == ("0.1", {"score": 0.75})
    assert found.events[-1]["time"] == "2026-01-02T03:05:05.000Z"


def test_a_run_that_is_not_over_is_not_finished() -> None:
    """Nor is a stage whose status nobody knows imported."""
    run = {"run_id": 7, "status": "in_progress", "stages": {"a": "complete", "b": {"status": "odd"}}}
    found = runs_json.events(json.dumps(run).encode(), "7.json", ORIGIN)
    assert _short(found) == [("run.started", "7"), ("node.executed", "a")]
    assert found.refused == [Refused("stage 2", "its status 'odd' is not known")]


def test_definitions_keep_their_text_to_the_byte() -> None:
    """Written again from what is stored, a document is what it was."""
    found = _read(sentinel_yaml.read, YAML)
    assert _short(found) == [("definition.saved", "polite"), ("definition.saved", "second")]
    first, second = _of(found, "definition.saved")
    assert "---\n".join(d["spec_yaml"] for d in (first, second)).encode() == YAML
    assert (first["provider"], first["model"], first["kind"], second["version"]) == ("openai", "gpt-4o", "test", "2")
    assert first["spec"]["assertions"] == [{"type": "contains", "value": "hi"}]
    half = _read(sentinel_yaml.read, b"name: a\n---\n- 1\n---\n{\n")
    assert len(half.events) == 1
    assert half.refused == [
        Refused("document 2", "it is not a mapping with a name"), Refused("document 3", "it is no YAML in its line 2")
    ]  # fmt: skip


def test_lines_become_what_the_mapping_says() -> None:
    """By their members; a line that nothing is for is refused, and one without an id gets one of its content."""
    lines = [
        {"kind": "start", "session": {"id": "s1"}, "agent": "bot"},
        {"kind": "error", "session": {"id": "s1"}, "agent": "bot", "rule": "r", "at": 1_770_000_000, "id": 5},
        {"kind": "other"},
    ]
    content = "\n".join(map(json.dumps, lines)).encode() + b"\nnot json\n"
    found = _read(importer(mapping(MAPPING, "m.yaml")), content)
    assert [refused.item for refused in found.refused] == ["line 3", "line 4"]
    started, error = found.events
    assert (started["type"], started["subject"], len(started["id"])) == ("siltstone.session.started.v1", "s1", 36)
    assert (error["id"], error["time"], error["data"]["matched_value"]) == ("5", "2026-02-02T02:40:00.000000Z", "$5")
    assert error["data"]["metadata"] == {"all": lines[1]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("events: [", "m.yaml: it is no YAML in its line 1"),
        ("a: 1", "m.yaml: a mapping with a list `events` is expected"),
        ("events: [{type: run.started}]", "m.yaml, event 1: it needs type, subject and data"),
        ("events: [{type: nothing, subject: a, data: {}}]", "m.yaml, event 1: nothing is not a type of event"),
        ("events: [{type: run.started, subject: a, data: {}, more: 1}]", "m.yaml, event 1: unknown: more"),
        ("events: [{type: run.started, subject: a, data: 1}]", "m.yaml, event 1: when and data are mappings"),
        ("events: [{type: run.started, subject: a, data: {x: [2024-01-01]}}]", "2024-01-01 is a date to YAML"),
        ("events: [{type: run.started, subject: a, time: 2024-01-01T00:00:00, data: {}}]", "is a datetime to YAML"),
        ("events: [{type: run.started, subject: a, data: {x: .nan}}]", "m.yaml, event 1: nan is a float to YAML"),
        ("events: [{type: run.started, subject: a, data: {on: 1}}]", "m.yaml, event 1: True is a bool to YAML"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_where(text: str, said: str) -> None:
    """Before any file is read."""
    with pytest.raises(BadMapping) as raised:
        mapping(text, "m.yaml")
    assert said in str(raised.value)


def test_suites_may_nest_to_any_depth() -> None:
    """Only a suite with test cases of its own, or with nothing in it, is a run."""
    depth = 20_000
    case = b'<testcase name="x"/>'
    nested = b'<testsuite name="a">' * depth + case + b"</testsuite>" * depth
    found = _read(junit.read, nested)
    assert _short(found) == [
        ("run.started", "a"), ("node.executed", "x"), ("assertion.evaluated", True), ("run.finished", "completed")
    ]  # fmt: skip


@pytest.mark.parametrize("checks", [5, [5], {"a": 1}])
def test_checks_that_are_none_are_said(checks: Any) -> None:
    """By the place of their result, which is imported without them."""
    odd = {"provider": "local", "gradingResult": {"componentResults": checks}}
    results = {"results": {"version": 3, "results": [odd, {"provider": "local"}]}}
    found = _read(promptfoo.read, json.dumps(results).encode())
    assert [getattr(word, "item", "") for word in found.words] == ["result 1, a check" if checks == [5] else "result 1"]
    assert _short(found) == [("run.started", None), ("run.finished", "completed")] * 2


def _tokens(*spans: tuple[str, str | None, dict[str, int]]) -> tuple[int | None, int | None]:
    made = [
        _span(own, own, place, 10_000, parentSpanId=parent, attributes=[
            _attribute(f"gen_ai.usage.{name}_tokens", intValue=n) for name, n in used.items()
        ])
        for place, (own, parent, used) in enumerate(spans, 1)
    ]  # fmt: skip
    request = {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}
    [finished] = _of(_read(otel.read, json.dumps(request).encode()), "run.finished")
    return finished.get("tokens_input"), finished.get("tokens_output")


def test_tokens_that_a_span_sums_up_count_once() -> None:
    """A span's tokens are those of its children when they have any, else its own; the run's are its root's."""
    agent, chat = {"input": 100, "output": 9}, {"input": 50, "output": 4}
    assert _tokens(("a", None, agent), ("b", "a", chat), ("c", "a", chat)) == (100, 8)
    assert _tokens(("c", "b", chat), ("b", "a", {}), ("a", None, agent)) == (50, 4)
    assert _tokens(("a", None, agent), ("b", "a", {}), ("c", "a", {"output": 1})) == (100, 1)
    assert _tokens(("a", None, {}), ("b", "a", {})) == (None, None)
    assert _tokens(("a", None, agent), ("b", "lost", chat)) == (150, 13)


def test_a_run_whose_status_nobody_knows_says_so() -> None:
    """All but its end is imported."""
    run = {"id": "7", "status": "Weird-State", "stages": {"a": "complete"}, "cost": 0.5}
    found = _read(runs_json.read, json.dumps(run).encode())
    assert _short(found) == [("run.started", "7"), ("node.executed", "a"), ("run.updated", None)]
    assert found.refused == [Refused("the run's end", "its status 'weird-state' is not known")]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"--- # first\nname: a\n--- # second\nname: b\n", [" # first\nname: a\n", " # second\nname: b\n"]),
        (b"%YAML 1.1\n---\nname: a\n...\n", ["%YAML 1.1\n---\nname: a\n...\n"]),
        (b"name: a\n...\n%YAML 1.1\n--- # b\nname: b\n", ["name: a\n...\n", "%YAML 1.1\n--- # b\nname: b\n"]),
        (b"\xef\xbb\xbf# a license\n\n---\nname: a\n---\n# the end\n", ["name: a\n"]),
        (b'--- {name: a}\r\n---\r\nname: "b\r\n  ---"\r\n', [" {name: a}\r\n", 'name: "b\r\n  ---"\r\n']),
        (b"---\nname: a\n---x: 1\n", ["name: a\n---x: 1\n"]),
    ],
)
def test_documents_begin_as_yaml_lets_them(content: bytes, texts: list[str]) -> None:
    """A comment behind `---`, directives, an end; what holds comments alone is no document."""
    found = _read(sentinel_yaml.read, content)
    assert ([d["spec_yaml"] for d in _of(found, "definition.saved")], found.refused) == (texts, [])


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
MERGED = "a0: &a0 {k: x}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))


@pytest.mark.parametrize("bomb", [BOMB, MERGED, "x: &a [*a]\n"], ids=["lists", "merged", "itself"])
def test_what_aliases_expand_to_has_a_bound(bomb: str) -> None:
    """A definition that passes it is refused, its neighbour imported; a mapping that does cannot be used."""
    said = "its aliases expand to more than 524288 nodes and characters"
    found = _read(sentinel_yaml.read, f"name: bomb\n{bomb}---\nname: a\nx: &a [1]\ny: [*a, *a]\n".encode())
    assert found.refused == [Refused("document 1", said)]
    assert [d["spec"] for d in _of(found, "definition.saved")] == [{"name": "a", "x": [1], "y": [[1], [1]]}]
    with pytest.raises(BadMapping) as raised:
        mapping(bomb, "m.yaml")
    assert str(raised.value) == f"m.yaml: {said}"


@pytest.mark.parametrize("value", ["!!timestamp x", "!!bool x", "!!int ''", "2024-99-99", "!!set [a]", "&a [*b]"])
def test_a_value_that_yaml_has_not_is_refused(value: str) -> None:
    """Whatever the library makes of it."""
    found = _read(sentinel_yaml.read, f"name: a\nx: {value}\n---\nname: b\n".encode())
    assert [d["name"] for d in _of(found, "definition.saved")] == ["b"]
    assert [(refused.item, refused.reason[:13]) for refused in found.refused] == [("document 1", "it is no YAML")]


def test_numbers_and_texts_that_none_expects_fail_no_importer() -> None:
    """Digits of other kinds, a lone surrogate, times at the end of time."""
    suite = '<testsuite name="a" tests="²" timestamp="9999-12-31T23:59:59" time="1e14"><testcase name="x" time="1e14"/>'
    assert len(_read(junit.read, f"{suite}</testsuite>".encode()).events) == 4
    odd = [_attribute("service.name", stringValue="\ud800"), _attribute("n", intValue="²")]
    request = {"resourceSpans": [{"resource": {"attributes": odd}, "scopeSpans": [{"spans": SPANS}]}]}
    [started] = _of(_read(otel.read, json.dumps(request).encode()), "run.started")
    assert started["config_snapshot"] == {"name": "agent", "service": "\ufffd", "resource": {"n": "²"}}
    result = {"provider": "x", "latencyMs": 253402300799999}
    file = {"results": {"version": 3, "timestamp": "9999-12-31T23:59:59Z", "results": [result]}}
    assert len(_read(promptfoo.read, json.dumps(file).encode()).events) == 2


TWICE = """
events:
  - {type: extraction.recorded, subject: s, id: $id, time: $at, data: {agent_name: a, event_type: e, pattern: p}}
  - {type: session.state_changed, subject: s, id: $id, time: $at, data: {state: failed}}
  - {type: session.started, subject: s, id: $id, data: {agent_name: a}}
  - {type: session.completed, when: {over: true}, subject: s, id: $id, time: $at, data: {}}
"""


def test_the_events_of_one_line_are_told_apart() -> None:
    """Of those with the same id and time the second gets `#2`, in the order of the mapping."""
    found = _lines(TWICE, {"id": 5, "at": 1_770_000_000}, {"id": 6, "at": 1_770_000_000, "over": True})
    assert [event["id"] for event in found.events] == ["5", "5#2", "5", "6", "6#2", "6", "6#3"]
    assert len({(event["id"], event["time"]) for event in found.events}) == 7


@pytest.mark.parametrize("said", ["20 Nov 2026", "garbage", "", True, [1], 1e300])
def test_a_line_whose_time_cannot_be_read_is_refused(said: Any) -> None:
    """Nothing of it is imported, not even events that need no time of the line."""
    found = _lines(TWICE, {"id": 1, "at": said}, {"id": 2, "at": None})
    assert [refused.item for refused in found.refused] == ["line 1"]
    assert found.refused[0].reason.startswith("its time ")
    assert [event["id"] for event in found.events] == ["2", "2#2", "2#3"]


def test_a_line_without_a_time_lies_its_number_after_the_start() -> None:
    """In milliseconds; a blank line counts. Without --start the start is made of the whole file, which may grow."""
    read, content = importer(mapping(TWICE, "m.yaml")), b'{"id": 1}\n\n{"id": 2}\n'
    start = Origin("acme", "/importers/test", datetime(2026, 1, 1, tzinfo=UTC))
    times = [item["time"] for item in read(BytesIO(content), "x", start) if isinstance(item, dict)]
    assert times == ["2026-01-01T00:00:00.001Z"] * 3 + ["2026-01-01T00:00:00.003Z"] * 3
    grown = [item for item in read(BytesIO(content + b'{"id": 3}'), "x", start) if isinstance(item, dict)]
    assert grown[:6] == [item for item in read(BytesIO(content), "x", start) if isinstance(item, dict)]
    first = _lines(TWICE, content).events[0]["time"]
    assert first.startswith("2024-01-01T")
    assert first == _lines(TWICE, content).events[0]["time"] != _lines(TWICE, content + b'{"id": 3}').events[0]["time"]


def test_lines_are_read_one_by_one() -> None:
    """So that memory does not follow the size of a file."""
    file = BytesIO(b'{"id": 1}\n{"id": 2}\n')
    items = importer(mapping(TWICE, "m.yaml"))(file, "x", ORIGIN)
    next(items)
    assert file.tell() == len(b'{"id": 1}\n')


def test_keys_are_read_again_in_parts() -> None:
    """Every key once, in order."""
    keys = [n.to_bytes(16) for n in range(UIDS_AT_ONCE + 2)]
    expected = Expected(dict.fromkeys(keys, 0))
    parts = list(expected.parts())
    assert ([len(part) for part in parts], expected.rows) == ([UIDS_AT_ONCE, 2], len(keys))
    assert [key for part in parts for key in part] == keys


WHOLE: dict[str, tuple[Importer, bytes]] = {
    "junit": (junit.read, JUNIT),
    "promptfoo": (promptfoo.read, json.dumps(PROMPTFOO).encode()),
    "otel": (otel.read, OTEL),
    "runs-json": (runs_json.read, json.dumps(RUN).encode()),
    "sentinel-yaml": (sentinel_yaml.read, YAML),
    "jsonl": (importer(mapping(MAPPING, "m")), b'{"kind": "start", "session": {"id": "s"}, "agent": "a"}'),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_the_same_file_makes_the_same_events_and_workers_take_each(kind: str) -> None:
    """Byte for byte, whatever the file is called; every event passes the contracts."""
    read, content = WHOLE[kind]
    first, second = (_read(read, content) for _ in range(2))
    assert first == second
    assert len({event["id"] for event in first.events}) == len(first.events) > 0
    for event in first.events:
        value = json.dumps(event).encode()
        decode(value, f"acme/{event['subject']}".encode(), (), int(time.time() * 1000), WINDOW)


@pytest.mark.parametrize(
    ("read", "content", "said"),
    [
        (junit.read, b"<a/>", "its root is <a>"),
        (junit.read, b"{}", "not XML that can be read"),
        (junit.read, b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>', "not XML that can be read"),
        (promptfoo.read, b"{}", "has no list results.results"),
        (promptfoo.read, b'{"results": {"version": 9, "results": []}}', "version 9"),
        (promptfoo.read, b"[]", "has no list results.results"),
        (otel.read, b"\n", "holds no spans"),
        (runs_json.read, b"{}", "has no id"),
        (runs_json.read, b"{", "is not JSON"),
        (runs_json.read, b"\xff", "is not UTF-8 at byte 0"),
        (sentinel_yaml.read, b"\xff", "is not UTF-8 at byte 0"),
        (sentinel_yaml.read, b"---\n---\n", "holds no definition"),
        (swe_agent.read, b"{}", "cannot be imported"),
    ],
)
def test_a_file_that_is_none_says_so(read: Importer, content: bytes, said: str) -> None:
    """With its name, and what was expected."""
    with pytest.raises(Unreadable) as raised:
        _read(read, content, "the-file")
    assert "the-file" in str(raised.value)
    assert said in str(raised.value)


def _read_file(path: Path) -> File:
    file = File(path)
    for _ in importing.read(file, sentinel_yaml.read, ORIGIN, WINDOW, ""):
        pass
    return file


def test_a_file_that_was_changed_after_it_was_read_stays(tmp_path: Path) -> None:
    """What was added to it is nowhere else; so does what is no file of its own. Whole ones go."""
    grown, link, whole = (tmp_path / f"{name}.yaml" for name in ("grown", "link", "whole"))
    for path in (grown, whole):
        path.write_bytes(YAML)
    link.symlink_to(whole.name)
    files = [_read_file(path) for path in (grown, link, whole)]
    with grown.open("ab") as more:
        more.write(b"---\nname: third\n")
    for file, said in ((files[0], "was changed after it was read"), (files[1], "is a link or a pipe")):
        with pytest.raises(importing.Kept, match=said):
            importing.put_away(file, tmp_path / "archive")
        assert file.path.exists()
    assert importing.put_away(files[2], tmp_path / "archive").read_bytes() == YAML


def test_files_of_one_name_that_are_put_away_at_once_are_all_kept(tmp_path: Path) -> None:
    """Each gets a name of its own, whoever else looks for one."""
    for number in range(50):
        files = []
        for folder in range(4):
            path = tmp_path / f"{number}-{folder}" / "a.yaml"
            path.parent.mkdir()
            path.write_text(f"name: {number}-{folder}")
            files.append(_read_file(path))
        with ThreadPoolExecutor(len(files)) as threads:
            list(threads.map(lambda file: importing.put_away(file, tmp_path / "archive"), files))
    kept = {path.read_text() for path in (tmp_path / "archive").iterdir()}
    assert kept == {f"name: {number}-{folder}" for number in range(50) for folder in range(4)}


def test_numbers_that_json_or_python_cannot_hold_cost_their_own_item_alone() -> None:
    """NaN is kept as a text; an exponent beyond all bounds is refused with its line, or its file; so is a cost."""
    run = b'{"id": "7", "status": "ok", "results": {"loss": NaN}, "least": -Infinity, "cost": 1e-99999}'
    found = _read(runs_json.read, run)
    [started], [finished] = _of(found, "run.started"), _of(found, "run.finished")
    assert (started["least"], finished) == ("-Infinity", {"status": "completed", "results_summary": {"loss": "NaN"}})
    [definition] = _of(_read(sentinel_yaml.read, b"name: a\nmost: .inf\n"), "definition.saved")
    assert definition["spec"]["most"] == "Infinity"
    beyond = b'{"id": 1e9999999999999999999}\n'
    found = _lines(TWICE, beyond, {"id": 2}, b"\xff\xfe\n")
    assert found.refused == [Refused("line 1", "it is not JSON"), Refused("line 3", "it is not UTF-8")]
    assert len(found.events) == 3
    with pytest.raises(Unreadable, match="x is not JSON that can be read"):
        _read(runs_json.read, beyond)


@pytest.mark.parametrize("kind", ["promptfoo", "runs-json"])
def test_a_byte_order_mark_says_nothing(kind: str) -> None:
    """As Windows writes it before JSON."""
    read, content = WHOLE[kind]
    assert _read(read, b"\xef\xbb\xbf" + content) == _read(read, content)


def test_a_line_keeps_its_microseconds() -> None:
    """The order of events is told by them, but not their identity."""
    two = """events:
      - {type: session.started, subject: s, id: $id, time: $from, data: {agent_name: a}}
      - {type: session.completed, subject: s, id: $id, time: $to, data: {}}"""
    line = {"id": "x", "from": "2026-01-31T13:00:00.123456789+01:00", "to": "2026-01-31T12:00:00.123999Z"}
    assert [(event["id"], event["time"]) for event in _lines(two, line).events] == [
        ("x", "2026-01-31T12:00:00.123456Z"),
        ("x#2", "2026-01-31T12:00:00.123999Z"),
    ]


def test_what_is_no_span_is_refused() -> None:
    """Whatever stands where a span belongs; logs and metrics are left out, nothing without a word."""
    odd = {"resourceSpans": [3, {"scopeSpans": [{"spans": [4, SPANS[0]]}, {}, 5]}, {"instrumentationLibrarySpans": []}]}
    lines = [odd, {"resourceLogs": []}, [1], {"resourceSpans": []}]
    found = _read(otel.read, b"\n".join(json.dumps(line).encode() for line in lines))
    assert [refused.item for refused in found.refused] == [
        "line 1, span 1", "line 1, span 2", "line 1, span 4", "line 3, item 1"
    ]  # fmt: skip
    assert [word for word in found.words if not isinstance(word, Refused)] == [LeftOut("logs")]
    assert len(_of(found, "node.executed")) == 1


def test_a_run_that_was_written_again_adds_what_is_new_of_it() -> None:
    """A stage or a progress that changed is another event of the run, the progress later; the rest is what it was."""
    stages = [{"name": "parse", "status": "done"}, {"name": "score", "status": "pending"}]
    early = {"id": "7", "status": "running", "progress": 40, "stages": stages, "updated_at": "2024-01-02T00:00:00Z"}
    stages = [stages[0], {"name": "score", "status": "failed"}]
    late = early | {"stages": stages, "status": "done", "progress": 90, "updated_at": "2024-01-02T00:00:01Z"}
    first, second = (_read(runs_json.read, json.dumps(run).encode()).events for run in (early, late))
    known = {(event["id"], event["time"]) for event in first}
    assert [(event["type"].split(".")[1], (event["id"], event["time"]) in known) for event in second] == [
        ("run", True), ("node", True), ("node", False), ("run", False), ("run", False)
    ]  # fmt: skip
    assert {event["subject"] for event in (*first, *second)} == {first[0]["subject"]}
    assert [e["time"] for e in (first[-1], *second[-2:])] == [
        "2024-01-01T23:59:59.999Z",
        "2024-01-02T00:00:00.999Z",
        "2024-01-02T00:00:01.000Z",
    ]


def test_a_line_beyond_all_bounds_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held in memory, and its neighbours are read; `siltstone publish` reads lines so too."""
    for module in (event_lines, imported):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 20)
    found = _lines(TWICE, b'{"id": 1}\n' + b"x" * 57 + b'\n{"id": 2}\n' + b"y" * 21)
    assert found.refused == [Refused(f"line {number}", "it has more than 20 bytes") for number in (2, 4)]
    assert len(found.events) == 6
    lines = [b'{"id": 1}\n', b"x" * 21, b'{"id": 2}\n']
    assert list(event_lines.lines_of(BytesIO(b'{"id": 1}\n' + b"x" * 63 + b'\n{"id": 2}\n'))) == lines
    refused_lines = list(event_lines.outgoing(lines, event_lines.Defaults(), WINDOW, check=False))
    assert refused_lines[1] == event_lines.RefusedLine(2, "too_large: the line has more than 20 bytes")


def _taken(tmp_path: Path, mapped: str, *lines: Any) -> tuple[File, list[Refused]]:
    file = File(tmp_path / "lines")
    file.path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    read = importing.read(file, importer(mapping(mapped, "m.yaml")), ORIGIN, WINDOW, "")
    return file, [item for item in read if isinstance(item, Refused)]


LOGGED = """
events:
  - {type: extraction.recorded, subject: s, id: $id, time: $at, data: {agent_name: $by, event_type: e, pattern: p}}
"""


def test_lines_that_are_alike_are_events_each(tmp_path: Path) -> None:
    """A log may say one thing twice in a second; the same lines again make the same ids."""
    line = {"at": "2026-01-31T12:00:00Z", "by": "a"}
    file, refused = _taken(tmp_path, LOGGED, line, line, line | {"by": "b"}, line)
    again, _ = _taken(tmp_path, LOGGED, line, line, line | {"by": "b"}, line, line)
    [keys], [grown] = (list(f.expected["extraction_event"].parts()) for f in (file, again))
    assert (len(keys), len(grown), grown[:4], refused) == (4, 5, keys, [])


def test_an_event_that_a_file_holds_twice_is_expected_once(tmp_path: Path) -> None:
    """Another one with its id and time would be taken for it and lost: that is refused, by its line."""
    line = {"id": "x", "at": "2026-01-31T12:00:00Z", "by": "a"}
    file, refused = _taken(tmp_path, LOGGED, line, line, line | {"by": "b"}, line | {"id": "y", "by": 1})
    assert (file.expected["extraction_event"].rows, file.kinds.total()) == (1, 1)
    assert [refused.item for refused in refused] == ["line 3", "line 4"]
    assert refused[0].reason == "another event of the file has its id and time"
    assert refused[1].reason.startswith("schema_invalid: ")


def test_a_text_of_a_line_is_kept_whole_or_refused(tmp_path: Path) -> None:
    """Nothing is cut off without a word: an event has at most 1 MiB."""
    whole, large = ({"id": name, "at": 1, "by": "a", "all": "ü" * size} for name, size in (("x", 10**5), ("y", 2**19)))
    mapped = LOGGED.replace("pattern: p", "pattern: p, matched_value: $all, metadata: {all: $all}")
    [event] = _lines(mapped, whole).events
    assert event["data"]["matched_value"] == event["data"]["metadata"]["all"] == whole["all"]
    _, refused = _taken(tmp_path, mapped, large)
    assert [(item.item, item.reason[:9]) for item in refused] == [("line 1", "too_large")]


@pytest.mark.parametrize(
    ("said", "other"), [(b'hostname="a"', b'hostname="b"'), (b">one<", b">two<"), (b'value="7"', b'value="9"')]
)
def test_suites_that_differ_in_anything_are_two_runs(said: bytes, other: bytes) -> None:
    """Also without times, and when every case ended alike: what one of them printed would be lost. So for machines."""
    suite = (
        b'<testsuite name="a" hostname="a"><properties><property name="seed" value="7"/></properties>'
        b'<testcase name="x"><system-out>one</system-out></testcase></testsuite>'
    )
    changed = suite.replace(said, other)
    first, second = (_read(junit.read, content).events for content in (suite, changed))
    assert not {event["id"] for event in first} & {event["id"] for event in second}
    around = b"<testsuites>" + changed + suite + b"</testsuites>"
    assert _read(junit.read, around).events == second + first


def test_a_span_began_to_the_microsecond() -> None:
    """Many of a trace begin within one millisecond."""
    span = SPANS[0] | {"startTimeUnixNano": "1770000000123456789"}
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    [node] = _of(_read(otel.read, json.dumps(request).encode()), "node.executed")
    assert node["started_at"] == "2026-02-02T02:40:00.123456Z"


def test_a_fraction_in_a_mapping_is_that_of_a_line() -> None:
    """Lines are read to the digit: their 0.1 is no float."""
    mapped = LOGGED.replace("{type", "{when: {score: 0.1}, type")
    found = _lines(mapped, {"score": 0.1, "by": "a"}, {"score": 0.2, "by": "a"})
    assert (len(found.events), [refused.item for refused in found.refused]) == (1, ["line 2"])
