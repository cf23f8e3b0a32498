"""Traces as OpenTelemetry's OTLP has them in JSON, a request a line: a trace is a run, each of its spans a node.

What GenAI's conventions say of models and tokens (attributes `gen_ai.*`) goes into the run's columns.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from producers import values
from producers.account import Part, Refused
from producers.imports.imported import (
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    MAX_NAME,
    Item,
    Origin,
    Unreadable,
    iso,
    json_lines,
    timeline,
)
from producers.storable import clean, storable


def text(value: Any, most: int) -> str | None:
    return Part("").text("x", value, most)


def count(value: Any) -> int | None:
    return Part("").read("x", value, values.count)


KIND = "otel"
ERROR = (2, "STATUS_CODE_ERROR")
INTEGER = re.compile("-?[0-9]{1,19}")
SINCE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """One operation of a trace."""

    trace: str
    id: str
    parent: str | None
    name: str
    began: datetime
    ended: datetime
    failed: bool
    said: str | None
    attributes: dict[str, Any]

    @property
    def duration_ms(self) -> int:
        return max(0, round((self.ended - self.began).total_seconds() * 1000))


def read(file: BinaryIO, name: str, origin: Origin) -> Iterator[Item]:
    """The runs of a file, in the order of their first spans; all spans are kept, for a trace may end with the file.

    A line or span that is none is refused.
    """
    traces: dict[str, list[Span]] = {}
    for line in json_lines(file):
        for span in [line] if isinstance(line, Refused) else _spans(line.members, line.number):
            if isinstance(span, Refused):
                yield span
            else:
                traces.setdefault(span.trace, []).append(span)
    if not traces:
        raise Unreadable(f"{name} holds no spans; a request of OTLP's JSON a line is expected (resourceSpans)")
    for trace, spans in traces.items():
        yield from _trace(trace, sorted(spans, key=lambda s: (s.began, s.id)), origin)


def _spans(request: Any, number: int) -> Iterator[Span | Refused]:
    """The spans of a line, counted from 1; what stands where one belongs, and is none, is refused."""
    place = 0
    for of_resource in _items(request, "resourceSpans"):
        resource = attributes(_list(of_resource.get("resource"), "attributes")) if isinstance(of_resource, dict) else {}
        for scope in _items(of_resource, "scopeSpans"):
            for span in _items(scope, "spans"):
                place += 1
                read = _span(span, resource) if isinstance(span, dict) else "it is no span of a request's resourceSpans"
                yield Refused(f"line {number}, span {place}", read) if isinstance(read, str) else read


def _items(holder: Any, name: str) -> list[Any]:
    """What is in a list; one None where there is no list, which is then no span either."""
    items = holder.get(name) if isinstance(holder, dict) else None
    return items if isinstance(items, list) else [None]


def _span(span: dict[str, Any], resource: dict[str, Any]) -> Span | str:
    trace, own, title = span.get("traceId"), span.get("spanId"), text(span.get("name"), MAX_NAME)
    began, ended = _moment(span.get("startTimeUnixNano")), _moment(span.get("endTimeUnixNano"))
    if not (isinstance(trace, str) and trace and isinstance(own, str) and own):
        return "it has no traceId or no spanId"
    if title is None or began is None:
        return "it has no name or no startTimeUnixNano"
    status = span.get("status")
    status = status if isinstance(status, dict) else {}
    parent = span.get("parentSpanId")
    return Span(
        trace=clean(trace)[:MAX_NAME],
        id=clean(own)[:MAX_NAME],
        parent=text(parent, MAX_NAME),
        name=title,
        began=began,
        ended=max(ended or began, began),
        failed=status.get("code") in ERROR,
        said=text(status.get("message"), MAX_JSON_BYTES),
        attributes=resource | attributes(_list(span, "attributes")),
    )


def _trace(trace: str, spans: list[Span], origin: Origin) -> list[dict[str, Any]]:
    unique = list({span.id: span for span in spans}.values())
    root = next((span for span in unique if span.parent is None), unique[0])
    line = timeline(origin, KIND, [trace, *sorted(span.id for span in unique)], unique[0].began)
    provider = _first(unique, "gen_ai.provider.name", "gen_ai.system")
    line.add(
        "run.started",
        line.run,
        "",
        {
            "kind": "agent",
            "source": KIND,
            "external_ref": trace,
            "provider": text(provider, MAX_LABEL),
            "model": text(_first(unique, "gen_ai.response.model", "gen_ai.request.model"), MAX_MODEL),
            "config_snapshot": storable({"name": root.name, "service": _first([root], "service.name")}, MAX_JSON_BYTES),
        },
    )
    for place, span in enumerate(unique, 1):
        line.now_ms = max(line.now_ms, round((span.ended - unique[0].began).total_seconds() * 1000))
        line.add(
            "node.executed",
            line.run,
            span.id,
            {
                "node_name": span.name,
                "status": "failed" if span.failed else "completed",
                "iteration": place,
                "started_at": iso(span.began, "microseconds"),
                "duration_ms": span.duration_ms,
                "state_snapshot": storable(
                    {"span_id": span.id, "parent_span_id": span.parent, "attributes": span.attributes}, MAX_JSON_BYTES
                ),
                "error_message": span.said if span.failed else None,
            },
        )
    ended = max(span.ended for span in unique)
    line.now_ms = max(line.now_ms, round((ended - unique[0].began).total_seconds() * 1000))
    failed = root.failed
    line.add(
        "run.finished",
        line.run,
        "",
        {
            "status": "failed" if failed else "completed",
            "duration_ms": round((ended - unique[0].began).total_seconds() * 1000),
            "tokens_input": _tokens(unique, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
            "tokens_output": _tokens(unique, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
            "error_message": root.said if failed else None,
        },
    )
    return line.take()


def attributes(pairs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """OTLP's list of keys and typed values, as an object."""
    return {str(pair.get("key")): _value(pair.get("value")) for pair in pairs}


