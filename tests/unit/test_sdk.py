"""The SDK's events are what workers take, and its spool keeps order."""

import asyncio
import contextvars
import enum
import gc
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, Tracer

import siltstone
from contracts.decode import decode
from contracts.event import Event
from contracts.registry import topic_of
from contracts.window import TimeWindow
from docs.generate import SDK_TYPES
from docs.pages.sdk_copies import sdk_copies
from docs.pages.sdk_types import sdk_types
from siltstone import _client, _worker, otel
from siltstone._spool import Record, Spool, SpoolFull
from siltstone.otel import SiltstoneSpanProcessor

WINDOW = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))


OTHER = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"


PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]  # in this order
LATE = """
import atexit, logging, sys
logging.basicConfig(level="INFO")
def late():
    siltstone.flush()
    session.state("waiting")
if sys.argv[1] == "before":
    atexit.register(late)
import siltstone
if sys.argv[1] == "after":
    atexit.register(late)
session = siltstone.session("bot")
if sys.argv[2]:
    session.state("running")
"""
FORKED = """
import os, signal, threading, time
from opentelemetry.sdk.trace import TracerProvider
from siltstone import otel
class Slow(dict):
    def __setitem__(self, *entry):
        began.set()
        time.sleep(0.5)
        super().__setitem__(*entry)
began = threading.Event()
processor = otel.SiltstoneSpanProcessor()
provider = TracerProvider()
provider.add_span_processor(processor)
tracer = provider.get_tracer("t")
tracer.start_span("first").end()  # what is imported with it is imported by now
processor._spans = Slow()
threading.Thread(target=tracer.start_span, args=("parent",)).start()
began.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)
    tracer.start_span("child").end()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
CELERY = """
import os, sys, types
class Signal:
    def connect(self, receiver):
        self.receiver = receiver
signals = sys.modules["celery.signals"] = types.ModuleType("celery.signals")
signals.worker_process_shutdown = Signal()
import siltstone
siltstone.session("bot").state("waiting")
signals.worker_process_shutdown.receiver(sender=None, pid=os.getpid(), exitcode=0)
os._exit(0)
"""
CONFTEST = """
import json, pathlib
from siltstone import _client
class Kept:
    def put(self, record):
        with open('kept', 'a') as file: file.write(record.value.decode() + '\\n')
    def flush(self, seconds): return True
_client._client = _client.Client('acme', '/x', '', Kept())
"""


class Level(str, enum.Enum):  # noqa: UP042 - its text is not its value, as a StrEnum's is
    """As programs have them."""

    HIGH = "high"


class Scalar:
    """A number as numpy has it: neither an int nor a float."""

    ndim = 0

    def __init__(self, value: float) -> None:
        self._value = value

    def item(self) -> float:
        return self._value


class Hidden:
    """Something whose text cannot be had."""

    def __repr__(self) -> str:
        raise ValueError


class Silent(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError


class Kept:
    """In the place of a way to Kafka: what was put."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.dropped: list[str] = []

    def put(self, record: Record) -> None:
        self.records.append(record)

    def drop(self, _: int, why: str) -> None:
        self.dropped.append(why)

    def flush(self, _: float) -> bool:
        return True

    def close(self) -> None:
        pass

    def events(self) -> list[Event]:
        """As workers read them: each in its topic, under its key."""
        found = []
        for record in self.records:
            event = decode(record.value, record.key, (), int(time.time() * 1000), WINDOW)
            assert record.topic == topic_of(event.type.family, "p.")
            assert record.key == f"acme/{event.subject}".encode()
            found.append(event)
        return found

    def short(self) -> list[tuple[str, str]]:
        """Type and, where it has one, status."""
        return [(event.type.noun_verb, str(getattr(event.data, "status", ""))) for event in self.events()]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    made = Kept()
    monkeypatch.setattr(_client, "_client", _client.Client("acme", "/agents/test", "p.", made))  # type: ignore[arg-type]
    return made


def test_types_are_the_contracts() -> None:
    """The generated module is what the generator writes."""
    assert SDK_TYPES.read_text() == sdk_types(), "run: make docs"


def test_what_the_sdk_has_copies_of_is_what_producers_have() -> None:
    """It reads spans as the importer does."""
    for name, text in sdk_copies().items():
        assert SDK_TYPES.with_name(name).read_text() == text, "run: make docs"


def test_a_session_says_what_was_found_and_how_it_ended(kept: Kept) -> None:
    """Its totals and exit code, and an error that ended it."""
    with siltstone.session("bot", environment="ci") as s:
        assert siltstone.current_session() is s
        s.extraction(event_type="error", pattern="timeout", metadata={"a": [1, {2}]})
        s.code_block("print(1)", language="python")
        s.state("waiting")
        s.update(total_lines_processed=3)
    with pytest.raises(ValueError, match="no"), siltstone.session("bot"):
        raise ValueError("no")
    assert [noun for noun, _ in kept.short()] == [
        "session.started", "extraction.recorded", "code_block.captured", "session.state_changed", "session.updated",
        "session.completed", "session.started", "extraction.recorded", "session.completed",
    ]  # fmt: skip
    codes = [e.data.exit_code for e in kept.events() if e.type.noun_verb == "session.completed"]  # type: ignore[attr-defined]
    assert codes == [0, 1]
    assert siltstone.current_session() is None


