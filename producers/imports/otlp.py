"""OTLP's JSON, as collectors, SDKs and people write it: the spans of a file, and a word on everything else in it.

A request a line, one over many lines, several one after the other, or a list of them; requests whole, or the parts of
one (ResourceSpans, ScopeSpans); names of members as JSON has them (`traceId`) or as protobuf does (`trace_id`); ids in
hexadecimal of either case, or in base64. Other signals are counted.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO

from producers import spans
from producers.account import Part, Refused, Tally, Unplaced, Word
from producers.imports.imported import MAX_JSON_BYTES, MAX_NAME, NOT_JSON, Origin, iso, json_lines
from producers.imports.members import Members
from producers.imports.otlp_values import (
    Json,
    attributes,
    camel,
    kind,
    list_of,
    nanoseconds,
    object_of,
    span_id,
    trace_id,
)
from producers.spans import Happened
from producers.storable import clean

SIGNALS = {"resourceLogs": "logs", "resourceMetrics": "metrics", "resourceProfiles": "profiles"}
REQUEST = "a request of OTLP, an object with resourceSpans"
SCOPES = ("scopeSpans", "instrumentationLibrarySpans")


@dataclass(frozen=True)
class Span:
    """One operation of a trace; `ended` is None while it goes on. `kept` is what a node has no column for."""

    trace: str
    id: str
    parent: str | None
    name: str
    began: datetime
    ended: datetime | None
    duration_ms: int | None
    failed: bool
    error: str | None
    usage: spans.Usage
    resource: Json
    kept: Json = field(repr=False)


def spans_of(file: BinaryIO, origin: Origin) -> Iterator[Span | Word]:
    """The spans of a file in its order. What is none is refused; other signals are left out, counted at the end."""
    left_out = Tally()
    for place, value in _values(file):
        if isinstance(value, Refused):
            yield value
        else:
            yield from _of_value(value, place, origin, left_out)
    yield from left_out.words()


def _values(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Each JSON of a file with its place: a line each, unless the first line only begins one; a list's items."""
    first = next(json_lines(file), None)
    file.seek(0)
    if isinstance(first, Refused) and first.reason == NOT_JSON:
        read = _one_after_the_other(file)
        begun = next(read, None)
        if begun and not isinstance(begun[1], Refused):
            yield begun
            yield from read
            return
        file.seek(0)
    for line in json_lines(file):
        if isinstance(line, Refused):
            yield line.item, line
        else:
            yield from _each(line.members, f"line {line.number}")


