"""Which event times are accepted, judged by the record's own Kafka timestamp: the same on every delivery."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache

DAY_MS = 86_400_000


@dataclass(frozen=True)
class TimeWindow:
    """`oldest` is the lower bound; with `retention_months` > 0 also the month that many before the record's."""

    oldest: datetime
    retention_months: int = 0

    @cached_property
    def _oldest_ms(self) -> int:
        return int(self.oldest.timestamp() * 1000)

    def bounds_ms(self, record_timestamp_ms: int) -> tuple[int, int]:
        """The first and the last accepted millisecond for a record of this Kafka timestamp."""
        lower = self._oldest_ms
        if self.retention_months:
            lower = max(lower, _months_before(record_timestamp_ms // DAY_MS, self.retention_months))
        return lower, record_timestamp_ms + DAY_MS


@lru_cache(maxsize=64)
def _months_before(day: int, months: int) -> int:
    """The start, in ms, of the month that lies `months` before the month of a day since 1970."""
    date = datetime.fromtimestamp(day * 86_400, tz=UTC)
    index = date.year * 12 + date.month - 1 - months
    return int(datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
