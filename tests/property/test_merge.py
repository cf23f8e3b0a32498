"""The merge has no memory of arrival: any order, any grouping, any repetition gives one change (G3)."""

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from contracts.event import Event, order_key
from contracts.event_type import Rank
from persistence.merge import Change, Key, fold, merge
from persistence.states import State
from tests.storm.model import Model, event_of, place
from tests.storm.words import STATE_COLUMNS
from tests.support.decoding import decoded
from tests.support.events import encoded
from tests.support.histories import history

SEEDS = st.integers(0, 2**32 - 1)  # of a history; printed when a test fails

Changes = dict[State, dict[Key, Change]]


def plain(changes: Changes) -> dict[tuple[str, Key], tuple[dict[str, Any], dict[str, Any]]]:
    """Changes as values that compare; raw JSON as its bytes."""
    return {
        (state.name, key): (
            {n: (order, bytes(v) if isinstance(v, Raw) else v) for n, (order, v) in change.lasts.items()},
            change.others,
        )
        for state, of_state in changes.items()
        for key, change in of_state.items()
    }


def merged(batches: list[list[Event]]) -> Changes:
    """Each batch folded alone, then all merged one into the next, as the database does it."""
    whole: Changes = {}
    for batch in batches:
        for state, of_state in fold(batch).items():
            known = whole.setdefault(state, {})
            for key, change in of_state.items():
                known[key] = merge(known[key], change, state) if key in known else change
    return whole


def batched(events: list[Event], random: Random) -> list[list[Event]]:
    """The events in their order, in batches of random length."""
    batches: list[list[Event]] = [[]]
    for event in events:
        if random.random() < 0.3:
            batches.append([])
        batches[-1].append(event)
    return batches


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, length=st.integers(1, 14))
def test_any_order_and_any_batching_give_one_change(seed: int, length: int) -> None:
    """A permutation, cut into batches anywhere and merged forwards or backwards, equals one fold of all (G3)."""
    events = [decoded(one) for one in history(Random(seed), length)]
    expected = plain(fold(events))
    random = Random(seed)
    shuffled = random.sample(events, len(events))
    batches = batched(shuffled, random)
    assert plain(fold(shuffled)) == expected
    assert plain(merged(batches)) == expected
    assert plain(merged(batches[::-1])) == expected


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_merge_is_associative(seed: int) -> None:
    """Merging the second and third change first, or the first and second, is the same; counts add up once."""
    parts = [fold([decoded(e) for e in history(Random(seed), 12)[i::3]]) for i in range(3)]
    for state in set().union(*parts):
        keys = set.intersection(*(set(part.get(state, {})) for part in parts))
        for key in keys:
            a, b, c = (part[state][key] for part in parts)
            left, right = merge(merge(a, b, state), c, state), merge(a, merge(b, c, state), state)
            assert (left.lasts, left.others) == (right.lasts, right.others)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, length=st.integers(1, 14))
def test_the_fold_is_what_one_after_the_other_gives(seed: int, length: int) -> None:
    """The winning value of every column is the one that applying the sorted events leaves (G3)."""
    sent = history(Random(seed), length)
    model = Model({})
    for offset, one in enumerate(sent):
        model.see("t", 0, offset, None, encoded(one), ())
    expected = {(state, key): row for state in STATE_COLUMNS for key, row in model.state_rows(state)}
    folded = plain(fold([decoded(e) for e in sent]))
    assert folded.keys() == expected.keys()
    for thing, (lasts, others) in folded.items():
        row = expected[thing]
        assert others.items() <= row.items()
        for name in ("agent_name", "state", "status", "is_active", "name", "description", "content", "owner", "model"):
            if name in lasts:
                assert (name, lasts[name][1]) == (name, row[name])
            else:
                assert row.get(name) is None


times = st.integers(0, 2**48 * 1000 - 1) | st.integers(1_769_860_800_000_000, 1_769_860_800_000_003)
sequences = st.none() | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=4
)
uids = st.binary(min_size=10, max_size=10)
parts = st.tuples(times, sequences, st.sampled_from(Rank), uids)


@settings(max_examples=500, deadline=None)
@given(one=parts, other=parts)
def test_comparing_keys_compares_events(
    one: tuple[int, str | None, Rank, bytes], other: tuple[int, str | None, Rank, bytes]
) -> None:
    """order_key() is the tuple (time, sequence as bytes with missing first, rank, uid), as bytes that compare."""

    def as_tuple(part: tuple[int, str | None, Rank, bytes]) -> tuple[Any, ...]:
        us, sequence, rank, uid = part
        return us, sequence is not None, (sequence or "").encode(), int(rank), _uid(us, uid)

    def as_key(part: tuple[int, str | None, Rank, bytes]) -> bytes:
        us, sequence, rank, uid = part
        return order_key(us, sequence, rank, _uid(us, uid))

    assert (as_key(one) < as_key(other)) == (as_tuple(one) < as_tuple(other))
    assert (as_key(one) == as_key(other)) == (as_tuple(one) == as_tuple(other))


def _uid(time_us: int, hashed: bytes) -> bytes:
    return (time_us // 1000).to_bytes(6, "big") + hashed


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_an_event_stands_where_its_parts_put_it(seed: int) -> None:
    """Sorting decoded events by order() is sorting their JSON by time, sequence, rank and uid."""
    sent = history(Random(seed), 12)
    by_place = [one["id"] for one in sorted(sent, key=lambda one: place(event_of(one)))]
    assert [e.event_id for e in sorted((decoded(one) for one in sent), key=Event.order)] == by_place
