"""When refusals are no longer about records: a hundred in a row of one kind, or too many defects of our own."""

from collections import deque
from collections.abc import Iterable

from workers.failure import Stop

SAME_IN_A_ROW = 100  # refusals of one SQLSTATE and constraint or column, with nothing stored between
DEFECTS = 20  # distinct records that our own code failed on …
DEFECT_WINDOW = 1_000  # … within so many, when they are more than a tenth


class RefusalGuard:
    """Sees every record's outcome, in order; raises Stop before anything is dead-lettered for a systemic fault."""

    def __init__(self) -> None:
        self._place: str | None = None
        self._in_a_row = 0
        self._recent: deque[bool] = deque(maxlen=DEFECT_WINDOW)

    def see_stored(self, count: int) -> None:
        """So many records in a row were stored."""
        self._place, self._in_a_row = None, 0
        self._recent.extend([False] * min(count, DEFECT_WINDOW))

    def see(self, outcomes: Iterable[tuple[str | None, bool]]) -> None:
        """Outcomes in the order of records: (place of a store refusal or None, whether it was a defect)."""
        for place, is_defect in outcomes:
            self._recent.append(is_defect)
            if place is None:
                self._place, self._in_a_row = None, 0
            elif place == self._place:
                self._in_a_row += 1
            else:
                self._place, self._in_a_row = place, 1
            if self._in_a_row >= SAME_IN_A_ROW:
                raise Stop(
                    f"{SAME_IN_A_ROW} records in a row were refused by the database for one fault ({place}): that is "
                    "no fault of records. Nothing of this batch was committed; mend the database, then start again."
                )
        defects = sum(self._recent)
        if defects >= DEFECTS and defects * 10 > len(self._recent):
            raise Stop(
                f"our own code failed on {defects} of the last {len(self._recent)} records: that is no bad record. "
                "Nothing of this batch was committed; go back to the version before, or report it."
            )