def test_a_run_has_its_nodes_by_path_and_fails_with_its_error(kept: Kept) -> None:
    """Nested nodes, an assertion, a file, and numbers with their digits."""
    with siltstone.run(kind="graph", definition_id="d") as r:
        with r.node("plan") as node:
            node.state = {"n": Decimal("1.50")}
            with r.node("inner"):
                pass
        r.assertion("contains", passed=True, assertion_value="x")
        r.file("out.txt", size_bytes=1)
        r.progress(progress_percent=50)
        r.result = {"cost_usd": Decimal("0.10"), "tokens_input": 5}
    with pytest.raises(KeyError), siltstone.run(kind="graph"):
        raise KeyError("x")
    assert kept.short() == [
        ("run.started", "running"), ("node.executed", "completed"), ("node.executed", "completed"),
        ("assertion.evaluated", ""), ("file.produced", ""), ("run.progressed", "UNSET"), ("run.finished", "completed"),
        ("run.started", "running"), ("run.finished", "failed"),
    ]  # fmt: skip
    values = [json.loads(record.value)["data"] for record in kept.records]
    assert [values[n]["node_name"] for n in (1, 2)] == ["plan/inner", "plan"]
    assert values[6]["cost_usd"] == "0.10"
    assert "KeyError" in values[8]["error_info"]["traceback"]


def test_a_decorated_function_is_a_run_and_inside_one_a_node(kept: Kept) -> None:
    """Sync and async, with what they return; each task has its own context."""

    @siltstone.recorded
    def one(number: int) -> int:
        return number + 1

    @siltstone.recorded(name="outer", model="m")
    async def outer(number: int) -> int:
        await asyncio.sleep(0)
        return one(number)

    async def both() -> list[int]:
        return list(await asyncio.gather(outer(1), outer(2)))

    assert asyncio.run(both()) == [2, 3]
    assert one(5) == 6
    assert [noun for noun, _ in kept.short()].count("run.started") == 3
    nodes = [event for event in kept.events() if event.type.noun_verb == "node.executed"]
    assert len({node.subject for node in nodes}) == 2


def test_an_exception_of_the_business_has_its_history(kept: Kept) -> None:
    """Created with its facts, then what changed."""
    made = siltstone.exception(
        domain="billing", type="mismatch", severity="high", source_system="erp", amount=Decimal("12.5"), entity="x"
    )
    made.event("triage_completed", set={"severity": "low"}, by="rule 7")
    made.update(status="resolved")
    assert [noun for noun, _ in kept.short()] == [
        "exception.created", "exception.triage_completed", "exception.updated"
    ]  # fmt: skip
    assert {event.subject for event in kept.events()} == {made.id}


def test_what_has_no_json_raises_nothing(kept: Kept) -> None:
    """Objects, bytes, sets and lone surrogates are recorded as they can be."""
    with siltstone.session("bot") as s:
        s.extraction(
            event_type="x", pattern="y", matched_value="a\udc00b", metadata={"o": object(), "b": b"\xff", "t": {1}}
        )
    assert len(kept.events()) == 3


@pytest.mark.parametrize("beside", [None, float("nan")])
def test_values_are_what_they_mean(kept: Kept, beside: float | None) -> None:
    """An enum's member, an id, a path, a date and numbers of other libraries, whatever else is beside them."""
    given = {
        "level": Level.HIGH, "id": uuid.UUID(int=1), "path": Path("a/b"), "day": date(2026, 1, 2), "at": clock(3, 4),
        "count": Scalar(7), "share": Scalar(0.5), "passed": Scalar(value=True), "none": Scalar(float("nan")),
    }  # fmt: skip
    with siltstone.session("bot", id=Level.HIGH) as s:
        found = {"given": given, "beside": beside}
        s.extraction(event_type="x", pattern="y", risk_level=Level.HIGH, metadata=found)  # type: ignore[arg-type]
    assert json.loads(kept.records[1].value)["data"]["metadata"]["given"] == {
        "level": "high", "id": str(uuid.UUID(int=1)), "path": "a/b", "day": "2026-01-02", "at": "03:04:00",
        "count": 7, "share": 0.5, "passed": True, "none": "nan",
    }  # fmt: skip
    assert [event.subject for event in kept.events()] == ["high"] * 3


def test_what_has_no_end_or_no_name_raises_nothing(kept: Kept) -> None:
    """Objects that are in themselves, keys that are no text, numbers that are none, and what has no text."""
    endless: dict[Any, Any] = {("a", 1): float("nan"), "deep": [float("inf")], "hidden": Hidden()}
    endless["self"] = [endless, endless]
    with siltstone.session("bot") as s:
        s.extraction(event_type="x", pattern="y", metadata=endless)
    assert json.loads(kept.records[1].value)["data"]["metadata"] == {
        "('a', 1)": "nan", "deep": ["inf"], "hidden": "<Hidden>", "self": ["…", "…"]
    }  # fmt: skip
    assert len(kept.events()) == 3


