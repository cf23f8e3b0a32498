"""Which times are accepted: the verdict hangs on the record's own Kafka timestamp alone."""

from datetime import UTC, datetime

import pytest

from contracts.decode import decode
from contracts.refusal import Reason, Refusal
from contracts.window import DAY_MS, TimeWindow
from tests.support.decoding import STAMP, decoded, finished, refusal
from tests.support.events import encoded

OLDEST = datetime(2000, 1, 1, tzinfo=UTC)


def ms(year: int, month: int, day: int, hour: int = 0) -> int:
    """An hour in UTC as milliseconds since 1970."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def test_a_day_ahead_of_the_record_is_accepted() -> None:
    """One day after the record's timestamp is in the window, one millisecond more is not; microseconds are cut."""
    assert decoded(finished(time="2026-02-01T12:00:00.000999Z")).event_id
    assert refusal(finished(time="2026-02-01T12:00:00.001Z")).reason is Reason.time_out_of_range
    assert TimeWindow(OLDEST).bounds_ms(STAMP)[1] == STAMP + DAY_MS


@pytest.mark.parametrize(
    "time", ["1999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "2200-01-01T00:00:00Z"]
)
def test_a_time_outside_the_window_is_refused(time: str) -> None:
    """A time before the oldest, and one far ahead, is time_out_of_range."""
    assert refusal(finished(time=time)).reason is Reason.time_out_of_range


def test_the_oldest_time_itself_is_accepted() -> None:
    """The lower bound belongs to the window."""
    assert decoded(finished(time="2000-01-01T00:00:00Z")).time == OLDEST


@pytest.mark.parametrize(
    ("record", "months", "first"),
    [
        (ms(2026, 1, 31, 12), 1, ms(2025, 12, 1)),
        (ms(2026, 3, 1), 2, ms(2026, 1, 1)),
        (ms(2026, 12, 31, 23), 12, ms(2025, 12, 1)),
        (ms(2026, 1, 1), 13, ms(2024, 12, 1)),
        (ms(2024, 2, 29), 12, ms(2023, 2, 1)),
        (ms(2026, 1, 31), 0, ms(2000, 1, 1)),
        (ms(2026, 1, 31), 1200, ms(2000, 1, 1)),
    ],
)
def test_retention_bounds_the_window_by_whole_months(record: int, months: int, first: int) -> None:
    """The first accepted instant is the start of the month that lies so many before the record's own."""
    assert TimeWindow(OLDEST, months).bounds_ms(record)[0] == first


def test_the_verdict_is_the_same_on_every_delivery() -> None:
    """The bound moves with the record's timestamp, not with the clock: an old record's event stays accepted."""
    window = TimeWindow(OLDEST, 1)
    value = encoded(finished(time="2020-05-01T00:00:00Z"))
    assert decode(value, None, (), ms(2020, 6, 30), window).time_us == ms(2020, 5, 1) * 1000
    with pytest.raises(Refusal) as refused:
        decode(value, None, (), ms(2020, 7, 1), window)
    assert refused.value.reason is Reason.time_out_of_range
