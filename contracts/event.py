"""A decoded event: its identity, and its place in the order of events about one thing."""

import struct
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from msgspec import Struct

from contracts.event_type import EventType, Rank
from contracts.fields import Data

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VERSION, _VERSION_FREE = 0x8 << 12, 0xFFF  # in the last 16 bits of the first half
_VARIANT, _VARIANT_FREE = 0b10 << 62, (1 << 62) - 1  # in the second half
_hashed = struct.Struct(">HQ22x").unpack  # the 80 bits that are used of 256
_halves = struct.Struct(">QQ").pack
_RANKS = {rank: rank.to_bytes(1, "big") for rank in Rank}
_order_head = struct.Struct(">BQ").pack


class Event(Struct, gc=False):
    """One event, valid and storable as far as can be known without the database.

    `type_name` is as it was told: an older version's, when the data were brought to that of `type`.
    `changed` is the struct whose fields the event merges: its data, or the object in it that says what changes.
    `rest` is JSON text: {"attributes": unknown ones, "data": unknown fields and explicit nulls}, or None.
    """

    type: EventType
    type_name: str
    uid: bytes
    tenant_id: str
    event_id: str
    source: str
    subject: str
    time: datetime
    time_us: int
    sequence: str | None
    traceparent: str | None
    data: Data
    changed: Data
    rest: str | None

    def order(self) -> bytes:
        """Where this event stands among those about the same thing, as bytes that compare (see order_key)."""
        return order_key(self.time_us, self.sequence, self.type.rank, self.uid)

    def fill_order(self) -> bytes:
        """The same, below every order(): for a value that only stands in until a real one comes."""
        return order_key(self.time_us, self.sequence, self.type.rank, self.uid, fills=True)


def microseconds(time: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (time - EPOCH) // _MICROSECOND


def event_uid(time_us: int, tenant_id: str, source: str, event_id: str) -> bytes:
    """The 16 bytes of a UUIDv8 (RFC 9562, section 5.8): 48 bits of milliseconds, then SHA-256 of the identity.

    The same on every delivery; it sorts by time; tenant, source and id are length-prefixed, so that no two
    identities share their bytes.
    """
    identity = f"{len(tenant_id)}:{tenant_id}{len(source)}:{source}{len(event_id)}:{event_id}".encode()
    high, low = _hashed(sha256(identity).digest())
    milliseconds = time_us // 1000 << 16
    return _halves(milliseconds | _VERSION | high & _VERSION_FREE, _VARIANT | low & _VARIANT_FREE)


def order_key(time_us: int, sequence: str | None, rank: Rank, uid: bytes, *, fills: bool = False) -> bytes:
    """time; then sequence as bytes, missing first; then rank; then uid: comparing the keys compares the events.

    The uid's own first 48 bits are the time's milliseconds, so they are left out: 21 bytes without a sequence.
    A sequence holds no NUL (such text is refused), so a NUL ends it. A key that `fills` is below all others.
    """
    place = b"\0" if sequence is None else b"\1" + sequence.encode() + b"\0"
    return _order_head(not fills, time_us) + place + _RANKS[rank] + uid[6:]