def test_nothing_that_a_program_gives_raises_in_it(kept: Kept) -> None:
    """Whatever it is, each event is one that workers take, but for what is no event's type."""
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    given: dict[Any, Any] = {
        "huge": 10**5_000,
        "deep": deep,
        "hidden": Hidden(),
        Hidden(): 1,
        "nul\0": b"\0",
        "text": "\\u0000",
    }
    with siltstone.session("bot\0", id="s-\udc00\0") as s:
        s.extraction(event_type="x", pattern="\0", metadata=given)
    made = siltstone.exception(
        domain="d", type="t", severity="low", source_system="x", payload={"set": 1, "verb": 2, "self": 3}
    )
    made.event("triage_completed", verb=1, self=2, changes=3)
    made.event("nope")  # type: ignore[arg-type]
    made.event(Hidden())  # type: ignore[arg-type]
    with siltstone.run(kind="graph", external_ref=Hidden()) as r:  # type: ignore[arg-type]
        r.result = None  # type: ignore[assignment]
    assert kept.dropped == ["there is no event 'exception.nope'", "there is no event 'exception.<Hidden>'"]
    assert [noun for noun, _ in kept.short()] == [
        "session.started", "extraction.recorded", "session.completed", "exception.created",
        "exception.triage_completed", "run.started", "run.finished",
    ]  # fmt: skip
    values = [json.loads(record.value)["data"] for record in kept.records]
    assert {event.subject for event in kept.events()[:3]} == {"s-?\ufffd"}
    assert values[0]["agent_name"] == "bot\ufffd"
    found = values[1]["metadata"]
    assert (found["huge"], found["hidden"], found["<Hidden>"]) == (hex(10**5_000), "<Hidden>", 1)
    assert (found["nul\ufffd"], found["text"]) == ("\ufffd", "\\u0000")
    assert [values[3]["payload"], values[4]["payload"]] == [
        {"set": 1, "verb": 2, "self": 3}, {"verb": 1, "self": 2, "changes": 3}
    ]  # fmt: skip


def test_an_exception_leaves_as_it_came(kept: Kept) -> None:
    """Whatever is in its way: an exception without a text, a result that is none, a context of another task."""
    with pytest.raises(Silent), siltstone.session("bot"), siltstone.run(kind="graph") as r, r.node("plan"):
        raise Silent
    wrong = siltstone.run(kind="graph")
    wrong.result = [1]  # type: ignore[assignment]
    with pytest.raises(KeyError), wrong:
        raise KeyError
    outer = siltstone.session("bot")
    contextvars.copy_context().run(outer.__enter__)
    outer.__exit__(None, None, None)
    said = [json.loads(record.value)["data"] for record in kept.records]
    assert [one["error_message"] for one in said if one.get("status") == "failed"] == ["Silent: <Silent>"] * 2
    assert [one["matched_value"] for one in said if "matched_value" in one] == ["Silent: <Silent>"]
    assert kept.short()[-2:] == [("session.started", ""), ("session.completed", "")]


@pytest.mark.parametrize(
    ("code", "expected"), [(None, 0), (0, 0), (False, 0), (3, 3), (-1, 255), (256, 0), ("no", 1), (Hidden(), 1)]
)
def test_sys_exit_is_no_error_and_has_pythons_exit_code(kept: Kept, code: object, expected: int) -> None:
    """A program that ends well has a run that is completed, and no extraction says that there was an error."""
    with pytest.raises(SystemExit), siltstone.session("bot"), siltstone.run(kind="graph") as r, r.node("plan"):
        raise SystemExit(code)
    status = "failed" if expected else "completed"
    assert kept.short() == [
        ("session.started", ""), ("run.started", "running"), ("node.executed", status), ("run.finished", status),
        ("session.completed", ""),
    ]  # fmt: skip
    assert json.loads(kept.records[-1].value)["data"]["exit_code"] == expected


def test_a_generator_that_nobody_reads_to_its_end_has_a_run_that_was_cancelled(kept: Kept) -> None:
    """Its consumer wanted no more: nothing failed."""

    def numbers() -> Iterator[int]:
        with siltstone.run(kind="graph"):
            yield from range(9)

    generator = numbers()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert kept.short() == [("run.started", "running"), ("run.finished", "cancelled")]


def test_a_generator_cannot_be_recorded(kept: Kept) -> None:
    """Its call ends before its work begins: it is refused where it is decorated."""

    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for generator in (numbers, later):
        with pytest.raises(TypeError, match=f"{generator.__name__} is a generator"):
            siltstone.recorded(generator)
    assert kept.records == []


def test_who_has_no_home_has_a_spool_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder for temporary files; not in what somebody else made there."""

    def homeless() -> Path:
        raise RuntimeError

    for name in ("XDG_STATE_HOME", "SILTSTONE_SPOOL_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = tmp_path / f"siltstone-{os.getuid()}"
    assert [_client.transport({}).folder for _ in range(2)] == [own, own]
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o755)
    another = _client.transport({}).folder
    assert (another.parent, another == own, another.stat().st_mode & 0o777) == (tmp_path, False, 0o700)
    own.rmdir()
    own.symlink_to(another)
    assert _client.transport({}).folder not in (own, another)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert _client.transport({}).folder == Path("/dev/null/siltstone")


def test_ids_follow_their_time() -> None:
    """UUIDs of version 7 and the usual variant: made later, sorted later, to the millisecond."""
    made = []
    for _ in range(50):
        made.append(_client.new_id())
        time.sleep(0.001)
    assert made == sorted(set(made))
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in made} == {(7, uuid.RFC_4122)}
    assert abs((uuid.UUID(made[0]).int >> 80) / 1000 - time.time()) < 60


def test_the_current_span_is_an_events_parent(kept: Kept) -> None:
    """OpenTelemetry's span, unless the program names a trace context itself; without either there is none."""
    with TracerProvider().get_tracer("t").start_as_current_span("agent") as span, siltstone.session("bot"):
        token = siltstone.traceparent.set(OTHER)
    siltstone.traceparent.reset(token)
    siltstone.exception(domain="d", type="t", severity="low", source_system="x")
    at = span.get_span_context()
    parents = [json.loads(record.value).get("traceparent") for record in kept.records]
    assert parents == [f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}", OTHER, None]
    assert len(kept.events()) == 3


