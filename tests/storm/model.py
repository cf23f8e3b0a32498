"""What the tables must be, said a second time from the words of the design.

It shares no code with the pipeline: the standard library reads the JSON, events are sorted by their order and
applied one after the other. Slow, and plain enough to be checked by eye.
"""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tests.storm.words import (
    CAPTURED,
    COUNTED,
    COUNTS,
    DEFAULTS,
    EVENT_NAMES,
    FIELDS,
    FIRST,
    IMPLIED,
    JSON,
    KNOWN_ATTRIBUTES,
    LAST,
    LOG_COLUMNS,
    NOUNS,
    NUMERIC,
    ONLY_LOGGED,
    RENAMED,
    SET,
    STATE_COLUMNS,
    TIMES,
)

Headers = Sequence[tuple[str, bytes | None]]
Place = tuple[str, int, int]  # topic, partition, offset
Key = tuple[str, str]  # tenant, and the id of a thing (or the digest of a block)
Row = dict[str, Any]

# --- One event


class Number(NamedTuple):
    """A number of JSON, or a numeric: its digits as Postgres writes them, so that 1.10 is not 1.1 and 1 is not true."""

    digits: str


def number(text: str) -> Number:
    """The number that a text says."""
    if "e" in text or "E" in text or text.startswith("-0"):
        said = Decimal(text)
        text = format(said.copy_abs() if said.is_zero() else said, "f")
    return Number(text)


_exact = json.JSONDecoder(parse_int=number, parse_float=number)


def read_json(text: str | bytes) -> Any:
    """JSON with exact numbers."""
    return _exact.decode(text if isinstance(text, str) else text.decode())


class Event(NamedTuple):
    """An event as its JSON says it. `verb` is `session.started` of its type."""

    attributes: Mapping[str, Any]
    data: Mapping[str, Any]
    verb: str
    time: datetime
    uid: bytes

    @property
    def log(self) -> str:
        return NOUNS[self.verb.split(".")[0]][0]

    @property
    def state(self) -> str:
        """The state that its subject names."""
        return NOUNS[self.verb.split(".")[0]][1]

    @property
    def key(self) -> Key:
        """Tenant and subject."""
        return self.attributes["tenantid"], self.attributes["subject"]

    @property
    def block(self) -> Key:
        """Tenant and digest of the block that it captures."""
        return self.attributes["tenantid"], hashlib.sha256(self.data["content"].encode()).hexdigest()

    @property
    def carried(self) -> Mapping[str, Any]:
        """What it changes of its state, by field."""
        return (self.data.get("set") or {}) if self.verb.startswith("exception.") else self.data


def event_of(one: Mapping[str, Any], known: bytes | None = None) -> Event:
    """The event of a JSON object, whose uid is worked out unless it is known."""
    verb = str(one["type"]).removeprefix("siltstone.").removesuffix(".v1")
    if verb not in FIELDS:
        raise ValueError(f"the model knows no type {one['type']}")
    return Event(one, one["data"], verb, _cut(one["time"]), known or uid(one).bytes)


_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def identity(event: Mapping[str, Any]) -> tuple[str, str, str, int]:
    """Tenant, source, id, and the microseconds of its time cut to the millisecond: what makes two records one event."""
    microseconds = (_cut(event["time"]) - _EPOCH) // _MICROSECOND
    return event["tenantid"], event["source"], event["id"], microseconds // 1000 * 1000


