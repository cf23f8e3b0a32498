"""OpenTelemetry's spans as runs and nodes: an instrumented agent needs one line.

    from opentelemetry import trace
    from siltstone.otel import SiltstoneSpanProcessor

    trace.get_tracer_provider().add_span_processor(SiltstoneSpanProcessor())

A span without a parent in this process is a run, and what is under it are its nodes. The run's id is the trace's; with
a parent in another process it is the trace's, a hyphen and the span's, for a trace has several such runs. Models and
tokens come from GenAI's attributes (`gen_ai.*`). A span's tokens are those of its children, where they have any, else
its own: an agent's span may carry the sum of its models'. A failed span's error is what its exceptions say; events and
links stay in the node's `state_snapshot`. Spans that are not sampled are left out.
"""

import datetime as dt
import json
import os
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Link, SpanContext, StatusCode

from siltstone import _client, _spans
from siltstone._storable import storable

MAX_SPANS = 10_000  # that have begun and not ended; beyond it the oldest are forgotten, and have no run.finished
MAX_ATTRIBUTES_BYTES = 64 * 1024
MAX_MODEL, MAX_PROVIDER, MAX_SHOWN = 100, 50, 4_096  # characters
_FAILED = {StatusCode.UNSET: None, StatusCode.OK: False, StatusCode.ERROR: True}
_NAMESPACE = uuid.UUID("0d7f0a1e-6f0e-4a51-8f0f-3f6a0c2d9b11")

_lock = threading.RLock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@dataclass(slots=True)
class _Run:
    id: str
    model: str | None = None
    provider: str | None = None
    answered: bool = False  # by the model, which is else the one that was asked for


@dataclass(slots=True, eq=False)
class _Open:
    """A span that has begun; `below` are its children's tokens and cost."""

    run: _Run
    parent: "_Open | None"
    is_open: bool = True
    below: dict[str, int | Decimal] = field(default_factory=dict)

    def around(self) -> "_Open | None":
        """The nearest span around it that has not ended."""
        while self.parent is not None and not self.parent.is_open:
            self.parent = self.parent.parent
        return self.parent


class SiltstoneSpanProcessor(SpanProcessor):
    """Writes `run.started` with a run's first span, `node.executed` with each that ends, and `run.finished`.

    Without `every_span` the nodes are the first span and those with GenAI's attributes. Raises NotConfigured when it
    is made; later nothing does.
    """

    def __init__(self, *, every_span: bool = True) -> None:
        self._every = every_span
        self._client = _client.client()
        self._spans: dict[tuple[int, int], _Open] = {}
        self._roots: dict[int, _Open] = {}  # of each trace, the last that began

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the interface's
        """A run begins with a span that has no local parent."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with _lock:
            while len(self._spans) >= MAX_SPANS:
                self._forget(next(iter(self._spans)))
            begun = self._begin(span.context, span.parent)
        if _is_root(span):
            data = {
                "kind": "agent",
                "source": "otel",
                "external_ref": _trace(span.context),
                "config_snapshot": {"name": span.name, "resource": _small(dict(span.resource.attributes))},
            }
            self._emit("run.started", span.context, begun.run, "", span.start_time, data)

    def on_end(self, span: ReadableSpan) -> None:
        """A node for every span; the run ends with its first one."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        attributes = dict(span.attributes or {})
        used = _spans.usage(attributes)
        with _lock:
            known = self._spans.get((context.trace_id, context.span_id))
            run = known.run if known else self._run_of(context)
            tokens = _tokens(used) | (known.below if known else {})
            _name(run, used)
            if known:
                self._forget((context.trace_id, context.span_id))
                if outer := known.around():
                    for name, count in tokens.items():
                        outer.below[name] = outer.below.get(name, 0) + count
        if self._every or _is_root(span) or any(name.startswith("gen_ai.") for name in attributes):
            label = format(context.span_id, "016x")
            self._emit("node.executed", context, run, label, span.end_time, _node(span, attributes, used))
        if known and _is_root(span):
            about = {"provider": run.provider, "model": run.model}
            if any(about.values()):
                self._emit("run.updated", context, run, "", span.end_time, about)
            ended = _ended(span, attributes) | _told(tokens)
            self._emit("run.finished", context, run, "", span.end_time, ended)

    def _begin(self, context: SpanContext, parent: SpanContext | None) -> _Open:
        key = (context.trace_id, context.span_id)
        if parent is None or parent.is_remote:
            run = _Run(_trace(context) if parent is None else f"{_trace(context)}-{context.span_id:016x}")
            made = self._roots[context.trace_id] = self._spans[key] = _Open(run, None)
            return made
        outer = self._spans.get((context.trace_id, parent.span_id)) or self._roots.get(context.trace_id)
        if outer:
            outer.around()  # what has ended there is let go
        made = self._spans[key] = _Open(outer.run if outer else self._run_of(context), outer)
        return made

    def _forget(self, key: tuple[int, int]) -> None:
        gone = self._spans.pop(key)
        gone.is_open = False
        if self._roots.get(key[0]) is gone:
            del self._roots[key[0]]

    def _run_of(self, context: SpanContext) -> _Run:
        """Of a span whose beginning was not seen, or was forgotten."""
        root = self._roots.get(context.trace_id)
        return root.run if root else _Run(_trace(context))

    def shutdown(self) -> None:
        """Send what is left."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything is acknowledged, or kept on disk."""
        return self._client.transport.flush(timeout_millis / 1000)

    def _emit(
        self, noun: str, context: SpanContext, run: _Run, label: str, at_ns: int | None, data: Mapping[str, Any]
    ) -> None:
        """Ids are made of the run and span: exported twice, an event is one."""
        own = str(uuid.uuid5(_NAMESPACE, f"{run.id}:{noun}:{label}"))
        parent = _client.trace_parent(context.trace_id, context.span_id, context.trace_flags)
        self._client.emit(noun, run.id, data, time=_moment(at_ns or 0), id=own, parent=parent)