def test_spans_are_a_run_with_its_nodes_tokens_and_model(kept: Kept) -> None:
    """A trace with its spans; a failed root is a failed run; the same ids whoever exports it."""
    provider = TracerProvider()
    provider.add_span_processor(SiltstoneSpanProcessor())
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span("agent") as root:
        with tracer.start_as_current_span("chat") as chat:
            chat.set_attributes({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 12})
        with tracer.start_as_current_span("chat") as chat:
            chat.set_attributes({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4})
        root.set_status(Status(StatusCode.ERROR, "gave up"))
    assert kept.short() == [
        ("run.started", "running"), ("node.executed", "completed"), ("node.executed", "completed"),
        ("node.executed", "failed"), ("run.updated", "UNSET"), ("run.finished", "failed"),
    ]  # fmt: skip
    finished = json.loads(kept.records[-1].value)["data"]
    assert (finished["tokens_input"], finished["tokens_output"], finished["error_message"]) == (15, 4, "gave up")
    assert json.loads(kept.records[-2].value)["data"] == {"model": "gpt-4o"}
    own = [json.loads(record.value)["traceparent"].split("-")[2] for record in kept.records]
    nodes = [format(span.get_span_context().span_id, "016x") for span in (chat, root)]
    assert (own[0], own[2:]) == (nodes[1], [nodes[0], *[nodes[1]] * 3])


def _node_of(kept: Kept, name: str) -> dict[str, Any]:
    events = [json.loads(record.value) for record in kept.records]
    [node] = [event["data"] for event in events if event["data"].get("node_name") == name]
    return dict(node)


def test_a_failed_spans_error_is_what_its_exceptions_say(kept: Kept) -> None:
    """Type, message and stack; its other events and its links stay with the node."""
    tracer, _ = _traced()
    with tracer.start_as_current_span("before") as before:
        pass
    link = Link(before.get_span_context(), {"why": "retried"})

    def fails() -> None:
        with tracer.start_as_current_span("chat", links=[link]) as chat:
            chat.add_event("first token", {"after_ms": 12}, timestamp=1_772_000_000_000_000_000)
            raise ValueError("bad thing")

    with pytest.raises(ValueError, match="bad thing"):
        fails()
    node = _node_of(kept, "chat")
    assert node["status"] == "failed"
    assert node["error_message"].startswith("Traceback (most recent call last)")
    assert node["error_message"].rstrip().endswith("ValueError: bad thing")
    first, raised = node["state_snapshot"]["events"]
    assert first == {"name": "first token", "time": "2026-02-25T06:13:20Z", "attributes": {"after_ms": 12}}
    assert raised["attributes"]["exception.type"] == "ValueError"
    [kept_link] = node["state_snapshot"]["links"]
    assert kept_link["attributes"] == {"why": "retried"}
    assert kept_link["span_id"] == format(before.get_span_context().span_id, "016x")


@pytest.mark.parametrize(
    ("attributes", "events", "status"),
    [
        ({}, {}, "completed"),
        ({"error.type": "timeout"}, {}, "failed"),
        ({}, {"exception.type": "A"}, "completed"),
        ({}, {"exception.type": "A", "exception.escaped": True}, "failed"),
    ],
)
def test_a_span_whose_status_nobody_set_may_have_failed(
    kept: Kept, attributes: dict[str, Any], events: dict[str, Any], status: str
) -> None:
    """By an error's type, or an exception that ended it; one that is only recorded was dealt with."""
    tracer, _ = _traced()
    with tracer.start_as_current_span("chat", attributes=attributes) as chat:
        if events:
            chat.add_event("exception", events)
    assert _node_of(kept, "chat")["status"] == status


def test_a_spans_numbers_may_be_texts_and_what_is_none_is_kept(kept: Kept) -> None:
    """Costs are summed up as tokens are, to the digit."""
    tracer, _ = _traced()
    with tracer.start_as_current_span("agent"):
        for cost in ("0.1", "0.2"):
            said = {"gen_ai.usage.input_tokens": "50", "gen_ai.usage.output_tokens": "many", "gen_ai.usage.cost": cost}
            with tracer.start_as_current_span(f"chat {cost}", attributes=said):
                pass
    [finished] = [event.data for event in kept.events() if event.type.noun_verb == "run.finished"]
    assert (finished.tokens_input, str(finished.cost_usd)) == (100, "0.3")  # type: ignore[attr-defined]
    assert _node_of(kept, "chat 0.1")["state_snapshot"]["not_understood"] == {"gen_ai.usage.output_tokens": "many"}


def _traced(sampler: Sampler = ALWAYS_ON) -> tuple[Tracer, SiltstoneSpanProcessor]:
    provider, processor = TracerProvider(sampler=sampler), SiltstoneSpanProcessor()
    provider.add_span_processor(processor)
    return provider.get_tracer("t"), processor


def _tokens(count: int) -> dict[str, int]:
    return {"gen_ai.usage.input_tokens": count}


def _finished(kept: Kept) -> dict[str, Any]:
    """Of each run that has ended, its input tokens."""
    events = [json.loads(record.value) for record in kept.records]
    return {e["subject"]: e["data"].get("tokens_input") for e in events if e["type"] == "siltstone.run.finished.v1"}


