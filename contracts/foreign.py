"""Dead letters that other systems wrote: what their headers say. What cannot be read is unknown, never guessed."""

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from contracts import letter as form
from contracts.envelope import Headers
from contracts.refusal import Reason

UNKNOWN = "unknown"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TOPIC = re.compile(rb"[a-zA-Z0-9._-]{1,249}")
_CLASS = re.compile(r"[\w$.]+")

Read = Callable[[bytes], Any]
Field = tuple[Read, *tuple[str, ...]]
"""How a value is read, None being unknown, and from which header; the first that can be read counts."""


class ForeignLetter(NamedTuple):
    """What a letter says of its record. `headers` are the record's own, in order: without its system's and ours."""

    headers: Headers
    source: str = UNKNOWN
    topic: str = UNKNOWN
    partition: int = -1
    offset: int = -1
    consumer_group: str = UNKNOWN
    reason: str = UNKNOWN
    stage: str = UNKNOWN
    error: str = UNKNOWN
    exception: str | None = None
    timestamp: int = -1


def storable(text: str) -> str:
    """The text without what Postgres cannot hold."""
    return _UNSTORABLE.sub("\ufffd", text)


def _text(value: bytes) -> str | None:
    return form.cut(storable(value.decode("utf-8", "replace"))) or None


def _topic(value: bytes) -> str | None:
    return value.decode() if _TOPIC.fullmatch(value) else None


def _reason(value: bytes) -> str | None:
    known = _text(value)
    return known if known in set(Reason) else None


def _class_name(value: bytes) -> str | None:
    """Of Java's `Throwable.toString()`: the class, then a colon and the message if it has one."""
    name = (_text(value) or "").partition(": ")[0]
    return name if _CLASS.fullmatch(name) else None


def _decimal(bits: int) -> Read:
    def read(value: bytes) -> int | None:
        is_number = value.isdigit() and len(value) <= 19  # noqa: PLR2004 - digits of 2^63
        return number if is_number and (number := int(value)) >> bits - 1 == 0 else None

    return read


def _big_endian(bits: int) -> Read:
    """Java's `ByteBuffer.putInt` and `putLong`. Digits alone are unknown: somebody may have written text instead."""

    def read(value: bytes) -> int | None:
        if len(value) * 8 != bits or value.isdigit():
            return None
        number = int.from_bytes(value, "big", signed=True)
        return number if number >= 0 else None

    return read


def _number(bits: int) -> Read:
    """As four or eight bytes, or in digits."""
    binary, decimal = _big_endian(bits), _decimal(bits)
    return lambda value: decimal(value) if (number := binary(value)) is None else number


@dataclass(frozen=True, slots=True)
class System:
    """How a system writes its letters.

    Headers that begin with `own` are not the record's. Those that begin with `mark` (`own` unless given) say whose the
    letter is: the last one of any system, since a letter may have been another's before; all of `needs` must be there.
    """

    source: str
    own: re.Pattern[str]
    fields: Mapping[str, Field]
    mark: re.Pattern[str] | None = None
    needs: frozenset[str] = frozenset()

    def wrote(self, last: str, names: Container[str]) -> bool:
        """Whether it wrote a letter with headers of these names, `last` being one that may tell."""
        return (self.mark or self.own).match(last) is not None and all(name in names for name in self.needs)


def _spring(prefix: str, mark: str) -> System:
    return System(
        "spring",
        own=re.compile(r"kafka_(dlt|original|(key-)?exception)-|retry_topic-"),
        mark=re.compile(mark),
        fields={
            "topic": (_topic, f"{prefix}original-topic"),
            "partition": (_big_endian(32), f"{prefix}original-partition"),
            "offset": (_big_endian(64), f"{prefix}original-offset"),
            "timestamp": (_big_endian(64), f"{prefix}original-timestamp"),
            "consumer_group": (_text, "kafka_dlt-original-consumer-group"),
            "exception": (
                _text,
                f"{prefix}exception-cause-fqcn",  # the other is mostly Spring's own wrapper around it
                f"{prefix}exception-fqcn",
                f"{prefix}key-exception-fqcn",
            ),
            "error": (_text, f"{prefix}exception-message", f"{prefix}key-exception-message"),
        },
    )


_KIP_1191: Mapping[str, Field] = {
    "topic": (_topic, form.TOPIC),
    "partition": (_decimal(32), form.PARTITION),
    "offset": (_decimal(64), form.OFFSET),
    "consumer_group": (_text, form.GROUP),
    "error": (_text, form.MESSAGE),
}

