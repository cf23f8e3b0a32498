"""Kafka records of which only one thing matters."""

from aiokafka import ConsumerRecord

from contracts.envelope import Headers
from contracts.record import Record


def record_at(topic: str, offset: int) -> Record:
    """A record of partition 0 that says nothing."""
    record: Record = ConsumerRecord(topic, 0, offset, 0, 0, None, None, None, -1, -1, ())
    return record


def record_with(headers: Headers, value: bytes) -> Record:
    """A record without a key, at the start of partition 0."""
    record: Record = ConsumerRecord("t", 0, 0, 0, 0, None, value, None, -1, len(value), tuple(headers))
    return record
