"""Publishing, where no broker is needed."""

import asyncio

import pytest

from workers import publisher
from workers.publisher import Report


async def test_a_broker_that_acknowledges_nothing_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the second look in a row without an acknowledgement, while records wait."""
    told, looks = asyncio.Event(), 0
    report, waiting = Report(), list[object]()

    async def look(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 4:  # until then nothing waits
            waiting.append(object())
        if looks in (5, 7):
            report.acknowledged["topic"] += 1
        assert not told.is_set()

    monkeypatch.setattr(asyncio, "sleep", look)
    await publisher._watch(report, waiting, told.set)
    assert (told.is_set(), looks) == (True, 9)
