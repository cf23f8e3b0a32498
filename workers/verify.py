"""`siltstone verify`: every offset against Kafka, the ledger and the rows (G6). Correct while workers run.

The order makes it so: Kafka's offsets are read first and the database after them, so that what was committed is
durable in what is read; and everything that is durable is in one snapshot together with its ledger row.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts import letter as form
from contracts.event_type import Family
from contracts.registry import dlq_topic_of
from persistence.accounting import Bounds, Kind, Member, Segment, snapshot, suspicions
from persistence.database import Database
from persistence.offsets import Spans, difference, spans_of, within
from workers import kafka
from workers.discrepancies import Discrepancy, Report, Totals
from workers.settings import Settings

ANSWER_SECONDS = 30
FETCH_WAIT_MS = 20  # a question waits for the fetch before it, on one connection
NEAR = 1_000  # offsets; two gaps nearer than this are read in one go, a seek costs about as much
PENDING_SPANS = 50_000  # gaps held before they are read: bounds the memory

_OWN = int(Member.STORED | Member.DUPLICATE | Member.REFUSED)  # an enum's flags are slow where every segment passes


class KafkaAway(Exception):
    """Kafka does not answer; the message says to what."""


class TopicMissing(Exception):
    """A topic of ours is not there, so nothing can be said of its offsets."""


class Watch(Protocol):
    """Who is told how far it is."""

    def begin(self, what: str, total: int) -> None: ...

    def advance(self, by: int) -> None: ...


async def verify(
    settings: Settings,
    database: Database,
    families: Sequence[Family] | None,
    found: Callable[[Discrepancy], None],
    watch: Watch,
) -> list[Totals]:
    """Check every offset; `found` is called with each discrepancy, partition by partition. The totals, by topic.

    With `families` only their topics are looked at, else also every other topic that the tables name. Raises
    KafkaAway, TopicMissing, or what the driver raises. Memory does not grow with the offsets.
    """
    report = Report(found)
    reader = kafka.reader(settings, fetch_max_wait_ms=FETCH_WAIT_MS)
    with _answers(settings):
        await reader.start()
    try:
        bounds = await _bounds(settings, reader, families or list(Family))
        kept = Kept(settings, reader, bounds, report)
        async with snapshot(database, [b.topic for b in bounds] if families else None) as moment:
            pages = await moment.pages()
            watch.begin("reading the logs, in pages", sum(pages.values()))
            await moment.scan(pages, watch.advance)
            watch.begin("comparing partitions", len(bounds))
            at: tuple[str, int] | None = None
            async for segment in moment.segments(bounds):
                if at != (segment.topic, segment.partition):
                    if at is not None:
                        await kept.close_partition(*at)
                        watch.advance(1)
                    at = segment.topic, segment.partition
                report.of(segment.topic).count(segment)
                await kept.judge(segment)
            if at is not None:
                await kept.close_partition(*at)
        await kept.check_ends()
    finally:
        await kafka.stop(reader)
    for b in bounds:
        report.of(b.topic).partitions.add(b.partition)
    return [report.totals[topic] for topic in sorted(report.totals)]


class Kept:
    """What only Kafka can say: whether a gap holds a record, whether a letter is in its topic, where a topic ends."""

    def __init__(self, settings: Settings, reader: AIOKafkaConsumer, bounds: Sequence[Bounds], report: Report) -> None:
        self._settings = settings
        self._reader = reader
        self._bounds = bounds
        self._report = report
        self._gaps: Spans = []
        self._letters: Spans = []
        self._tops = {(b.topic, b.partition): b.committed for b in bounds}

    async def judge(self, segment: Segment) -> None:
        """Report what is wrong with a segment, or hold it until Kafka was asked."""
        topic, partition, first, after, members = segment
        if members & _OWN:
            self._tops[topic, partition] = max(self._tops.get((topic, partition), 0), after)
        for kind in suspicions(members):
            if kind is Kind.unaccounted:
                self._gaps.append((first, after))
            elif kind is Kind.missing_letter:
                _append(self._letters, first, after)
            else:
                self._report.add(topic, partition, first, after, kind)
        if len(self._gaps) >= PENDING_SPANS or len(self._letters) >= PENDING_SPANS:
            await self._ask(TopicPartition(topic, partition))

    async def close_partition(self, topic: str, partition: int) -> None:
        """Ask what is left to ask of a partition, and pass its discrepancies on."""
        await self._ask(TopicPartition(topic, partition))
        self._report.close_partition()

    async def _ask(self, place: TopicPartition) -> None:
        gaps, self._gaps = self._gaps, []
        if gaps:
            await self._read_gaps(place, gaps)
        letters, self._letters = self._letters, []
        if letters:
            for first, after in await self._without_letter(place, letters):
                self._report.add(place.topic, place.partition, first, after, Kind.missing_letter)

    async def _read_gaps(self, place: TopicPartition, gaps: Spans) -> None:
        with _answers(self._settings):
            end = await self._end(place)
            self._reader.assign([place])
            for run in _runs(within(gaps, 0, end)):
                async for records in self._records(place, run[0][0], run[-1][1]):
                    for first, after in _both(spans_of(r.offset for r in records), run):
                        self._report.add(place.topic, place.partition, first, after, Kind.unaccounted)

    async def _without_letter(self, place: TopicPartition, offsets: Spans) -> Spans:
        """The offsets whose letter is not in the dead-letter topic; where a letter lies follows from its record."""
        topic = dlq_topic_of(place.topic)
        with _answers(self._settings):
            partitions = (await kafka.partitions(self._settings)).get(topic)
        if not partitions:
            return offsets
        dlq = TopicPartition(topic, place.partition % len(partitions))
        with _answers(self._settings):
            start = (await self._reader.beginning_offsets([dlq]))[dlq]
            self._reader.assign([dlq])
            async for records in self._records(dlq, start, await self._end(dlq)):
                offsets = difference(offsets, spans_of(o for r in records for o in _letters_of(r, place)))
                if not offsets:
                    break
        return offsets

    async def _records(self, place: TopicPartition, first: int, after: int) -> Any:
        """What a read-committed reader sees in [first, after), in lists, in order."""
        self._reader.seek(place, first)
        at, loop = first, asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_SECONDS
        while at < after:
            polled = await self._reader.getmany(place, timeout_ms=500)
            if records := [r for r in polled.get(place, ()) if first <= r.offset < after]:
                yield records
            reached = await self._reader.position(place)
            if reached != at:
                at, deadline = reached, loop.time() + ANSWER_SECONDS
            elif loop.time() > deadline:
                raise TimeoutError(f"{place.topic}[{place.partition}] gives nothing at {at}")

    async def check_ends(self) -> None:
        """Report partitions that end below what was committed or settled: made anew, or an offset set beyond."""
        with _answers(self._settings):
            ends = await self._reader.end_offsets([TopicPartition(b.topic, b.partition) for b in self._bounds])
        for place, end in sorted(ends.items()):
            if end < (top := self._tops[place.topic, place.partition]):
                self._report.add(place.topic, place.partition, end, top, Kind.beyond_end)
        self._report.close_partition()

    async def _end(self, place: TopicPartition) -> int:
        end: int = (await self._reader.end_offsets([place]))[place]
        return end


async def _bounds(settings: Settings, reader: AIOKafkaConsumer, families: Sequence[Family]) -> list[Bounds]:
    """What Kafka has of our topics, and what their groups committed, read without joining a group."""
    found = []
    with _answers(settings):
        partitions = await kafka.partitions(settings)
    for family in families:
        topic, group = kafka.topics(settings)[family], kafka.group_of(settings, family)
        if topic not in partitions:
            raise TopicMissing(f"there is no topic {topic}; `siltstone topics apply` creates it")
        places = [TopicPartition(topic, p) for p in partitions[topic]]
        with _answers(settings):
            member = AIOKafkaConsumer(**kafka.connection(settings), group_id=group, enable_auto_commit=False)
            try:
                await member.start()
                async with asyncio.timeout(ANSWER_SECONDS):
                    committed = {place: await member.committed(place) for place in places}
            finally:
                await kafka.stop(member)
            starts = await reader.beginning_offsets(places)
        found += [Bounds(topic, p.partition, group, starts[p], committed[p] or 0) for p in places]
    return found


def _letters_of(record: Any, place: TopicPartition) -> list[int]:
    """The offset of `place` that a record of a dead-letter topic is the letter of."""
    if all(name != form.ID for name, _ in record.headers):
        return []  # another system's
    ours = {name: value for name, value in record.headers if name in (form.TOPIC, form.PARTITION, form.OFFSET)}
    if ours.get(form.TOPIC) != place.topic.encode() or ours.get(form.PARTITION) != str(place.partition).encode():
        return []
    offset = ours.get(form.OFFSET) or b""
    return [int(offset)] if offset.isdigit() else []


def _append(spans: Spans, first: int, after: int) -> None:
    if spans and spans[-1][1] == first:
        spans[-1] = spans[-1][0], after
    else:
        spans.append((first, after))


def _runs(gaps: Spans) -> Iterator[Spans]:
    """Gaps in runs that are read in one go."""
    begin = 0
    for i in range(1, len(gaps) + 1):
        if i == len(gaps) or gaps[i][0] - gaps[i - 1][1] > NEAR:
            yield gaps[begin:i]
            begin = i


def _both(left: Spans, right: Spans) -> Spans:
    """The offsets in both; as quick as `left` is short."""
    begin = bisect_right(right, left[0][0], key=lambda span: span[1])
    end = bisect_left(right, left[-1][1], key=lambda span: span[0])
    return difference(left, difference(left, right[begin:end]))


@contextmanager
def _answers(settings: Settings) -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        said = type(error).__name__
        raise KafkaAway(f"Kafka at {settings.kafka_bootstrap_servers} does not answer ({said})") from error
