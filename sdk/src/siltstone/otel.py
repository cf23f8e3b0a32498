"""OpenTelemetry's spans as runs and nodes: an instrumented agent needs one line.

    from opentelemetry import trace
    from siltstone.otel import SiltstoneSpanProcessor

    trace.get_tracer_provider().add_span_processor(SiltstoneSpanProcessor())

A trace is a run, its spans are nodes; models and tokens come from GenAI's attributes (`gen_ai.*`).
"""

import datetime as dt
import json
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from siltstone import _client

MAX_TRACES = 10_000  # that have begun and not ended; beyond it the oldest are forgotten, and have no run.finished
MAX_ATTRIBUTES_BYTES = 64 * 1024
_NAMESPACE = uuid.UUID("0d7f0a1e-6f0e-4a51-8f0f-3f6a0c2d9b11")


class SiltstoneSpanProcessor(SpanProcessor):
    """Writes `run.started` with a trace's first span, `node.executed` with each that ends, and `run.finished`.

    Without `every_span` the nodes are the first span and those with GenAI's attributes. Raises NotConfigured when it
    is made; later nothing does.
    """

    def __init__(self, *, every_span: bool = True) -> None:
        self._every = every_span
        self._client = _client.client()
        self._traces: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the interface's
        """A run begins with a span that has no local parent."""
        if span.context is None or (span.parent is not None and not span.parent.is_remote):
            return
        trace = format(span.context.trace_id, "032x")
        with self._lock:
            while len(self._traces) >= MAX_TRACES:
                self._traces.pop(next(iter(self._traces)))
            self._traces[trace] = {
                "root": span.context.span_id,
                "input": 0,
                "output": 0,
                "model": None,
                "provider": None,
            }
        self._emit("run.started", span, "", span.start_time, {"kind": "agent", "source": "otel", "external_ref": trace})

    def on_end(self, span: ReadableSpan) -> None:
        """A node for every span; the run ends with its first one."""
        if span.context is None:
            return
        trace, attributes = format(span.context.trace_id, "032x"), dict(span.attributes or {})
        failed = span.status.status_code is StatusCode.ERROR
        began, ended = span.start_time or 0, span.end_time or 0
        is_model = any(name.startswith("gen_ai.") for name in attributes)
        parent = format(span.parent.span_id, "016x") if span.parent else None
        if self._every or is_model or parent is None:
            data = {
                "node_name": span.name,
                "status": "failed" if failed else "completed",
                "started_at": _moment(began),
                "duration_ms": max(0, (ended - began) // 1_000_000),
                "state_snapshot": {"parent_span_id": parent, "attributes": _small(attributes)},
                "error_message": span.status.description if failed else None,
            }
            self._emit("node.executed", span, format(span.context.span_id, "016x"), ended, data)
        with self._lock:
            known = self._traces.get(trace)
            if known is None:
                return
            _add(known, attributes)
            is_root = known["root"] == span.context.span_id
            if is_root:
                del self._traces[trace]
        if is_root:
            finished = {
                "status": "failed" if failed else "completed",
                "duration_ms": max(0, (ended - began) // 1_000_000),
                "tokens_input": known["input"] or None,
                "tokens_output": known["output"] or None,
                "error_message": span.status.description if failed else None,
            }
            about = {"provider": known["provider"], "model": known["model"]}
            if known["provider"] or known["model"]:
                self._emit("run.updated", span, "", ended, about)
            self._emit("run.finished", span, "", ended, finished)

    def shutdown(self) -> None:
        """Send what is left."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything is acknowledged, or kept on disk."""
        return self._client.transport.flush(timeout_millis / 1000)

    def _emit(self, noun: str, span: ReadableSpan, label: str, at_ns: int | None, data: Mapping[str, Any]) -> None:
        """Ids are made of the trace and span: exported twice, an event is one."""
        if span.context is None:
            return
        context = span.context
        trace = format(context.trace_id, "032x")
        own = str(uuid.uuid5(_NAMESPACE, f"{trace}:{noun}:{label}"))
        parent = _client.trace_parent(context.trace_id, context.span_id, context.trace_flags)
        self._client.emit(noun, trace, data, time=_moment(at_ns or 0), id=own, parent=parent)


def _add(known: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    """What a span says of models and tokens."""
    for name, keys in {
        "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    }.items():
        found = next((attributes[key] for key in keys if isinstance(attributes.get(key), int)), 0)
        known[name] += max(0, found)
    known["model"] = known["model"] or _text(attributes, 100, "gen_ai.response.model", "gen_ai.request.model")
    known["provider"] = known["provider"] or _text(attributes, 50, "gen_ai.provider.name", "gen_ai.system")


def _text(attributes: Mapping[str, Any], most: int, *names: str) -> str | None:
    return next((str(attributes[name])[:most] for name in names if attributes.get(name)), None)


def _moment(nanoseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=nanoseconds // 1000)


def _small(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """All of them, unless they are too many bytes: then those of GenAI's conventions that are short."""
    if len(json.dumps(attributes, default=str)) <= MAX_ATTRIBUTES_BYTES:
        return dict(attributes)
    short = {n: v for n, v in attributes.items() if len(json.dumps(v, default=str)) <= 1024}  # noqa: PLR2004 - a line
    return short if len(json.dumps(short, default=str)) <= MAX_ATTRIBUTES_BYTES else {"left_out": len(attributes)}
