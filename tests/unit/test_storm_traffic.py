"""The storm's traffic: the same seed, the same stream; and what it says of its records is what the contract says."""

import time
from collections import Counter
from datetime import UTC, datetime

from contracts.decode import decode
from contracts.refusal import Reason, Refusal
from contracts.registry import EVENT_TYPES
from contracts.window import TimeWindow
from tests.storm.traffic import Outgoing, Traffic

BASE = datetime.now(UTC)
WINDOW = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))
ONLY_STORED = {"tenant_unknown", "tenant_suspended", "numeric_out_of_range"}
"""Reasons that bytes alone do not always tell."""


def _judged(one: Outgoing) -> tuple[str | None, str | None, bytes | None]:
    """The reason for which the contract refuses a record, else its event's type and identity."""
    try:
        event = decode(one.value, one.key, one.headers, int(time.time() * 1000), WINDOW)
    except Refusal as refusal:
        return refusal.reason.value, None, None
    return None, event.type.name, event.uid


def test_a_seed_gives_one_stream_however_it_is_taken() -> None:
    """Takes of any size make the same sequence; another seed another one."""
    one, other = Traffic(3, BASE), Traffic(3, BASE)
    assert one.take(3000) == other.take(17) + other.take(2983)
    assert one.poison == other.poison
    assert Traffic(4, BASE).take(100) != Traffic(3, BASE).take(100)


def test_every_record_is_what_the_traffic_says() -> None:
    """Every type is there, every reason that a producer can cause, repeats too; and each bad record is bad for that."""
    taken = Traffic(7, BASE).take(40_000)
    types: Counter[str | None] = Counter()
    uids: Counter[bytes | None] = Counter()
    for one in taken:
        reason, name, uid = _judged(one)
        assert reason == one.reason or (reason is None and one.reason in ONLY_STORED), one
        types[name] += 1
        uids[uid] += uid is not None
    assert {name for name in types if name} == set(EVENT_TYPES)
    assert {one.reason for one in taken if one.reason} == {r.value for r in Reason} - {"unexpected"}
    assert 0.01 < sum(n - 1 for n in uids.values()) / len(taken) < 0.1