def uid(event: Mapping[str, Any]) -> uuid.UUID:
    """A UUIDv8: 48 bits of milliseconds, then SHA-256 over tenant, source and id, each after its length."""
    *names, microseconds = identity(event)
    hashed = hashlib.sha256("".join(f"{len(name)}:{name}" for name in names).encode()).digest()
    made = bytearray((microseconds // 1000).to_bytes(6, "big") + hashed[:10])
    made[6] = 0x80 | made[6] & 0x0F  # the version
    made[8] = 0x80 | made[8] & 0x3F  # the variant
    return uuid.UUID(bytes=bytes(made))


def place(event: Event) -> tuple[datetime, bool, bytes, int, bytes]:
    """The event's place in the order: time, sequence with missing first, rank, uid."""
    sequence, verb = event.attributes.get("sequence") or "", event.verb.split(".")[1]
    return event.time, bool(sequence), sequence.encode(), (verb not in FIRST) + (verb in LAST), event.uid


def structured(value: bytes, headers: Headers) -> bytes:
    """A record's event as one JSON object: its value, or in binary mode the attributes of its headers around it."""
    said = dict(headers)
    is_structured = (said.get("content-type") or b"").lower().startswith(b"application/cloudevents")
    if is_structured or "ce_specversion" not in said:
        return value
    attributes = {name.removeprefix("ce_"): (text or b"").decode() for name, text in headers if name.startswith("ce_")}
    attributes.pop("data", None)
    return json.dumps(attributes).encode()[:-1] + b', "data": ' + value + b"}"


def digest(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """What tells a record from others: key, value and the headers that no dead letter's trip put there."""
    own = [(name, text) for name, text in headers if not name.startswith(("x-dlq-", "__dlq.errors."))]
    return hashlib.sha256(repr((key, value, own)).encode()).digest()


def _cut(text: str) -> datetime:
    """An event's time: digits after the sixth are cut off."""
    return datetime.fromisoformat(text.upper())


def _rounded(text: str) -> datetime:
    """A time in `data`: rounded at the seventh digit, as Postgres does."""
    whole, point, fraction = text.upper().partition(".")
    seventh = fraction[6:7]
    up = point and fraction[:7].isdigit() and seventh >= "5"
    return datetime.fromisoformat(whole + point + fraction) + timedelta(microseconds=1 if up else 0)


def column(field: str, value: Any) -> Any:
    """A field's value as its column gives it back."""
    if value is None or field in JSON:
        return value
    if field in NUMERIC:
        return value if isinstance(value, Number) else number(value)
    if field in TIMES:
        return _rounded(value).astimezone(UTC)
    return int(value.digits) if isinstance(value, Number) else value


# --- The row that an event makes, and the row that all events about a thing make


def log_row(event: Event) -> Row:
    """The event in its log."""
    row: Row = dict.fromkeys(LOG_COLUMNS[event.log])
    one, fields = event.attributes, FIELDS[event.verb]
    row |= DEFAULTS.get(event.verb, {})
    row |= {RENAMED.get(name, name): column(name, event.data[name]) for name in fields if name in event.data}
    if event.verb == CAPTURED:
        del row["content"]
        row["digest"] = event.block[1]
    if event.state == "exception":
        row["event_type"] = EVENT_NAMES[event.verb.split(".")[1]]
    unknown = {name: value for name, value in one.items() if name not in KNOWN_ATTRIBUTES}
    if one.get("tracestate") is not None:
        unknown["tracestate"] = one["tracestate"]
    data = {name: value for name, value in event.data.items() if name not in fields or value is None}
    return row | {
        f"{event.state}_id": one["subject"],
        "tenant_id": one["tenantid"],
        "event_time": event.time,
        "ce_type": one["type"],
        "event_id": one["id"],
        "event_source": one["source"],
        "sequence": one.get("sequence") or None,
        "traceparent": one.get("traceparent") or None,
        "rest": {name: kept for name, kept in (("attributes", unknown), ("data", data)) if kept} or None,
    }


def state_row(state: str, events: Iterable[Event]) -> Row:
    """The state of a thing after all events about it."""
    row: Row = {name: 0 if name in COUNTED else None for name in STATE_COLUMNS[state]}
    is_named = False  # whether an event of the session's own has said whose it is
    for event in sorted(events, key=place):
        time, verb = event.time, event.verb
        row["events"] += 1
        row["created_at"] = min(row["created_at"] or time, time)
        row["updated_at"] = max(row["updated_at"] or time, time)
        if verb in COUNTS:
            row[COUNTS[verb]] += 1
        if verb.endswith(".deleted"):
            row["deleted_at"] = min(row["deleted_at"] or time, time)
        if verb == "definition.saved":
            row |= dict.fromkeys(FIELDS[verb])
        row |= {name: time if value == "time" else value for name, value in IMPLIED.get(verb, {}).items()}
        if verb in ONLY_LOGGED:
            if state == "session" and not is_named:
                row["agent_name"] = event.data["agent_name"]
            continue
        fields = SET.split() if state == "exception" else FIELDS[verb]
        carried = {name: column(name, event.carried[name]) for name in fields if name in event.carried}
        row |= {RENAMED.get(name, name): value for name, value in carried.items()}
        is_named = is_named or "agent_name" in carried
    return row


def block_row(captures: Iterable[Event]) -> Row:
    """The state of a block of code after all captures of it."""
    row: Row = {name: 0 if name in COUNTED else None for name in STATE_COLUMNS["code_block"]}
    for event in sorted(captures, key=place):
        row |= {name: event.data[name] for name in ("content", "language", "parseable") if name in event.data}
        row["occurrences"] += 1
        row["first_seen_at"] = min(row["first_seen_at"] or event.time, event.time)
        row["last_seen_at"] = max(row["last_seen_at"] or event.time, event.time)
    return row


class Model:
    """What the tables and the dead letters must be, once every record that was seen is settled.

    `poison` says of a record's digest for which reason it must be refused. Events of `late_tenants` are refused until
    their tenant is made, and redriven after: all of them are stored in the end.

    It holds each event's JSON once, and decodes it when rows are asked for. Of repeats with other content the log's
    row must be one, whole: choose() tells which, and states are made of that one.
    """

    def __init__(self, poison: Mapping[bytes, str], late_tenants: Collection[str] = ()) -> None:
        self.records = 0
        self.redriven = 0  # of the records, those that a redrive sent back
        self.letters: dict[Place, str] = {}  # a letter for each poisoned record that no redrive sent
        self.maybe: set[Place] = set()  # of late tenants: a letter may be there, and then it is resolved
        self.digests: dict[Place, bytes] = {}  # of the records in both
        self._poison = poison
        self._late = frozenset(late_tenants)
        self._json: dict[bytes, bytes] = {}
        self._repeats: dict[bytes, list[bytes]] = {}  # of other bytes than the first
        self._chosen: dict[bytes, int] = {}
        self._logs: dict[str, list[bytes]] = {log: [] for log in LOG_COLUMNS}
        self._things: dict[str, dict[Key, list[bytes]]] = {state: {} for state in STATE_COLUMNS}

    @property
    def events(self) -> int:
        """How many distinct identities were seen, of records that are to be stored."""
        return len(self._json)

    def see(
        self, topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Take in one record of an event topic; in any order, and also what a redrive sent back."""
        self.records += 1
        where = topic, partition, offset
        what = digest(key, value, headers)
        is_redriven = any(name == "x-dlq-id" for name, _ in headers)
        self.redriven += is_redriven
        if what in self._poison:
            if not is_redriven:
                self.letters[where], self.digests[where] = self._poison[what], what
            return
        try:
            told = structured(value or b"", headers)
            event = event_of(read_json(told))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{topic} {partition} {offset} is no poison, and no event: {error}") from error
        if event.key[0] in self._late and not is_redriven:
            self.maybe.add(where)
            self.digests[where] = what
        self._keep(event, told)

    def _keep(self, event: Event, told: bytes) -> None:
        known = self._json.get(event.uid)
        if known is None:
            self._json[event.uid] = told
            self._logs[event.log].append(event.uid)
        else:
            others = self._repeats.get(event.uid, [])
            if known == told or told in others:
                return
            if event_of(read_json(known)).log != event.log:
                raise ValueError(f"{event.key} has events of two logs with one identity: either may be stored, or both")
            self._repeats[event.uid] = [*others, told]
        of_thing = self._things[event.state].setdefault(event.key, [])
        if known is None or event.uid not in of_thing:
            of_thing.append(event.uid)

    def choose(self, uid: bytes, number: int) -> None:
        """Say which of an event's contents, as log_rows() numbers them, was stored."""
        self._chosen[uid] = number

    def log_rows(self, log: str) -> Iterator[tuple[bytes, list[Row]]]:
        """The rows of a log by uid, in its order: one of each uid's rows must be there, nearly always the only one."""
        for one in sorted(self._logs[log]):
            contents = [self._json[one], *self._repeats.get(one, ())]
            yield one, [log_row(event_of(read_json(content), one)) for content in contents]

    def state_rows(self, state: str) -> Iterator[tuple[Key, Row]]:
        """The rows of a state by tenant and key, in their order."""
        if state == "code_block":
            yield from self._blocks()
            return
        things = self._things[state]
        for key in sorted(things):
            events = [event for event in map(self._stored, things[key]) if event.key == key]
            if events:  # none when every one of them was stored with another subject
                yield key, state_row(state, events)

    def _blocks(self) -> Iterator[tuple[Key, Row]]:
        captures: dict[Key, list[bytes]] = {}
        for one in self._logs["code_block_occurrence"]:
            captures.setdefault(self._stored(one).block, []).append(one)
        for key in sorted(captures):
            yield key, block_row(map(self._stored, captures[key]))

    def _stored(self, uid: bytes) -> Event:
        """An event as it was stored."""
        number = self._chosen.get(uid, 0)
        return event_of(read_json(self._repeats[uid][number - 1] if number else self._json[uid]), uid)