def _one_after_the_other(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Values over many lines, with commas between them or without."""
    text = file.read().decode("utf-8-sig", "replace")
    decoder, at, number = json.JSONDecoder(parse_float=Decimal), 0, 0
    while (at := _next(text, at)) < len(text):
        number += 1
        try:
            value, end = decoder.raw_decode(text, at)
        except (ArithmeticError, ValueError, RecursionError) as error:
            line = text.count("\n", 0, error.pos if isinstance(error, json.JSONDecodeError) else at) + 1
            yield "", Refused(f"request {number}", f"it is not JSON in line {line}, nor is what follows read")
            return
        yield from _each(value, f"request {number}")
        at = end


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n,":
        at += 1
    return at


def _each(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield f"{place}, item {number}", item
    else:
        yield place, value


def _of_value(value: Any, place: str, origin: Origin, left_out: Tally) -> Iterator[Span | Word]:
    """What one request has, or a part of one."""
    if not isinstance(value, dict):
        yield Refused(place, f"it is not {REQUEST}")
        return
    members = _request(camel(value))
    if not members and value:
        yield Refused(place, f"it is not {REQUEST}{_looks_like(value)}")
    elif not members:
        left_out.add("requests with nothing in them")
    for name, signal in SIGNALS.items():
        if name in members:
            left_out.add(signal)
    numbers, around = Numbers(place), Part(place)
    for resource in list_of(members.get("resourceSpans"), around, "resourceSpans"):
        yield from _of_resource(resource, numbers, origin, left_out)
    yield from around.words


def _request(members: Json) -> Json:
    """A request, made of what may be a part of one; nothing when it is none."""
    if isinstance(members.get("trace"), dict):  # as Tempo answers, in one of two forms
        members = camel(members["trace"])
    if "batches" in members:
        return {"resourceSpans": members["batches"]}
    if "resourceSpans" in members or SIGNALS.keys() & members.keys():
        return members
    if any(name in members for name in (*SCOPES, "spans")):
        return {"resourceSpans": [members]}
    if "traceId" in members and "startTimeUnixNano" in members:
        return {"resourceSpans": [{"spans": [members]}]}
    return {}


@dataclass
class Numbers:
    """Spans of one request are counted from 1."""

    place: str
    last: int = 0

    def next(self) -> str:
        self.last += 1
        return f"{self.place}, span {self.last}"


def _of_resource(holder: Any, numbers: Numbers, origin: Origin, left_out: Tally) -> Iterator[Span | Word]:
    if not isinstance(holder, dict):
        yield Refused(numbers.next(), "it is not an object where spans of a resource belong")
        return
    members = camel(holder)
    around = Part(f"{numbers.place}, a resource")
    described = camel(object_of(members.get("resource"), around, "resource"))
    resource = attributes(described.get("attributes"), around)
    scopes = [list_of(members[name], around, name) for name in SCOPES if name in members]
    if "spans" in members:
        scopes.append([members])
    if not scopes:
        left_out.add("resources without spans")
    for scope in (scope for each in scopes for scope in each):
        if not isinstance(scope, dict):
            yield Refused(numbers.next(), "it is not an object where spans of a scope belong")
            continue
        of_scope = camel(scope)
        about = object_of(of_scope.get("scope") or of_scope.get("instrumentationLibrary"), around, "scope")
        for span in list_of(of_scope.get("spans"), around, "spans"):
            item = numbers.next()
            part = Part(item)
            try:
                made = _span(span, part, resource, about, origin)
            except (NotASpan, Unplaced) as error:
                yield Refused(item, str(error))
                continue
            yield from part.words
            yield made
    yield from around.words


class NotASpan(Exception):
    """A span lacks what makes it one; the message says what."""


def _span(span: Any, part: Part, resource: Json, scope: Json, origin: Origin) -> Span:
    if not isinstance(span, dict):
        raise NotASpan("it is not a span, which is an object")
    members = Members(camel(span), part)
    trace, own = members.read(trace_id, "traceId"), members.read(span_id, "spanId")
    if trace is None or own is None:
        raise NotASpan("it has no traceId or no spanId that can be read")
    stated = members.take("startTimeUnixNano")
    began = part.began("startTimeUnixNano", None if _is_zero(stated) else stated, origin.start, nanoseconds)
    began = began or origin.start
    if began is None:
        raise NotASpan("it has no startTimeUnixNano; say by --start when it began")
    ended = members.take("endTimeUnixNano")
    end = None if _is_zero(ended) else part.read("endTimeUnixNano", ended, nanoseconds)
    duration = None if end is None else round((end - began).total_seconds() * 1000)
    if end is not None and end < began:
        part.remark("endTimeUnixNano", ended, "is before its start")
        end, duration = began, None
    said = attributes(members.take("attributes"), part)
    events = [_event(event, part) for event in list_of(members.take("events"), part, "events")]
    links = [_link(link, part) for link in list_of(members.take("links"), part, "links")]
    state = camel(object_of(members.take("status"), part, "status"))
    happened = [Happened(str(event.get("name")), event["attributes"]) for event in events]
    failed = spans.has_failed(part.read("status.code", state.get("code"), spans.status), happened, said)
    failed = failed or "status.code" in part.kept  # a status that nobody knows is no success
    message = part.read("status.message", state.get("message"), _text)
    used = spans.usage(resource | said)
    for wrong in used.not_read:
        part.remark(wrong.name, wrong.value, f"is {wrong.why}")
    parent = members.read(span_id, "parentSpanId")
    if parent and said.get("logfire.span_type") == "pending_span":  # a word on its parent, which has begun
        own, end, duration = parent, None, None
        parent = part.read("logfire.pending_parent_id", said.get("logfire.pending_parent_id"), span_id)
    kept = {
        "span_id": own,
        "parent_span_id": parent,
        "kind": part.read("kind", members.take("kind"), kind),
        "attributes": said,
        "events": events,
        "links": links,
        "scope": scope,
        "status_message": None if failed else message,
        "trace_state": members.take("traceState"),
    }
    return Span(
        trace=trace,
        id=own,
        parent=parent,
        name=members.text(MAX_NAME, "name") or f"span {own}",
        began=began,
        ended=end,
        duration_ms=duration,
        failed=failed,
        error=part.long_text("error", spans.failure(message, happened, said), MAX_JSON_BYTES) if failed else None,
        usage=used,
        resource=resource,
        kept={name: value for name, value in kept.items() if value not in (None, [], {}, "")} | members.rest(*kept),
    )


def _event(event: Any, part: Part) -> Json:
    members = camel(event) if isinstance(event, dict) else {}
    if not isinstance(event, dict):
        part.remark("events", event, "is not an event of a span")
    at = members.pop("timeUnixNano", None)
    when = None if _is_zero(at) else part.read("timeUnixNano of an event", at, nanoseconds)
    own = attributes(members.pop("attributes", None), part)
    return {**members, "time": iso(when, "microseconds") if when else None, "attributes": own}


def _link(link: Any, part: Part) -> Json:
    if not isinstance(link, dict):
        part.remark("links", link, "is not a link of a span")
        return {}
    members = camel(link)
    return {
        "trace_id": part.read("traceId of a link", members.pop("traceId", None), trace_id),
        "span_id": part.read("spanId of a link", members.pop("spanId", None), span_id),
        "attributes": attributes(members.pop("attributes", None), part),
        **members,
    }


def _text(value: Any) -> str:
    return clean(value if isinstance(value, str) else str(value))


def _is_zero(value: Any) -> bool:
    """As protobuf writes what is not set."""
    return value in (0, "0", "", None)


def _looks_like(value: Json) -> str:
    """What else it may be, and what to do."""
    if "data" in value or "traceID" in value:
        return "; it looks like an answer of Jaeger's: export the traces by OTLP"
    if "SpanContext" in value or ("context" in value and "start_time" in value):
        return "; it looks like what an exporter for the console prints: export to a file or a collector by OTLP"
    if "traceId" in value and "timestamp" in value:
        return "; it looks like a span of Zipkin's: export by OTLP"
    return ""
