"""What was handed to librdkafka and is not acknowledged: it can be taken back, in order."""

import time
from collections.abc import Callable
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError

from siltstone._spool import Record

IN_FLIGHT = 10_000  # records
RECALL_SECONDS = 1.0  # that librdkafka may take to let go

_REFUSED = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG)


class Flight:
    """Records by the caller's numbers, in the order in which they were sent. Used by one thread.

    `make` gives a producer, or None when there can be none: then nothing can be sent. `is_full` is what the last
    `send` said. Without a spool there are no recalls for
    time: librdkafka keeps the records for as long as it does, and then they are dropped.
    """

    def __init__(self, make: Callable[[], Any], drop: Callable[[int, str], None], *, has_spool: bool) -> None:
        self._make, self._drop, self._producer = make, drop, make()
        self._has_spool = has_spool
        self._records: dict[int, Record] = {}
        self._moved = 0.0  # when a record was acknowledged, or the first one sent
        self._has_failed = self._is_broken = self.is_full = False
        self._away_since: float | None = None

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, number: int) -> bool:
        return number in self._records

    def send(self, number: int, record: Record) -> bool:
        """Hand a record over; false when there is no room, now."""
        self.is_full = self._producer is None or len(self._records) >= IN_FLIGHT
        if self.is_full:
            return False
        if not self._records:
            self._moved = time.monotonic()
        records = self._records  # what is told after a recall is of those from before it
        records[number] = record
        try:
            self._producer.produce(
                record.topic, record.value, record.key, on_delivery=lambda e, _: self._told(records, number, e)
            )
        except BufferError:
            del records[number]
            self.is_full = True
        except confluent_kafka.KafkaException as error:
            self._told(records, number, error.args[0])
        return not self.is_full

    def poll(self, seconds: float) -> None:
        """Hear of acknowledgements; ends with the first of them."""
        if self._producer is not None:
            self._producer.poll(seconds)

    def has_failed(self) -> bool:
        """Whether a record was not taken; what is in flight beside it may still be."""
        return self._has_failed

    def is_stalled(self, patience_seconds: float) -> bool:
        """Whether it should be recalled: a record was not taken, or for so long none was acknowledged."""
        is_late = self._has_spool and bool(self._records) and time.monotonic() - self._moved > patience_seconds
        return self._producer is None or self._has_failed or is_late

    def is_away(self, seconds: float) -> bool:
        """Whether there was a recall so long ago, and no acknowledgement since."""
        return self._away_since is not None and time.monotonic() - self._away_since > seconds

    def recall(self) -> dict[int, Record]:
        """Take back what is not acknowledged by now, though it may have arrived: sent again, it is the same event."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(RECALL_SECONDS)
        if self._is_broken:
            self._producer = self._make()
        left, self._records = self._records, {}
        self._has_failed = self._is_broken = self.is_full = False
        self._away_since = self._away_since or time.monotonic()
        return left

    def _told(self, records: dict[int, Record], number: int, error: Any) -> None:
        if error is None:
            records.pop(number, None)
            self._moved, self._away_since = time.monotonic(), None
        elif error.code() in _REFUSED or not (self._has_spool or error.fatal()):
            if records.pop(number, None):
                self._drop(1, f"Kafka does not take it: {error.str()}")
        elif records is self._records:
            self._has_failed = True
            self._is_broken |= error.fatal()