def test_tokens_count_once_though_an_agents_span_has_the_sum(kept: Kept) -> None:
    """A span's are those of its children when they have any, also through spans without any; else its own."""
    tracer, processor = _traced()
    with tracer.start_as_current_span("agent", attributes=_tokens(100)) as root:
        with tracer.start_as_current_span("step"), tracer.start_as_current_span("chat", attributes=_tokens(12)):
            pass
        with tracer.start_as_current_span("agent", attributes=_tokens(3)):
            with tracer.start_as_current_span("chat", attributes=_tokens(1)):
                pass
            late = tracer.start_span("chat", attributes=_tokens(2))
            step = tracer.start_span("step")
        with trace.use_span(step, end_on_exit=True):
            after = tracer.start_span("chat", attributes=_tokens(5))
        late.end()
        after.end()
    with tracer.start_as_current_span("alone", attributes=_tokens(7)) as alone:
        pass
    assert _finished(kept) == {
        format(root.get_span_context().trace_id, "032x"): 12 + 1 + 2 + 5,
        format(alone.get_span_context().trace_id, "032x"): 7,
    }
    assert (processor._spans, processor._roots) == ({}, {})


def test_a_runs_provider_is_its_models(kept: Kept) -> None:
    """A framework's spans name the framework, and end before and after the model's."""
    tracer, _ = _traced()
    framework = {"gen_ai.provider.name": "langgraph"}
    with tracer.start_as_current_span("graph", attributes=framework):
        with tracer.start_as_current_span("step", attributes=framework):
            pass
        with tracer.start_as_current_span(
            "chat", attributes={"gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
        ):
            pass
    with tracer.start_as_current_span("graph", attributes=framework):
        pass
    updates = [event["data"] for event in map(json.loads, (record.value for record in kept.records))]
    assert [{"model": one.get("model"), "provider": one["provider"]} for one in updates if "provider" in one] == [
        {"model": "gpt-4o", "provider": "openai"}, {"model": None, "provider": "langgraph"}
    ]  # fmt: skip


def test_a_runs_model_is_the_one_that_answered(kept: Kept) -> None:
    """Not the one that was asked for before."""
    tracer, _ = _traced()
    with tracer.start_as_current_span("agent"):
        for said in (
            {"gen_ai.request.model": "m"},
            {"gen_ai.response.model": "m-2026"},
            {"gen_ai.response.model": "n"},
        ):
            with tracer.start_as_current_span("chat", attributes=said):
                pass
    [updated] = [event.data for event in kept.events() if event.type.noun_verb == "run.updated"]
    assert updated.model == "m-2026"  # type: ignore[attr-defined]


def test_each_part_of_a_distributed_trace_in_a_process_is_a_run(kept: Kept) -> None:
    """Two requests of one caller: a run each, with its own nodes and end."""
    tracer, _ = _traced()
    caller = trace.set_span_in_context(
        NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
    )
    first, second = (tracer.start_span("agent", context=caller) for _ in range(2))
    for span, count in ((first, 1), (second, 2)):
        with trace.use_span(span), tracer.start_as_current_span("chat", attributes=_tokens(count)):
            pass
    first.end()
    second.end()
    runs = [f"{0xA:032x}-{span.get_span_context().span_id:016x}" for span in (first, second)]
    assert _finished(kept) == {runs[0]: 1, runs[1]: 2}
    assert [(event.subject, event.type.noun_verb) for event in kept.events()] == [
        (runs[0], "run.started"), (runs[1], "run.started"), (runs[0], "node.executed"), (runs[1], "node.executed"),
        (runs[0], "node.executed"), (runs[0], "run.finished"), (runs[1], "node.executed"), (runs[1], "run.finished"),
    ]  # fmt: skip
    assert {event.data.external_ref for event in kept.events()[:2]} == {f"{0xA:032x}"}  # type: ignore[attr-defined]
    assert len({event.uid for event in kept.events()}) == 8


def test_spans_that_are_not_sampled_are_left_out(kept: Kept) -> None:
    """Also those that are recorded for others, as with OpenTelemetry's own exporters."""

    class RecordsOnly(Sampler):
        def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_ONLY)

        def get_description(self) -> str:
            return "records only"

    tracer, processor = _traced(RecordsOnly())
    with tracer.start_as_current_span("agent") as root:
        assert root.is_recording()
        assert processor._spans == {}
    assert kept.records == []


