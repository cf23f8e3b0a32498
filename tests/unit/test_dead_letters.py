"""What of a letter goes to its topic, and what to the table alone."""

import asyncio
from typing import Any

import pytest

from contracts import letter as form
from contracts.envelope import Headers
from contracts.refusal import Reason, Refusal, Stage
from persistence.letters import Letter
from tests.support.records import record_with
from workers.dead_letters import DeadLetters
from workers.decoding import Refused
from workers.metrics import Metrics

MAX_BYTES = 256 * 1024
REFUSAL = Refusal(Reason.bad_utf8, Stage.envelope, "the name of the record's header number 1 is no UTF-8")


class Producer:
    """Acknowledges what it is given, and keeps the headers of it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, bytes | None]] = []

    async def start(self) -> None: ...

    async def partitions_for(self, _: str) -> set[int]:
        return {0}

    def create_batch(self) -> "Producer":
        return self

    def append(self, *, headers: Headers, **_: Any) -> None:
        self.sent.append(dict(headers))

    async def send(self, *_: Any, headers: Headers, **__: Any) -> asyncio.Future[None]:
        self.sent.append(dict(headers))
        return await self.send_batch()

    async def send_batch(self, *_: Any, **__: Any) -> asyncio.Future[None]:
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


@pytest.fixture(autouse=True)
def _small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.dead_letters.DLQ_MESSAGE_MAX_BYTES", MAX_BYTES)


async def published(name: str, value: bytes) -> tuple[dict[str, bytes | None], list[Letter]]:
    """The headers of the letter in its topic, and what was kept in the table at once."""
    producer, kept = Producer(), list[Letter]()

    async def keep(letter: Letter) -> None:
        kept.append(letter)

    letters = DeadLetters(lambda: producer, keep, Metrics())
    record = record_with([(name, b"1")], value)
    await letters.publish([Refused(record, REFUSAL)], "group", {})
    (headers,) = producer.sent
    return headers, kept


async def test_names_as_they_came_go_to_the_topic() -> None:
    """A letter has them, escaped and as they came, also one whose value lies in the table alone."""
    headers, kept = await published("\udcff", b"{}")
    assert (headers["\\xff"], headers[form.HEADER_NAMES], kept) == (b"1", b'{"1": "/w=="}', [])
    headers, kept = await published("\udcff", b"x" * MAX_BYTES)
    assert (headers[form.VALUE_IN_TABLE], headers[form.HEADER_NAMES]) == (b"true", b'{"1": "/w=="}')
    assert [letter.header_names for letter in kept] == [["\\xff"]]


async def test_names_that_no_letter_holds_are_in_the_table_alone() -> None:
    """Were they in the topic's copy, no topic would take it, and the batch were held for ever."""
    headers, kept = await published("\udcff" * (MAX_BYTES // 4), b"{}")
    assert form.HEADER_NAMES not in headers
    assert headers[form.VALUE_IN_TABLE] == b"true"
    assert [len(letter.header_names[0]) for letter in kept] == [MAX_BYTES]
