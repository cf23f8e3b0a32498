"""A Kafka record, as a consumer gets it."""

from typing import NamedTuple, Protocol

from contracts.envelope import Headers

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Record(Protocol):
    """A record as aiokafka gives it; its timestamp is in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Message(NamedTuple):
    """What a producer sends: a record before it has a place."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def place_of(record: Record) -> Place:
    """Where a record lies."""
    return record.topic, record.partition, record.offset
