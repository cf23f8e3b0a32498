"""`siltstone dlq read`: dead-letter topics, from their start to their end, into the index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from contracts.event_type import Family
from contracts.record import Record
from persistence.roles import OPERATOR
from workers.cancellation import raise_if_cancelled
from workers.cli.database import with_database
from workers.cli.environment import settings
from workers.cli.terminal import Exit, Output, fail, print_rows, progress, say

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from persistence.database import Database
    from persistence.letters import Letter
    from workers.settings import Settings

    Span = tuple[TopicPartition, int, int]
    """A partition, its first offset and the one after its last."""


BATCH = 500  # letters in one transaction
BATCH_BYTES = 8 * 1024 * 1024  # of letters in one transaction; a single one may be larger
ANSWER_SECONDS = 30
POLL_MS = 100  # how long a poll waits that meets no record
FETCH_WAIT_MS = 20  # a question waits for the fetch before it, on one connection


@dataclass(slots=True)
class Tally:
    """What was read of a topic: letters that the index never had, later refusals of one, and what was known."""

    topic: str
    read: int = 0
    new: int = 0
    refused_again: int = 0
    known: int = 0


def read(
    topics: Annotated[
        list[str],
        typer.Option("--topic", help="A dead-letter topic, or a family for its own; may be given more than once."),
    ],
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Read a topic of dead letters into the index, ours or another system's, up to the end that it has now.

    What the index has, or had, stays as it is. No group is joined and no offset committed. Stop it at any time with
    Ctrl-C: what was read is in the index, and the same command reads again from the start and changes nothing twice.
    """
    names = _names(topics, settings())

    async def run(given: Settings, database: Database) -> list[Tally]:
        with progress("reading", None) as bar:
            return await Reading(given, database, names, bar).run()

    tallies = with_database(OPERATOR, run)
    print_rows([asdict(tally) for tally in tallies], list(asdict(Tally(""))), output)


def _names(given: Sequence[str], read: Settings) -> list[str]:
    """The topics that are meant, each once; ends the command when one of them holds events."""
    from workers import kafka

    events, own = kafka.topics(read), kafka.dlq_topics(read)
    names = list(dict.fromkeys(own[Family(name)] if name in set(Family) else name for name in given))
    for family, topic in events.items():
        if topic in names:
            fail(f"{topic} holds events, not dead letters; theirs are in {own[family]}", Exit.USAGE)
    return names


class Reading:
    """One run: every partition after another, each batch of letters in a transaction of its own."""

    def __init__(self, read: Settings, database: Database, topics: Sequence[str], bar: Progress) -> None:
        from workers import kafka

        self._settings = read
        self._database = database
        self._bar = bar
        self._own = set(kafka.dlq_topics(read).values())
        self._reader = kafka.reader(read, fetch_max_wait_ms=FETCH_WAIT_MS)
        self._tallies = {topic: Tally(topic) for topic in topics}

    async def run(self) -> list[Tally]:
        """Read all; ends the command when a topic is not there, or Kafka does not answer."""
        from workers import kafka
        from workers.letter_index import letter_from

        try:
            spans = await self._spans()
            task, passed = self._bar.task_ids[0], 0
            self._bar.update(task, total=sum(end - start for _, start, end in spans))
            for place, start, end in spans:
                async for records, next_offset in self._batches(place, start, end):
                    raise_if_cancelled()
                    if records:
                        letters = [letter_from(record, self._own) for record in records]
                        await self._index(self._tallies[place.topic], letters)
                    self._bar.update(task, completed=passed + next_offset - start)
                passed += end - start
        except asyncio.CancelledError:
            say(f"stopped; {self._so_far()}")
            raise
        finally:
            await kafka.stop(self._reader)
        return list(self._tallies.values())

    async def _spans(self) -> list[Span]:
        """What there is to read: partitions that hold anything, as a read-committed reader sees their ends."""
        from aiokafka import TopicPartition

        from workers import kafka

        async with self._answers():
            partitions = await kafka.partitions(self._settings)
        if missing := [topic for topic in self._tallies if topic not in partitions]:
            fail(f"there is no topic {', '.join(missing)}; nothing was read", Exit.NOT_FOUND)
        places = [TopicPartition(topic, number) for topic in self._tallies for number in partitions[topic]]
        async with self._answers():
            await self._reader.start()
            starts = await self._reader.beginning_offsets(places)
            ends = await self._reader.end_offsets(places)
        return [(place, starts[place], ends[place]) for place in places if starts[place] < ends[place]]

    async def _batches(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[tuple[list[Record], int]]:
        """The records of a partition in [start, end) in batches of bounded number and size, each with the next offset.

        The position says when that is done: what comes last may be the mark of a transaction, or what it aborted.
        """
        batch: list[Record] = []
        size, at = 0, start
        async with self._answers():
            self._reader.assign([place])
            self._reader.seek(place, start)
            while at < end:
                records, at = await self._next(place, at)
                batch += [record for record in records if record.offset < end]
                size += sum(map(_size, records))
                if len(batch) >= BATCH or size >= BATCH_BYTES or at >= end:
                    yield batch, min(at, end)
                    batch, size = [], 0

    async def _next(self, place: TopicPartition, at: int) -> tuple[list[Record], int]:
        """The record after a position, if it can be seen, and the position after it; TimeoutError when none comes.

        No more than one: a few KiB of a fetch may be many MiB when they are unpacked.
        """
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                polled = await self._reader.getmany(place, timeout_ms=POLL_MS, max_records=1)
                if (reached := await self._reader.position(place)) != at:
                    return polled.get(place, []), reached

    async def _index(self, tally: Tally, letters: Sequence[Letter]) -> None:
        """Write a batch into the index and count what that changed, all in one transaction."""
        from persistence import letter_reads
        from persistence.letters import index

        ids = {letter.id for letter in letters}
        async with self._database.transaction() as connection:
            before = await letter_reads.refusals(connection, ids)
            await index(connection, letters, self._settings.max_redrives)
            made = await letter_reads.refusals(connection, ids) - before
        new = len({letter for letter, _ in made} - {letter for letter, _ in before})
        tally.read += len(letters)
        tally.new += new
        tally.refused_again += len(made) - new
        tally.known += len(letters) - len(made)

    @asynccontextmanager
    async def _answers(self) -> AsyncIterator[None]:
        from aiokafka.errors import KafkaError

        from workers.kafka_trouble import remedy

        try:
            yield
        except (KafkaError, OSError, TimeoutError) as error:
            servers, said = self._settings.kafka_bootstrap_servers, type(error).__name__
            fail(
                f"Kafka at {servers} does not answer ({said}; {await remedy(self._settings)}); {self._so_far()}",
                Exit.UNAVAILABLE,
            )

    def _so_far(self) -> str:
        read = sum(tally.read for tally in self._tallies.values())
        if not read:
            return "nothing was read"
        return f"{read} letters were read and are in the index; the same command reads again from the start"


def _size(record: Record) -> int:
    texts = (record.key, record.value, *(value for _, value in record.headers))
    return sum(len(text) for text in texts if text is not None)
