"""The CloudEvents 1.0 envelope: its attributes, in structured and in binary mode, and what is wrong with one."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from contracts.refusal import Reason, Refusal, Stage

Headers = Sequence[tuple[str, bytes | None]]
Fault = tuple[Reason, Stage, str]

MAX_ID = 128
MAX_TEXT = 256
MAX_SEQUENCE = 32
MAX_TENANT = 63
TENANT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
TIME_EXAMPLE = "2026-01-31T12:00:00.000Z"


class Attributes(Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The attributes that every event carries (CloudEvents 1.0, section 3; design of the topics), but its type."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    source: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    time: Raw
    subject: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    tenantid: Annotated[str, Meta(min_length=1, max_length=MAX_TENANT)]
    datacontenttype: str | None | UnsetType = UNSET
    sequence: Annotated[str, Meta(max_length=MAX_SEQUENCE)] | None | UnsetType = UNSET
    traceparent: Annotated[str, Meta(max_length=MAX_TEXT)] | None | UnsetType = UNSET
    tracestate: str | None | UnsetType = UNSET


class Envelope(Attributes, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An event of any type at all: its data is not looked into."""

    type: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    data: Raw


STRUCTURED = ("content-type", b"application/cloudevents+json; charset=UTF-8")
"""The first header of every record that this project publishes."""

ATTRIBUTES = frozenset(Envelope.__struct_fields__)
_decoder = msgspec.json.Decoder(Envelope)
_members = msgspec.json.Decoder(dict[str, Raw])


def decode_envelope(value: bytes) -> tuple[Envelope, dict[str, Raw]]:
    """The envelope of a structured-mode value, and its unknown attributes as raw JSON.

    Raises msgspec's or Unicode's own error when there is any fault: explain_envelope() then says which.
    """
    try:
        return _decoder.decode(value), {}
    except msgspec.ValidationError:
        members = _members.decode(value)
        unknown = {name: raw for name, raw in members.items() if name not in ATTRIBUTES}
        if not unknown:
            raise
        known = {name: raw for name, raw in members.items() if name in ATTRIBUTES}
        return _decoder.decode(msgspec.json.encode(known)), unknown


def is_binary_mode(headers: Headers) -> bool:
    """Whether the attributes are in `ce_*` headers alone (Kafka protocol binding 1.0, section 3).

    Clients that know HTTP write `Content-Type`: taken for none, it would make a whole event the data of another.
    """
    if headers and headers[0] == STRUCTURED:
        return False
    content_type: bytes | None = None
    has_attributes = False
    for name, value in headers:
        if name.lower() == "content-type":
            content_type = value
        elif name == "ce_specversion":
            has_attributes = True
    return has_attributes and not (content_type or b"").lower().startswith(b"application/cloudevents")


def media_type(content_type: str) -> str:
    """The type of `application/json; charset=utf-8`, without its parameters and in lower case (RFC 9110, 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()


def structured(value: bytes, headers: Headers) -> bytes:
    """A binary-mode record as the structured-mode value that says the same.

    Raises msgspec's own error when the value is not one JSON document.
    """
    members: dict[str, Any] = {
        name.removeprefix("ce_"): (text or b"").decode() for name, text in headers if name.startswith("ce_")
    }
    members.pop("data", None)
    content_type = next((text for name, text in headers if name == "content-type"), None)
    if content_type:
        members["datacontenttype"] = content_type.decode()
    return msgspec.json.encode(members | {"data": msgspec.json.decode(value, type=Raw)})


def check_headers(headers: Headers) -> None:
    """Refuse a header that is null or no UTF-8, in name or value: no reader downstream could pass it on as text.

    A name that is no UTF-8 comes with lone surrogates.
    """
    for name, text in headers:
        if text is None or not text.isascii() or not name.isascii():
            break
    else:
        return
    for number, (name, value) in enumerate(headers, 1):
        if not _is_text(name):
            message = f"the name of the record's header number {number} is no UTF-8"
            raise Refusal(Reason.bad_utf8, Stage.envelope, message)
        if value is None:
            raise Refusal(Reason.not_cloudevent, Stage.envelope, f"{_header(number, name)} is null")
        if not value.isascii():
            try:
                value.decode()
            except UnicodeDecodeError as error:
                message = f"{_header(number, name)} is no UTF-8 at byte {error.start}"
                raise Refusal(Reason.bad_utf8, Stage.envelope, message) from None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _header(number: int, name: str) -> str:
    """A header, counted from 1; by its name only when that is one of ours, since a name may hold anything."""
    known = name == "content-type" or name.removeprefix("ce_") in ATTRIBUTES
    return f"the header {name}" if known else f"the record's header number {number}"


def explain_envelope(members: dict[str, Any]) -> Refusal:
    """What is wrong with the attributes of a JSON object that decode_envelope() refused: the first fault."""
    general = (Reason.not_cloudevent, Stage.envelope, "the attributes are not those of a CloudEvents 1.0 event")
    reason, stage, message = next(chain(_required_faults(members), _optional_faults(members)), general)
    tenant, kind = members.get("tenantid"), members.get("type")
    return Refusal(
        reason,
        stage,
        message,
        tenant_id=tenant if isinstance(tenant, str) and tenant else None,
        event_type=kind if isinstance(kind, str) else None,
    )


def _required_faults(members: dict[str, Any]) -> Iterator[Fault]:
    if members.get("specversion") != "1.0":
        yield Reason.not_cloudevent, Stage.envelope, "specversion is not '1.0': the value is no CloudEvents 1.0 event"
    if members.get("id") in (None, ""):
        yield Reason.missing_id, Stage.envelope, "the attribute id is missing or empty: a producer sets it once"
    for name, limit in (("id", MAX_ID), ("source", MAX_TEXT), ("type", MAX_TEXT), ("subject", MAX_TEXT)):
        if fault := _text_fault(members.get(name), limit):
            yield Reason.not_cloudevent, Stage.envelope, f"the attribute {name} {fault}"
    if not isinstance(members.get("time"), str):
        yield Reason.bad_time, Stage.envelope, f"the attribute time is missing or no text such as {TIME_EXAMPLE}"
    if members.get("tenantid") in (None, ""):
        yield Reason.tenant_missing, Stage.tenant, "the attribute tenantid is missing or empty"
    elif fault := _text_fault(members["tenantid"], MAX_TENANT):
        yield Reason.tenant_unknown, Stage.tenant, f"the attribute tenantid {fault}"
    if "data" not in members:
        yield Reason.schema_invalid, Stage.schema, "data is missing"


def _optional_faults(members: dict[str, Any]) -> Iterator[Fault]:
    limits = (("sequence", MAX_SEQUENCE), ("traceparent", MAX_TEXT), ("tracestate", None), ("datacontenttype", None))
    for name, most in limits:
        if members.get(name) is not None and (fault := _text_fault(members[name], most, least=0)):
            yield Reason.not_cloudevent, Stage.envelope, f"the attribute {name} {fault}"


def _text_fault(value: Any, most: int | None, *, least: int = 1) -> str | None:
    if value is None:
        return "is missing"
    if not isinstance(value, str):
        return "is no text"
    if len(value) < least:
        return "is empty"
    if most is not None and len(value) > most:
        return f"has {len(value)} characters; at most {most} are accepted"
    return None