def test_a_child_that_is_forked_while_a_span_begins_is_not_held_up(tmp_path: Path) -> None:
    """Whatever the parent's other threads do at that moment."""
    environment = os.environ | {"SILTSTONE_TENANT": "acme", "SILTSTONE_SPOOL_FOLDER": str(tmp_path)}
    environment |= {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    subprocess.run([sys.executable, "-c", FORKED], env=environment, check=True, timeout=60)


def test_spans_that_never_end_take_no_more_memory(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten; nor does a chain of spans keep those that have ended."""
    monkeypatch.setattr(otel, "MAX_SPANS", 3)
    tracer, processor = _traced()
    spans = [tracer.start_span("agent") for _ in range(5)]
    assert (len(processor._spans), len(processor._roots)) == (3, 3)
    for span in spans:
        span.end()
    assert len(_finished(kept)) == 3
    before = tracer.start_span("agent")
    for _ in range(50):
        span = tracer.start_span("step", context=trace.set_span_in_context(before))
        before.end()
        before = span
    [last] = processor._spans.values()
    assert (last.around(), processor._roots) == (None, {})
    assert sum(isinstance(one, otel._Open) for one in gc.get_objects()) <= 2


def test_a_pytest_session_is_a_run(tmp_path: Path) -> None:
    """Passed, failed, skipped and broken tests, each a node; without the option nothing is recorded."""
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        "def test_good(): print('hello')\n"
        "def test_bad(): assert 1 == 2\n"
        "@pytest.mark.skip\n"
        "def test_skipped(): pass\n"
        "@pytest.fixture\n"
        "def broken(): raise OSError\n"
        "def test_broken(broken): pass\n"
    )
    (tmp_path / "conftest.py").write_text(CONFTEST)
    subprocess.run(PYTEST, cwd=tmp_path, capture_output=True, check=False)
    assert not (tmp_path / "kept").exists()
    done = subprocess.run([*PYTEST, "--siltstone"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1, done.stdout
    events = [json.loads(line) for line in (tmp_path / "kept").read_text().splitlines()]
    assert len({event["subject"] for event in events}) == 1
    nodes = {e["data"]["node_name"]: e["data"]["status"] for e in events if "node" in e["type"]}
    assert nodes == {
        "test_a.py::test_good": "completed", "test_a.py::test_bad": "failed", "test_a.py::test_skipped": "skipped",
        "test_a.py::test_broken": "failed",
    }  # fmt: skip
    assert [e["data"]["passed"] for e in events if "assertion" in e["type"]] == [True, False, False]
    assert events[-1]["data"]["results_summary"] == {"passed": 1, "failed": 1, "skipped": 1, "error": 1}
    assert events[-1]["data"]["status"] == "failed"


def test_what_pytest_cannot_collect_is_counted(tmp_path: Path) -> None:
    """A module that cannot be imported is an error and a failed node; one that is skipped is skipped."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text("import nothing_of_this_name")
    (tmp_path / "test_b.py").write_text("import pytest\npytest.skip('today', allow_module_level=True)")
    done = subprocess.run([*PYTEST, "--siltstone"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2, done.stdout
    events = [json.loads(line) for line in (tmp_path / "kept").read_text().splitlines()]
    nodes = {e["data"]["node_name"]: e["data"]["status"] for e in events if "node" in e["type"]}
    assert nodes == {"test_a.py": "failed", "test_b.py": "skipped"}
    assert events[-1]["data"]["results_summary"] == {"error": 1, "skipped": 1}
    assert "nothing_of_this_name" in events[1]["data"]["error_message"]


def _recorded(folder: Path, *arguments: str) -> tuple[int, list[tuple[Any, ...]], list[bool], dict[str, Any]]:
    """The exit code of a session, its nodes, assertions and end."""
    (folder / "kept").unlink(missing_ok=True)
    done = subprocess.run([*PYTEST, "--siltstone", *arguments], cwd=folder, capture_output=True, check=False)
    events = [json.loads(line) for line in (folder / "kept").read_text().splitlines()]
    nodes = [event["data"] for event in events if "node" in event["type"]]
    return (
        done.returncode,
        sorted((node["node_name"], node["status"], node.get("iteration")) for node in nodes),
        [event["data"]["passed"] for event in events if "assertion" in event["type"]],
        events[-1]["data"],
    )


def test_a_subtest_is_a_node_of_its_own_and_fails_its_test(tmp_path: Path) -> None:
    """As pytest shows it, in this process and in xdist's."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text(
        "def test_one(subtests):\n"
        "    for number in range(2):\n"
        "        with subtests.test(f'm{number}'): assert number != 1\n"
    )
    for arguments in ([], ["-n", "1"]):
        code, nodes, assertions, finished = _recorded(tmp_path, *arguments)
        assert (code, nodes, len(assertions)) == (
            1,
            [
                ("test_a.py::test_one", "failed", None),
                ("test_a.py::test_one [m0]", "completed", None),
                ("test_a.py::test_one [m1]", "failed", None),
            ],
            3,
        )
        assert finished["results_summary"] == {"failed": 2, "passed": 1}


def test_a_test_that_ends_its_process_is_a_failure(tmp_path: Path) -> None:
    """As xdist, which starts another, reports it."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text("import os\ndef test_one(): os._exit(3)\ndef test_two(): pass\n")
    code, nodes, assertions, finished = _recorded(tmp_path, "-n", "1")
    assert (code, assertions) == (1, [False, True])
    assert nodes == [("test_a.py::test_one", "failed", None), ("test_a.py::test_two", "completed", None)]
    assert finished["results_summary"] == {"failed": 1, "passed": 1}


def test_a_test_that_is_run_again_has_a_node_for_each_time_and_one_assertion(tmp_path: Path) -> None:
    """As pytest-rerunfailures reports it: only its last outcome is the test's."""
    (tmp_path / "conftest.py").write_text(
        CONFTEST + "import pytest\n"
        "from _pytest.runner import runtestprotocol\n"
        "def pytest_report_teststatus(report):\n"
        "    if report.outcome == 'rerun': return 'rerun', 'R', 'RERUN'\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    for number in range(2):\n"
        "        for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
        "            report.rerun = number\n"
        "            if report.failed and number == 0: report.outcome = 'rerun'\n"
        "            item.ihook.pytest_runtest_logreport(report=report)\n"
        "    return True\n"
    )
    (tmp_path / "test_a.py").write_text("times = []\ndef test_one(): times.append(1); assert len(times) == 2\n")
    code, nodes, assertions, finished = _recorded(tmp_path)
    assert (code, assertions, finished["results_summary"]) == (0, [True], {"rerun": 1, "passed": 1})
    assert nodes == [("test_a.py::test_one", "completed", 1), ("test_a.py::test_one", "failed", 0)]


@pytest.mark.parametrize("ends", ["raise KeyboardInterrupt", "import pytest; pytest.exit('enough')"])
def test_a_session_that_is_interrupted_is_cancelled(tmp_path: Path, ends: str) -> None:
    """By Ctrl-C or by a test, with what it had done."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text(f"def test_one(): pass\ndef test_two(): {ends}\ndef test_three(): pass\n")
    code, nodes, assertions, finished = _recorded(tmp_path)
    assert (code, nodes, assertions) == (2, [("test_a.py::test_one", "completed", None)], [True])
    assert (finished["status"], finished["error_message"]) == ("cancelled", "pytest ended with 2")


def test_pytest_without_a_tenant_says_how_to_name_one(tmp_path: Path) -> None:
    """A usage error, as pytest has for a wrong option."""
    environment = {name: value for name, value in os.environ.items() if name != "SILTSTONE_TENANT"}
    done = subprocess.run(
        [*PYTEST, "--siltstone"], cwd=tmp_path, env=environment, capture_output=True, check=False, text=True
    )
    assert done.returncode == 4
    assert "ERROR: --siltstone: name the tenant: siltstone.configure(tenant=…), or the variable SILTSTONE_TENANT" in (
        done.stderr
    )


def test_pytest_waits_for_a_broker_that_is_away_for_three_seconds_at_most(tmp_path: Path) -> None:
    """Its events are in the spool then."""
    (tmp_path / "test_a.py").write_text("def test_one(): pass")
    own = {"SILTSTONE_TENANT": "acme", "SILTSTONE_SPOOL_FOLDER": str(tmp_path / "spool")}
    took = []
    for more in ([], ["--siltstone"]):
        began = time.monotonic()
        subprocess.run(
            [*PYTEST, *more], cwd=tmp_path, env=os.environ | own | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"},
            capture_output=True, check=True,
        )  # fmt: skip
        took.append(time.monotonic() - began)
    assert took[1] - took[0] < 5  # 3, and a noisy machine's
    assert Spool(tmp_path / "spool", 0).count() == 4


def test_a_spool_keeps_order_and_its_limit(tmp_path: Path) -> None:
    """What is put first comes first, after another process opened it too; beyond the limit nothing is kept."""
    records = [Record("t", b"k", str(number).encode()) for number in range(1_000)]
    spool = Spool(tmp_path / "spool", 200_000)
    spool.put(records[:600])
    again = Spool(tmp_path / "spool", 200_000)
    again.put(records[600:])
    assert [record for _, record in spool.first(2_000)] == records
    assert (spool.may_send(), again.may_send()) == (True, False)
    spool.let_others_send()
    assert (again.may_send(), spool.may_send()) == (True, False)
    again.let_others_send()
    assert spool.may_send()
    spool.remove([number for number, _ in spool.first(500)])
    assert [record for _, record in again.first(1)] == records[500:501]
    with pytest.raises(SpoolFull):
        spool.put([Record("t", b"k", b"x" * 300_000)])
    assert again.count() == 500
    spool.close()
    assert again.may_send()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "spool").glob("events.sqlite3")} == {0o600}


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a program waits for no broker that is not there."""
    monkeypatch.setattr(_worker, "EXIT_SECONDS", 0.1)
    monkeypatch.setattr(_worker, "STALLED_SECONDS", 0.1)


def _away(spool: Path, **more: Any) -> siltstone.Client:
    """A client whose broker is not there."""
    return siltstone.configure(tenant="acme", kafka={"bootstrap.servers": "127.0.0.1:9"}, spool=spool, **more)


def _lines(spool: Path) -> list[int]:
    kept = Spool(spool, 0)
    events = [json.loads(record.value) for _, record in kept.first(kept.count())]
    return [event["data"]["line_number"] for event in events if "extraction" in event["type"]]


def test_bursts_while_the_broker_is_away_are_kept_in_order(tmp_path: Path) -> None:
    """More than is in flight and queued at once, faster than a program makes it; soon there is room for the next."""
    transport = _away(tmp_path).transport
    records = [Record("t", b"k", b"%700d" % number) for number in range(90_000)]
    for burst in (records[:45_000], records[45_000:]):
        for record in burst:
            transport.put(record)
        deadline = time.monotonic() + 8
        while transport._queue.qsize() and time.monotonic() < deadline:
            time.sleep(0.01)
    transport.close()
    assert transport.dropped == 0
    assert [record for _, record in Spool(tmp_path, 0).first(90_000)] == records


def test_without_a_broker_events_are_on_disk_after_two_seconds(tmp_path: Path) -> None:
    """While the program runs: a program that is killed then leaves them."""
    session = siltstone.Session("bot", client=_away(tmp_path))
    began = time.monotonic()
    session.extraction(event_type="tool", pattern="p", line_number=1)
    assert siltstone.flush(30)
    assert 1.9 < time.monotonic() - began < 3
    assert _lines(tmp_path) == [1]
    session.extraction(event_type="tool", pattern="p", line_number=2)
    began = time.monotonic()
    assert siltstone.flush(30)
    session._client.transport.close()
    assert time.monotonic() - began < 2, "it is known by now that nobody answers"
    assert _lines(tmp_path) == [1, 2]


def test_another_configuration_waits_for_nothing(tmp_path: Path) -> None:
    """What the one before had is kept behind the caller's back, and flushed with the rest; its sessions go on."""
    session = siltstone.Session("bot", client=_away(tmp_path / "one"))
    session.extraction(event_type="tool", pattern="p", line_number=1)
    began = time.monotonic()
    _away(tmp_path / "two")
    assert time.monotonic() - began < 0.5
    session.extraction(event_type="tool", pattern="p", line_number=2)
    assert siltstone.flush(30)
    session._client.transport.close()
    assert _lines(tmp_path / "one") == [1, 2]


@pytest.mark.usefixtures("in_a_hurry")
def test_how_many_events_were_dropped_is_told_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not only of the first."""
    client = _away(tmp_path, spool_max_bytes=1)
    session = siltstone.Session("bot", client=client)
    for number in range(5):
        session.extraction(event_type="tool", pattern="p", line_number=number)
        assert siltstone.flush(30)
    client.transport.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"{count} events were dropped: the spool is full; its limit is SILTSTONE_SPOOL_MAX_BYTES" for count in (1, 5)
    ]


@pytest.mark.parametrize("early", ["", "running"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_comes_at_the_end_of_a_program_is_kept(tmp_path: Path, when: str, early: str) -> None:
    """From a hook of the program's own that was registered before the SDK was imported, or after; nothing is said."""
    environment = os.environ | {"SILTSTONE_TENANT": "acme", "SILTSTONE_SPOOL_FOLDER": str(tmp_path)}
    environment |= {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    command = [sys.executable, "-c", LATE, when, early]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    states = [json.loads(record.value)["data"]["state"] for _, record in Spool(tmp_path, 0).first(9)]
    assert states == [*filter(None, [early]), "waiting"]


def test_a_child_of_celerys_keeps_its_events(tmp_path: Path) -> None:
    """It ends by os._exit(), which runs no hook but Celery's own."""
    environment = os.environ | {"SILTSTONE_TENANT": "acme", "SILTSTONE_SPOOL_FOLDER": str(tmp_path)}
    environment |= {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    subprocess.run([sys.executable, "-c", CELERY], env=environment, check=True, timeout=60)
    assert Spool(tmp_path, 0).count() == 1


def test_where_there_can_be_no_thread_events_wait_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit of processes: nothing is raised or dropped, and the next event tries again."""
    session = siltstone.Session("bot", client=_away(tmp_path))

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        session.extraction(event_type="tool", pattern="p", line_number=1)
    session.extraction(event_type="tool", pattern="p", line_number=2)
    assert siltstone.flush(30)
    session._client.transport.close()
    assert (_lines(tmp_path), session._client.transport.dropped) == ([1, 2], 0)


@pytest.mark.usefixtures("in_a_hurry")
def test_an_event_that_is_too_large_is_dropped_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and those around it are kept."""
    client = siltstone.configure(tenant="acme", kafka={"bootstrap.servers": "127.0.0.1:9"}, spool=tmp_path / "spool")
    with siltstone.Session("bot", client=client) as session:
        session.code_block("x" * 3_000_000)
        session.state("waiting")
    client.transport.close()
    assert (client.transport.dropped, Spool(tmp_path / "spool", 10_000).count()) == (1, 3)
    assert "Kafka does not take it" in caplog.text


@pytest.mark.usefixtures("in_a_hurry")
def test_neither_a_bad_setting_nor_a_bad_folder_harms_the_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong is logged; with a spool everything is kept in it."""
    (tmp_path / "file").write_text("")
    for spool, kept in ((tmp_path / "spool", 3), (tmp_path / "file" / "spool", 0)):
        client = siltstone.configure(tenant="acme", kafka={"security.protocol": "none"}, spool=spool)
        with siltstone.Session("bot", client=client) as session:
            session.state("waiting")
        client.transport.close()
        assert (Spool(spool, 10_000).count() if kept else client.transport.dropped) == 3
    assert "Kafka's settings cannot be used" in caplog.text
    assert "cannot hold a spool" in caplog.text


@pytest.mark.parametrize("tenant", ["Acme", "", "-x", "a" * 64])
def test_a_tenant_that_is_none_is_refused_at_once(tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a worker, later."""
    monkeypatch.delenv("SILTSTONE_TENANT", raising=False)
    with pytest.raises(siltstone.NotConfigured):
        siltstone.configure(tenant=tenant)


def test_it_brings_nothing_of_the_workers_and_no_name_but_its_own() -> None:
    """An agent's environment gets the package `siltstone`, and one library."""
    files = importlib.metadata.files("siltstone-sdk") or []
    tops = {file.parts[0] for file in files if file.suffix == ".py" and len(file.parts) > 1}
    assert tops <= {"siltstone"}
    modules = "import sys, siltstone; print(sorted(m for m in sys.modules if m.split('.')[0] in "
    modules += "('contracts', 'workers', 'producers', 'persistence', 'msgspec', 'aiokafka', 'sqlalchemy')))"
    done = subprocess.run([sys.executable, "-c", modules], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_what_its_readme_names_is_there_after_one_import() -> None:
    """But for what the README imports itself."""
    names = re.findall(r"(?<!from )\bsiltstone(?:\.\w+)+", (SDK_TYPES.parents[2] / "README.md").read_text())
    assert "siltstone.recorded" in names
    subprocess.run([sys.executable, "-c", "import siltstone; " + "; ".join(names)], check=True)
