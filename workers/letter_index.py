"""The index of dead letters is filled from the dlq.* topics, and from those of other systems that settings name.

One consumer a worker, which refuses nothing.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime

import structlog
from aiokafka import TopicPartition

from contracts import foreign
from contracts import letter as form
from contracts.envelope import MAX_TEXT, Headers
from contracts.foreign import storable
from contracts.record import Record
from persistence.database import Database
from persistence.letters import Letter, index
from workers.failure import Stop
from workers.health import Stream
from workers.judging import judged
from workers.offsets import commit

log = structlog.get_logger("siltstone.letter_index")
_PEEK_BYTES = 1024 * 1024
_MAX_INTEGER = 2**31 - 1
_MAX_BIGINT = 2**63 - 1


class LetterIndex:
    """Settles batches of letters: index, then commit. A letter that cannot be indexed stops this consumer only."""

    def __init__(self, database: Database, max_redrives: int, own_topics: Container[str]) -> None:
        self._database = database
        self._max_redrives = max_redrives
        self._own_topics = own_topics
        self._stream: Stream | None = None
        self.stopped: str | None = None

    def watch(self, stream: Stream) -> None:
        """The consumer that this index settles the batches of."""
        self._stream = stream

    async def settle(self, records: Sequence[Record]) -> None:
        """Index a batch of letters and commit; GivenUp when it is no longer ours.

        When a letter cannot be indexed, this consumer stops and says so to the health check; the others go on.
        """
        if self._stream is None:
            raise RuntimeError("watch() comes first")
        assignment = self._stream.assignment
        async with assignment.batch() as generation:
            letters = [letter_from(record, self._own_topics) for record in records]
            try:
                await assignment.hold.until_done("index dead letters", lambda: self._index(letters))
            except Stop as stop:
                self.stopped = str(stop)
                log.error("stopped", because=self.stopped)  # noqa: TRY400 - one line, not a trace
        if self.stopped is not None:
            await assignment.closed.wait()
            return
        assignment.check(generation)
        offsets = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
        assignment.next_offset.update(offsets)
        await commit(self._stream.consumer(), offsets, assignment.hold)

    async def keep(self, letter: Letter) -> None:
        """Index one letter at once."""
        await self._index([letter])

    async def _index(self, letters: Sequence[Letter]) -> None:
        with judged("dead letters cannot be indexed"):
            async with self._database.transaction() as connection:
                await index(connection, letters, self._max_redrives)


def letter_from(record: Record, own_topics: Container[str]) -> Letter:
    """A row of the index; in our own dead-letter topics a record with an x-dlq-id is ours, any other is foreign."""
    if record.topic in own_topics and any(name == form.ID for name, _ in record.headers):
        return letter_of(record.topic, record.partition, record.offset, record.key, record.value, record.headers)
    return foreign_letter_of(record)


def letter_of(
    topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Headers
) -> Letter:
    """A row of the index, from a record of a dead-letter topic and where it lies; what cannot be read is None."""
    ours = {name: (text or b"").decode("utf-8", "replace") for name, text in headers if form.is_ours(name)}
    own = form.own_headers(headers)
    event = _peek(value)
    failed_at = _time(ours.get(form.FAILED_AT))
    return Letter(
        id=_uuid(ours.get(form.ID), topic, partition, offset),
        tenant_id=_name(ours.get(form.TENANT)) or event("tenantid"),
        topic=_name(ours.get(form.TOPIC)) or topic.removeprefix("dlq."),
        partition=_integer(ours.get(form.PARTITION), partition, _MAX_INTEGER),
        offset=_integer(ours.get(form.OFFSET), -1, _MAX_BIGINT),
        consumer_group=_storable(ours.get(form.GROUP)) or "",
        event_type=_storable(ours.get(form.EVENT_TYPE)) or event("type"),
        event_id=event("id"),
        subject=event("subject"),
        reason=_name(ours.get(form.REASON)) or "unexpected",
        stage=_storable(ours.get(form.STAGE)) or "",
        error=_storable(ours.get(form.MESSAGE)) or "",
        exception=_storable(ours.get(form.EXCEPTION)),
        sqlstate=_storable(ours.get(form.SQLSTATE)),
        key=key,
        value=value,
        header_names=[storable(form.escaped(name)) for name, _ in own],
        header_values=[text for _, text in own],
        record_timestamp=_integer(ours.get(form.ORIGINAL_TIMESTAMP), 0, _MAX_BIGINT),
        letter_topic=topic,
        letter_partition=partition,
        letter_offset=offset,
        failed_at=failed_at,
        redrive_count=_integer(ours.get(form.REDRIVE_COUNT), 0, _MAX_INTEGER),
    )


def foreign_letter_of(record: Record) -> Letter:
    """A row of the index, from a letter that another system wrote; its id is of the place where the letter lies."""
    said = foreign.read(record.headers)
    event = _peek(record.value)
    return Letter(
        id=form.letter_id(record.topic, record.partition, record.offset, record.timestamp, record.value),
        tenant_id=event("tenantid"),
        topic=said.topic,
        partition=said.partition,
        offset=said.offset,
        consumer_group=said.consumer_group,
        event_type=event("type"),
        event_id=event("id"),
        subject=event("subject"),
        reason=said.reason,
        stage=said.stage,
        error=said.error,
        exception=said.exception,
        sqlstate=None,
        key=record.key,
        value=record.value,
        header_names=[storable(form.escaped(name)) for name, _ in said.headers],
        header_values=[value for _, value in said.headers],
        record_timestamp=said.timestamp,
        letter_topic=record.topic,
        letter_partition=record.partition,
        letter_offset=record.offset,
        failed_at=_written_at(record.timestamp),
        redrive_count=0,
        source=said.source,
    )


def _written_at(timestamp_ms: int) -> datetime:
    """The time of a letter's own record, the nearest to its failure that all systems give; now, if it cannot be."""
    now = time.time()
    return datetime.fromtimestamp(timestamp_ms / 1000 if 0 <= timestamp_ms / 1000 <= now else now, tz=UTC)


def _peek(value: bytes | None) -> Callable[[str], str | None]:
    """Attributes of an event that may be broken, as far as its JSON can be read."""
    members: object = None
    if value is not None and len(value) <= _PEEK_BYTES:
        try:
            members = json.loads(value)
        except (ValueError, RecursionError):
            members = None

    def attribute(name: str) -> str | None:
        text = members.get(name) if isinstance(members, dict) else None
        return _name(text) if isinstance(text, str) and text else None

    return attribute


def _name(text: str | None) -> str | None:
    """A text of an indexed column, cut to what every index holds: in a refused event it may be of any length."""
    return None if text is None else storable(text)[:MAX_TEXT]


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _integer(text: str | None, default: int, most: int) -> int:
    number = int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,19}", text) else default
    return number if -most <= number <= most else default


def _time(text: str | None) -> datetime:
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.fromtimestamp(time.time(), tz=UTC)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _uuid(text: str | None, topic: str, partition: int, offset: int) -> uuid.UUID:
    try:
        return uuid.UUID(text or "")
    except ValueError:
        return form.letter_id(topic, partition, offset, 0, None)
