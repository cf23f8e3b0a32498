"""A poll is bounded by the size of the records before it, and cut into batches bounded by bytes."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workers.pipeline import chunks
from workers.subscriber import next_poll


def records(*sizes: int | None) -> list[Any]:
    return [SimpleNamespace(value=None if size is None else b"x" * size) for size in sizes]


def test_a_batch_is_as_large_as_fits() -> None:
    """Values are added while their sum stays within the bound, a tombstone counts nothing."""
    polled = records(4, 6, None, 1, 10, 3)
    assert [len(batch) for batch in chunks(polled, 10)] == [3, 1, 1, 1]


def test_a_value_above_the_bound_is_a_batch_of_its_own() -> None:
    """A record is never left out for its size."""
    polled = records(3, 50, 3)
    assert [len(batch) for batch in chunks(polled, 10)] == [1, 1, 1]


@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=1, max_size=60), st.integers(1, 40))
def test_every_record_is_in_one_batch_in_its_order(sizes: list[int | None], bound: int) -> None:
    """Batches together are the poll; each keeps the bound or is one record (G1)."""
    polled = records(*sizes)
    batches = list(chunks(polled, bound))
    assert [id(r) for batch in batches for r in batch] == [id(r) for r in polled]
    assert all(len(b) == 1 or sum(len(r.value or b"") for r in b) <= bound for b in batches)
    assert all(batches)


def test_the_next_poll_takes_as_many_records_as_fit() -> None:
    """By the mean size of those before; never none, never more than the most."""
    assert next_poll(records(100, 300), 4000, 1000) == 5
    assert next_poll(records(1), 4000, 1_000_000) == 4000
    assert next_poll(records(None, None), 4000, 1000) == 2000
    assert next_poll(records(5000), 4000, 1000) == 1
