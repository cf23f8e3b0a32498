"""Publishing records: idempotent, acknowledged by all, as fast as the broker takes them, flat in memory."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from producers.event_lines import Outgoing, RefusedLine
from workers import kafka
from workers.settings import Settings

IN_FLIGHT = 2_000  # records handed to the producer and not yet acknowledged
LINGER_MS = 5
LATE_SECONDS = 5.0  # between two looks for a broker that went away
LATE_LOOKS = 2


@dataclass(slots=True)
class Report:
    """What came of publishing: acknowledged records by topic, and lines that were not sent or not acknowledged."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedLine] = field(default_factory=list)


async def publish(
    settings: Settings,
    records: Iterable[Outgoing | RefusedLine],
    *,
    check: bool = True,
    advance: Callable[[], None] = lambda: None,
    late: Callable[[], None] = lambda: None,
) -> Report:
    """Publish every record and wait for its acknowledgement; `advance` is called for each, sent or refused.

    Raises KafkaError when the broker is away. A record that the broker refuses is in the report. `late` is called when
    the broker acknowledges nothing any more, once.
    """
    report = Report()
    most = kafka.TOPIC_MESSAGE_MAX_BYTES if check else 64 * 1024 * 1024
    producer = kafka.producer(settings, max_bytes=most, linger_ms=LINGER_MS)
    waiting: list[tuple[int, Outgoing, asyncio.Future[object]]] = []
    watch = asyncio.create_task(_watch(report, waiting, late))
    try:
        await producer.start()
        for number, record in enumerate(records, 1):
            if isinstance(record, RefusedLine):
                report.refused.append(record)
                advance()
                continue
            try:
                sent = await producer.send(record.topic, record.value, key=record.key, headers=record.headers)
            except KafkaError as error:
                if not _is_about_the_record(error):
                    raise
                report.refused.append(RefusedLine(number, f"the broker refuses it: {type(error).__name__}"))
                continue
            waiting.append((number, record, sent))
            if len(waiting) >= IN_FLIGHT:
                await _settle(waiting, report, advance)
        await _settle(waiting, report, advance)
    finally:
        watch.cancel()
        await producer.stop()
    return report


async def _watch(report: Report, waiting: Sequence[object], late: Callable[[], None]) -> None:
    """Call `late` when records wait and none was acknowledged at two looks; reading a file holds up both."""
    last, looks = -1, 0
    while looks < LATE_LOOKS:
        await asyncio.sleep(LATE_SECONDS)
        acknowledged = report.acknowledged.total()
        looks = looks + 1 if waiting and acknowledged == last else 0
        last = acknowledged
    late()


async def _settle(
    waiting: list[tuple[int, Outgoing, "asyncio.Future[object]"]], report: Report, advance: Callable[[], None]
) -> None:
    for number, record, sent in waiting:
        try:
            await sent
        except KafkaError as error:
            if not _is_about_the_record(error):
                raise
            report.refused.append(RefusedLine(number, f"the broker refuses it: {type(error).__name__}"))
        else:
            report.acknowledged[record.topic] += 1
        advance()
    waiting.clear()


def _is_about_the_record(error: KafkaError) -> bool:
    """Whether another record might still be taken."""
    return type(error).__name__ in {"MessageSizeTooLargeError", "RecordTooLargeError", "InvalidMessageError"}
