"""Sets of offsets, as Postgres' int8multirange keeps them: sorted, disjoint, half open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncpg import Range

Spans = list[tuple[int, int]]
"""Half-open spans (first, next), sorted, disjoint and not touching."""


def spans_of(offsets: Iterable[int]) -> Spans:
    """The fewest spans that hold exactly these offsets."""
    ordered = sorted(set(offsets))
    if ordered and ordered[-1] - ordered[0] + 1 == len(ordered):
        return [(ordered[0], ordered[-1] + 1)]
    spans: Spans = []
    for offset in ordered:
        if spans and offset == spans[-1][1]:
            spans[-1] = (spans[-1][0], offset + 1)
        else:
            spans.append((offset, offset + 1))
    return spans


def difference(left: Sequence[tuple[int, int]], right: Sequence[tuple[int, int]]) -> Spans:
    """The offsets in `left` and not in `right`; both sorted and disjoint."""
    left_over: Spans = []
    i = 0
    for first, after in left:
        at = first
        while i < len(right) and right[i][1] <= at:
            i += 1
        k = i
        while k < len(right) and right[k][0] < after:
            if right[k][0] > at:
                left_over.append((at, right[k][0]))
            at = max(at, right[k][1])
            k += 1
        if at < after:
            left_over.append((at, after))
    return left_over


def within(spans: Sequence[tuple[int, int]], first: int, after: int) -> Spans:
    """The part of `spans` in [first, after)."""
    return [(max(a, first), min(b, after)) for a, b in spans if a < after and b > first]


def size(spans: Iterable[tuple[int, int]]) -> int:
    """How many offsets they hold."""
    return sum(after - first for first, after in spans)


def to_ranges(spans: Iterable[tuple[int, int]]) -> list[Range[int]]:
    """As an argument of type int8multirange."""
    return [Range(first, after) for first, after in spans]


def from_ranges(ranges: Iterable[Range[int]] | None) -> Spans:
    """From a value of type int8multirange."""
    return [(r.lower or 0, r.upper or 0) for r in ranges or ()]