def _is_root(span: ReadableSpan) -> bool:
    return span.parent is None or span.parent.is_remote


def _trace(context: SpanContext) -> str:
    return format(context.trace_id, "032x")


def _node(span: ReadableSpan, attributes: Mapping[str, Any], used: _spans.Usage) -> dict[str, Any]:
    scope = span.instrumentation_scope
    kept = {
        "parent_span_id": format(span.parent.span_id, "016x") if span.parent else None,
        "kind": span.kind.name.lower(),
        "attributes": _small(attributes),
        "scope": {"name": scope.name, "version": scope.version} if scope else None,
        "events": storable([_event(event) for event in span.events], MAX_ATTRIBUTES_BYTES),
        "links": storable([_link(link) for link in span.links], MAX_ATTRIBUTES_BYTES),
        "dropped_attributes": span.dropped_attributes,
        "dropped_events": span.dropped_events,
        "dropped_links": span.dropped_links,
        "not_understood": {wrong.name: str(wrong.value)[:MAX_SHOWN] for wrong in used.not_read},
    }
    return _ended(span, attributes) | {
        "node_name": span.name,
        "started_at": _moment(span.start_time or 0),
        "state_snapshot": {name: value for name, value in kept.items() if value},
    }


def _event(event: Event) -> dict[str, Any]:
    at = _moment(event.timestamp).isoformat().replace("+00:00", "Z")
    return {"name": event.name, "time": at, "attributes": dict(event.attributes or {})}


def _link(link: Link) -> dict[str, Any]:
    span = format(link.context.span_id, "016x")
    return {"trace_id": _trace(link.context), "span_id": span, "attributes": dict(link.attributes or {})}


def _ended(span: ReadableSpan, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """How a span ended, of which OpenTelemetry's status says nothing unless somebody set it."""
    events = [_spans.Happened(event.name, event.attributes or {}) for event in span.events]
    failed = _spans.has_failed(_FAILED[span.status.status_code], events, attributes)
    return {
        "status": "failed" if failed else "completed",
        "duration_ms": max(0, ((span.end_time or 0) - (span.start_time or 0)) // 1_000_000),
        "error_message": _spans.failure(span.status.description, events, attributes) if failed else None,
    }


def _tokens(used: _spans.Usage) -> dict[str, int | Decimal]:
    """What a span says of its own tokens and cost, where it has any."""
    cost = None if used.cost_usd is None else Decimal(used.cost_usd)
    found = {"tokens_input": used.tokens_input, "tokens_output": used.tokens_output, "cost_usd": cost}
    return {name: count for name, count in found.items() if count}


def _told(tokens: Mapping[str, int | Decimal]) -> dict[str, int | str]:
    return {name: format(count, "f") if isinstance(count, Decimal) else count for name, count in tokens.items()}


def _name(run: _Run, used: _spans.Usage) -> None:
    """The run's model is the first that answered, else the first that was asked for, with its provider.

    A framework's spans name the framework.
    """
    model = used.model and used.model[:MAX_MODEL]
    provider = used.provider and used.provider[:MAX_PROVIDER]
    if model and (not run.model or (used.answered and not run.answered)):
        run.model, run.provider, run.answered = model, provider or run.provider, used.answered
    run.provider = run.provider or provider


def _moment(nanoseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=nanoseconds // 1000)


def _small(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """All of them, unless they are too many bytes: then those of GenAI's conventions that are short."""
    if len(json.dumps(attributes, default=str)) <= MAX_ATTRIBUTES_BYTES:
        return dict(attributes)
    short = {n: v for n, v in attributes.items() if len(json.dumps(v, default=str)) <= 1024}  # noqa: PLR2004 - a line
    return short if len(json.dumps(short, default=str)) <= MAX_ATTRIBUTES_BYTES else {"left_out": len(attributes)}
