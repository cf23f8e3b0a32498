"""The form of a dead letter in its topic: its id and its headers.

The record itself stays byte for byte. The name of a header that is no UTF-8 is the exception: no client of ours can
send it, so it is written with escapes, and its bytes lie in a header of their own.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping

from contracts.envelope import Headers

NAMESPACE = uuid.UUID("8a1f8e0e-6f0b-5d0a-9b57-1f5d3c1f7a11")

# The names that Kafka itself uses (KIP-1191).
TOPIC = "__dlq.errors.topic"
PARTITION = "__dlq.errors.partition"
OFFSET = "__dlq.errors.offset"
GROUP = "__dlq.errors.group"
DELIVERY_COUNT = "__dlq.errors.delivery.count"
MESSAGE = "__dlq.errors.message"
# Ours.
ID = "x-dlq-id"
REASON = "x-dlq-reason"
STAGE = "x-dlq-stage"
EXCEPTION = "x-dlq-exception"
SQLSTATE = "x-dlq-sqlstate"
FAILED_AT = "x-dlq-failed-at"
ORIGINAL_TIMESTAMP = "x-dlq-original-timestamp"
REDRIVE_COUNT = "x-dlq-redrive-count"
APP = "x-dlq-app"
VALUE_IN_TABLE = "x-dlq-value-in-table"  # "true" when the value was too large for the topic and lies in dead_letter
TENANT = "x-dlq-tenant"
EVENT_TYPE = "x-dlq-event-type"
HEADER_NAMES = "x-dlq-header-names"  # the names that are no UTF-8: {"number among the own headers, from 1": base64}

MAX_MESSAGE_BYTES = 4096
_ESCAPES = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}  # by their lone surrogates (PEP 383)


def is_ours(name: str) -> bool:
    """Whether a header is of the kind that a second trip replaces."""
    return name.startswith(("x-dlq-", "__dlq.errors."))


def own_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """The record's own headers: those that no earlier trip put there."""
    return [(name, value) for name, value in headers if not is_ours(name)]


def letter_id(topic: str, partition: int, offset: int, timestamp_ms: int, value: bytes | None) -> uuid.UUID:
    """A UUIDv5 of what a record is: a redelivered record makes the same letter, a new topic of the name does not."""
    digest = hashlib.sha256(value or b"").hexdigest() if value is not None else "null"
    return uuid.uuid5(NAMESPACE, f"{topic}\n{partition}\n{offset}\n{timestamp_ms}\n{digest}")


def with_headers(headers: Headers, ours: Mapping[str, str]) -> list[tuple[str, bytes | None]]:
    """The record's own headers, and ours in place of any earlier trip's: HEADER_NAMES too, where a name needs it."""
    own = own_headers(headers)
    names = {number: _as_base64(name) for number, (name, _) in enumerate(own, 1) if escaped(name) != name}
    if names:
        ours = {**ours, HEADER_NAMES: json.dumps(names)}
    return [
        *((escaped(name), value) for name, value in own),
        *((name, text.encode("utf-8", "backslashreplace")) for name, text in ours.items()),
    ]


def escaped(name: str) -> str:
    r"""A header's name with `\xNN` for each byte that is no UTF-8; any other as it is."""
    return name if name.isascii() else name.translate(_ESCAPES)


def _as_base64(name: str) -> str:
    return base64.b64encode(name.encode("utf-8", "surrogateescape")).decode()


def cut(text: str) -> str:
    """At most 4 KiB of UTF-8, so that headers never grow past what a broker takes."""
    return text.encode("utf-8", "backslashreplace")[:MAX_MESSAGE_BYTES].decode("utf-8", "ignore")