def _value(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        return None
    (kind, held), *_ = value.items()
    match kind:
        case "intValue" if isinstance(held, str) and INTEGER.fullmatch(held):
            return int(held)
        case "arrayValue":
            return [_value(item) for item in _list(held, "values")]
        case "kvlistValue":
            return attributes(_list(held, "values"))
        case _:
            return held


def _list(holder: Any, name: str) -> list[dict[str, Any]]:
    items = holder.get(name) if isinstance(holder, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _moment(nanoseconds: Any) -> datetime | None:
    try:
        return SINCE + timedelta(microseconds=int(nanoseconds) // 1000)
    except (TypeError, ValueError, OverflowError):
        return None


def _first(spans: Iterable[Span], *names: str) -> Any:
    """The first of these attributes that any span has."""
    return next((s.attributes[n] for n in names for s in spans if s.attributes.get(n) is not None), None)


def _tokens(spans: list[Span], *names: str) -> int | None:
    """The tokens of a trace: those of its topmost spans, by what stands first of these attributes; None without any.

    A span's tokens are those of its children when they have any, else its own: many agents sum up what theirs used.
    """
    known = {span.id for span in spans}
    over = {span.id: span.parent if span.parent in known else None for span in spans}
    inner, tokens = defaultdict[str | None, list[Span]](list), defaultdict[str | None, list[int]](list)
    for span in spans:
        inner[over[span.id]].append(span)
    order = inner[None]
    for span in order:  # it grows: parents stand before their children
        order += inner[span.id]
    for span in reversed(order):
        used = tokens[span.id] or _own(span, names)
        tokens[over[span.id]] += [sum(used)] if used else []
    return sum(tokens[None]) if tokens[None] else None


def _own(span: Span, names: Iterable[str]) -> list[int]:
    own = count(next((span.attributes[name] for name in names if name in span.attributes), None))
    return [] if own is None else [own]
