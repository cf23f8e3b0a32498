"""When refusals are no longer about records: the guard stops the worker before it drains a topic."""

import pytest

from workers.failure import Stop
from workers.refusal_guard import RefusalGuard

FINE = (None, False)
BAD = ("23502/name", False)
OTHER = ("22003/", False)
DEFECT = ("ValueError", True)


def test_a_hundred_in_a_row_of_one_kind_stop() -> None:
    """The hundredth refusal in a row of one SQLSTATE and place stops, over batches too; 99 do not."""
    guard = RefusalGuard()
    guard.see([BAD] * 60)
    guard.see([BAD] * 39)
    with pytest.raises(Stop, match="23502/name"):
        guard.see([BAD])


def test_a_stored_record_or_another_kind_begins_anew() -> None:
    """One record that stores, or one refused for another fault, in between: no stop."""
    guard = RefusalGuard()
    guard.see([*[BAD] * 99, FINE, *[BAD] * 99, OTHER, *[BAD] * 99])
    with pytest.raises(Stop):
        guard.see([BAD])


def test_twenty_defects_stop_when_they_are_more_than_a_tenth() -> None:
    """20 records that our code failed on stop the worker among 199, not among 200; 19 alone do not."""
    guard = RefusalGuard()
    guard.see([DEFECT, FINE] * 19)
    with pytest.raises(Stop, match="20 of the last 39"):
        guard.see([DEFECT])
    RefusalGuard().see([*[FINE] * 180, *[(None, True)] * 20])
    with pytest.raises(Stop, match="20 of the last 199"):
        RefusalGuard().see([*[FINE] * 179, *[(None, True)] * 20])


def test_only_the_last_thousand_records_count() -> None:
    """Defects of long ago are forgotten."""
    guard = RefusalGuard()
    guard.see([*[FINE] * 900, *[(None, True)] * 100])
    guard.see([FINE] * 1000)
    guard.see([(None, True)] * 19)