SYSTEMS = (
    System(  # apache/kafka, connect/runtime: DeadLetterQueueReporter.java
        "connect",
        own=re.compile(r"__connect\.errors\."),
        fields={
            "topic": (_topic, "__connect.errors.topic"),
            "partition": (_decimal(32), "__connect.errors.partition"),
            "offset": (_decimal(64), "__connect.errors.offset"),
            "stage": (_text, "__connect.errors.stage"),
            "exception": (_text, "__connect.errors.exception.class.name"),
            "error": (_text, "__connect.errors.exception.message"),
        },
    ),
    # spring-projects/spring-kafka: DeadLetterPublishingRecoverer.java, KafkaHeaders.java
    _spring("kafka_dlt-", mark=r"kafka_dlt-(?!original-consumer-group$)"),
    # the same, for @RetryableTopic: DeadLetterPublishingRecovererFactory.java
    _spring("kafka_", mark=r"kafka_(original|(key-)?exception)-"),
    System(  # spring-cloud/spring-cloud-stream, the binder: KafkaMessageChannelBinder.java; text before version 2.1
        "spring-binder",
        own=re.compile(r"x-(original|exception)-"),
        mark=re.compile(r"x-original-(topic|partition|offset)$"),
        fields={
            "topic": (_topic, "x-original-topic"),
            "partition": (_number(32), "x-original-partition"),
            "offset": (_number(64), "x-original-offset"),
            "timestamp": (_number(64), "x-original-timestamp"),
            "exception": (_text, "x-exception-fqcn"),
            "error": (_text, "x-exception-message"),
        },
    ),
    System(  # smallrye/smallrye-reactive-messaging, with Quarkus: KafkaDeadLetterQueue.java
        "smallrye",
        own=re.compile(r"dead-letter-"),
        mark=re.compile(r"dead-letter-(reason|topic|partition|offset)$"),
        fields={
            "topic": (_topic, "dead-letter-topic"),
            "partition": (_number(32), "dead-letter-partition"),
            "offset": (_number(64), "dead-letter-offset"),
            "exception": (_text, "dead-letter-cause-class-name", "dead-letter-exception-class-name"),
            "error": (_text, "dead-letter-reason", "dead-letter-cause"),
        },
    ),
    System(  # apache/kafka, streams: ExceptionHandlerUtils.java (KIP-1034)
        "streams",
        own=re.compile(r"__streams\.errors\."),
        fields={
            "topic": (_topic, "__streams.errors.topic"),
            "partition": (_decimal(32), "__streams.errors.partition"),
            "offset": (_decimal(64), "__streams.errors.offset"),
            "exception": (_class_name, "__streams.errors.exception"),
            "error": (_text, "__streams.errors.message"),
        },
    ),
    System(  # apache/kafka, server: ShareGroupDLQStateManager.java (KIP-1191)
        "share-group",
        own=re.compile(r"__dlq\.errors\."),
        fields=_KIP_1191,
    ),
    System(  # getsentry/arroyo: arroyo/dlq.py, rust-arroyo/src/processing/dlq.rs
        "arroyo",
        own=re.compile(r"original_(partition|offset)$"),
        needs=frozenset({"original_partition", "original_offset"}),
        fields={
            "partition": (_decimal(32), "original_partition"),
            "offset": (_decimal(64), "original_offset"),
        },
    ),
    System(  # another installation of this one
        "siltstone",
        own=re.compile(r"x-dlq-|__dlq\.errors\."),
        mark=re.compile(r"x-dlq-"),
        needs=frozenset({form.ID, form.REASON}),
        fields={
            **_KIP_1191,
            "reason": (_reason, form.REASON),
            "stage": (_text, form.STAGE),
            "exception": (_text, form.EXCEPTION),
            "timestamp": (_decimal(64), form.ORIGINAL_TIMESTAMP),
        },
    ),
)


def read(headers: Headers) -> ForeignLetter:
    """What the headers of a letter say. Of several headers of one name the last counts, as in Kafka's lastHeader()."""
    values = dict(headers)
    wrote = (system for name, _ in reversed(headers) for system in SYSTEMS if system.wrote(name, values))
    system = next(wrote, None)
    own = form.own_headers(headers)
    if system is None:
        return ForeignLetter(own)
    said = {name: _first(reader, names, values) for name, (reader, *names) in system.fields.items()}
    return ForeignLetter(
        [header for header in own if not system.own.match(header[0])],
        system.source,
        **{name: value for name, value in said.items() if value is not None},
    )


def _first(reader: Read, names: Iterable[str], values: Mapping[str, bytes | None]) -> Any:
    """The value of the first of these headers that can be read."""
    present = (value for name in names if (value := values.get(name)) is not None)
    return next((said for value in present if (said := reader(value)) is not None), None)
