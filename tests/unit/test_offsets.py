"""Sets of offsets, and the sweep over them: against Python's sets."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.accounting import Kind, Member, Segment, Sweep, suspicions
from persistence.offsets import Spans, difference, from_ranges, size, spans_of, to_ranges, within
from workers.discrepancies import Discrepancy, Report, Totals

OFFSETS = st.sets(st.integers(0, 40))
PARTITIONS = [("a", 0), ("a", 1), ("b", 0)]
Set = tuple[tuple[str, int], Member, set[int]]


def members_of(spans: Spans) -> set[int]:
    """The offsets, one by one."""
    return {offset for first, after in spans for offset in range(first, after)}


@given(OFFSETS)
def test_spans_are_the_fewest_that_hold_the_offsets(offsets: set[int]) -> None:
    """They hold exactly the offsets, sorted, with at least one missing between two, also as Postgres gives them."""
    spans = spans_of(offsets)
    assert members_of(spans) == offsets
    assert size(spans) == len(offsets)
    assert all(left[1] < right[0] for left, right in pairwise(spans))
    assert from_ranges(to_ranges(spans)) == spans


@given(OFFSETS, OFFSETS)
def test_arithmetic_of_spans_is_that_of_sets(a: set[int], b: set[int]) -> None:
    """Difference and the part within bounds give the spans that Python's sets give."""
    assert difference(spans_of(a), spans_of(b)) == spans_of(a - b)
    assert within(spans_of(a), 7, 23) == spans_of(a & set(range(7, 23)))


@given(st.lists(st.tuples(st.sampled_from(PARTITIONS), st.sampled_from(list(Member)), OFFSETS), max_size=8))
def test_the_sweep_gives_each_offset_the_sets_that_hold_it(
    sets: list[tuple[tuple[str, int], Member, set[int]]],
) -> None:
    """Segments are in order, disjoint, and say for each offset what counting set by set says; overlaps count once."""
    expected: dict[tuple[str, int, int], int] = defaultdict(int)
    boundaries: dict[tuple[str, int, int, int], int] = defaultdict(int)
    for place, member, offsets in sets:
        for offset in offsets:
            expected[(*place, offset)] |= member
        for first, after in spans_of(offsets):
            boundaries[(*place, first, int(member))] += 1
            boundaries[(*place, after, int(member))] -= 1
    sweep = Sweep()
    passed = [sweep.pass_by(*key, delta) for key, delta in sorted(boundaries.items()) if delta]
    segments = [segment for segment in passed if segment is not None]
    found = {(s.topic, s.partition, o): s.members for s in segments for o in range(s.first, s.after)}
    assert found == expected
    assert sum(s.after - s.first for s in segments) == len(expected)
    assert segments == sorted(segments)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (Member.SETTLED | Member.STORED | Member.ROW, ()),
        (Member.STORED | Member.ROW, ()),  # not committed yet: durable all the same
        (Member.SETTLED | Member.STORED | Member.RETIRED, ()),
        (Member.SETTLED | Member.DUPLICATE, ()),
        (Member.SETTLED | Member.REFUSED | Member.LETTER, ()),
        (Member.REFUSED, ()),  # its letter is acknowledged before the commit, and need not be there yet
        (Member.SETTLED | Member.REFUSED | Member.STORED | Member.ROW, ()),
        (Member.REMOVED | Member.SETTLED | Member.INVISIBLE, ()),
        (Member.REMOVED | Member.OTHER_STORED | Member.ROW, ()),
        (Member.RETIRED | Member.LETTER, ()),
        (Member.STORED | Member.DUPLICATE, (Kind.missing_row,)),
        (Member.OTHER_STORED, (Kind.missing_row,)),
        (Member.SETTLED | Member.DUPLICATE | Member.ROW, (Kind.unledgered_row,)),
        (Member.SETTLED | Member.REFUSED, (Kind.missing_letter,)),
        (Member.SETTLED | Member.INVISIBLE, (Kind.unaccounted,)),  # Kafka is asked while it has the offset
        (Member.SETTLED, (Kind.unaccounted,)),
        (Member.SETTLED | Member.OTHER_STORED | Member.ROW, (Kind.unaccounted,)),  # this group never saw it
        (Member.SETTLED | Member.ROW, (Kind.unaccounted, Kind.unledgered_row)),
        (Member.REMOVED, (Kind.lost,)),
        (Member.REMOVED | Member.SETTLED, (Kind.lost,)),
    ],
)
def test_what_sets_say_is_wrong(members: Member, expected: tuple[Kind, ...]) -> None:
    """Each kind of discrepancy follows from the sets that an offset is in (G6)."""
    assert suspicions(int(members)) == expected


def test_touching_discrepancies_of_one_kind_are_one_range() -> None:
    """They are joined within a partition, never across; other kinds between them do not part them."""
    found: list[Discrepancy] = []
    report = Report(found.append)
    report.add("t", 0, 5, 7, Kind.missing_row)
    report.add("t", 0, 6, 7, Kind.unledgered_row)
    report.add("t", 0, 7, 9, Kind.missing_row)
    report.add("t", 0, 10, 11, Kind.missing_row)
    report.close_partition()
    report.add("t", 1, 11, 12, Kind.lost)
    report.close_partition()
    assert found == [
        Discrepancy("t", 0, 5, 9, Kind.missing_row),
        Discrepancy("t", 0, 6, 7, Kind.unledgered_row),
        Discrepancy("t", 0, 10, 11, Kind.missing_row),
        Discrepancy("t", 1, 11, 12, Kind.lost),
    ]
    assert (report.of("t").discrepancies, report.of("t").lost) == (6, 1)


def test_totals_count_each_offset_once() -> None:
    """An offset that was stored and then delivered again counts as stored; one known by its letter alone not at all."""
    totals = Totals("t")
    totals.count(Segment("t", 0, 0, 10, int(Member.SETTLED | Member.STORED | Member.DUPLICATE | Member.ROW)))
    totals.count(Segment("t", 0, 10, 13, int(Member.SETTLED | Member.DUPLICATE)))
    totals.count(Segment("t", 1, 0, 2, int(Member.SETTLED | Member.REFUSED | Member.LETTER)))
    totals.count(Segment("t", 1, 2, 3, int(Member.SETTLED | Member.INVISIBLE)))
    totals.count(Segment("t", 1, 3, 9, int(Member.LETTER)))
    counted = (totals.checked, totals.stored, totals.duplicate, totals.refused, totals.invisible)
    assert counted == (16, 10, 3, 2, 1)
    assert totals.partitions == {0, 1}
