"""Traces as OpenTelemetry's OTLP has them in JSON: a trace is a run, each of its spans a node.

What spans say of models, tokens and cost goes into the run's columns (producers/spans.py).
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO, TypeVar

from producers.account import Part, Tally, Word
from producers.imports.imported import (
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    Item,
    Origin,
    Unreadable,
    iso,
    timeline,
)
from producers.imports.otlp import Span, spans_of
from producers.recognised import MAX_BEGINNING, otherwise
from producers.timeline import Timeline

KIND = "otel"

T = TypeVar("T", int, Decimal)


def read(file: BinaryIO, name: str, origin: Origin) -> Iterator[Item]:
    """The runs of a file, in the order of their first spans; all spans are kept, for a trace may end with the file.

    A line or span that is none is refused; a span that came before is counted. Raises Unreadable for a file in which
    there is nothing of OTLP.
    """
    hint = otherwise(file.read(MAX_BEGINNING), "otel")
    file.seek(0)
    if hint:
        raise Unreadable(f"{name} is not OTLP's JSON: {hint}")
    traces: dict[str, dict[str, Span]] = {}
    again, is_empty = Tally(), True
    for item in spans_of(file, origin):
        is_empty = False
        if not isinstance(item, Span):
            yield item
            continue
        known = traces.setdefault(item.trace, {})
        if item.id in known:
            again.add("spans that came again")
        known[item.id] = _later(known.get(item.id), item)
    if is_empty:
        raise Unreadable(f"{name} holds no spans: it is empty; OTLP's JSON is expected (resourceSpans)")
    yield from again.words()
    for trace, spans in traces.items():
        words: list[Word] = []
        line = _trace(trace, sorted(spans.values(), key=lambda s: (s.began, s.id)), origin, words)
        yield from words
        yield from line.take()


def _later(before: Span | None, now: Span) -> Span:
    """Of two words on one span the one that knows its end, else the later."""
    return before if before and before.ended and not now.ended else now


def _trace(trace: str, spans: list[Span], origin: Origin, words: list[Word]) -> Timeline:
    began = spans[0].began
    line = timeline(origin, KIND, [trace, *sorted(span.id for span in spans)], began)
    known = {span.id for span in spans}
    roots = [span for span in spans if span.parent is None] or [span for span in spans if span.parent not in known]
    roots = roots or spans[:1]  # parents in a circle
    part = Part(f"trace {trace}", words)
    resource = dict(roots[0].resource)
    about = {"name": roots[0].name, "service": resource.pop("service.name", None)} | (
        {"resource": resource} if resource else {}
    )
    line.add(
        "run.started",
        line.run,
        "",
        {
            "kind": "agent",
            "source": KIND,
            "external_ref": trace,
            "provider": part.text("provider", _first(span.usage.provider for span in spans), MAX_LABEL),
            "model": part.text("model", _model(spans), MAX_MODEL),
            "config_snapshot": part.json("resource", about, MAX_JSON_BYTES),
        },
    )
    for place, span in enumerate(spans, 1):
        _node(line, place, span, began, roots[0].resource, words)
    ends = [span.ended for span in spans if span.ended]
    is_over = all(root.ended for root in roots)
    _move_to(line, began, max(ends, default=None))
    failed = [root for root in roots if root.failed]
    cost = _total(spans, {span.id: Decimal(span.usage.cost_usd) for span in spans if span.usage.cost_usd is not None})
    data: dict[str, Any] = {
        "tokens_input": _total(spans, {s.id: s.usage.tokens_input for s in spans if s.usage.tokens_input is not None}),
        "tokens_output": _total(
            spans, {s.id: s.usage.tokens_output for s in spans if s.usage.tokens_output is not None}
        ),
        "cost_usd": None if cost is None else format(cost, "f"),
        "error_message": failed[0].error if failed else None,
    }
    if is_over:
        whole = round((max(ends) - began).total_seconds() * 1000)
        status = "failed" if failed else "completed"
        line.add("run.finished", line.run, "", {"status": status, "duration_ms": whole, **data})
    elif any(value is not None for value in data.values()):
        line.add("run.updated", line.run, "", data)
    return line


def _node(line: Timeline, place: int, span: Span, began: datetime, resource: dict[str, Any], words: list[Word]) -> None:
    _move_to(line, began, span.ended)
    kept = span.kept if span.resource == resource else span.kept | {"resource": span.resource}
    line.add(
        "node.executed",
        line.run,
        span.id,
        {
            "node_name": span.name,
            "status": "failed" if span.failed else "completed" if span.ended else "running",
            "iteration": place,
            "started_at": iso(span.began, "microseconds"),
            "duration_ms": span.duration_ms,
            "state_snapshot": Part(f"span {span.id}", words).json("attributes", kept, MAX_JSON_BYTES),
            "error_message": span.error,
        },
    )


def _move_to(line: Timeline, began: datetime, moment: datetime | None) -> None:
    """Go on to a moment; never back."""
    if moment:
        line.now_ms = max(line.now_ms, round((moment - began).total_seconds() * 1000))


def _model(spans: list[Span]) -> str | None:
    """The first that answered; where none says that, the first that was asked for."""
    answered = _first(span.usage.model for span in spans if span.usage.answered)
    return answered or _first(span.usage.model for span in spans)


def _first(values: Iterator[str | None]) -> str | None:
    return next((value for value in values if value), None)


def _total(spans: list[Span], own: dict[str, T]) -> T | None:
    """What the spans of a trace used together, from what each says; None when none says anything.

    A span's use is that of its children when they have any, else its own: many agents sum up what theirs used.
    """
    known = {span.id for span in spans}
    over = {span.id: span.parent if span.parent in known else None for span in spans}
    inner, used = defaultdict[str | None, list[Span]](list), defaultdict[str | None, list[T]](list)
    for span in spans:
        inner[over[span.id]].append(span)
    order = inner[None]
    for span in order:  # it grows: parents stand before their children
        order += inner[span.id]
    reached = {span.id for span in order}
    for span in spans:
        if span.id not in reached:  # parents in a circle: each stands for itself
            over[span.id] = None
            order.append(span)
    for span in reversed(order):
        below = used[span.id] if any(used[span.id]) or span.id not in own else [own[span.id]]
        used[over[span.id]] += [_sum(below)] if below else []
    return _sum(used[None]) if used[None] else None


def _sum(values: list[T]) -> T:
    total, *others = values
    for value in others:
        total = total + value
    return total
