"""How far groups are behind, asked from outside of them.

A transaction's marker takes an offset that no reader sees, so a committed offset need not reach the end of its
partition: what counts is the last record that a read-committed reader sees.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from workers import kafka
from workers.settings import Settings

LOOK_BACK = 100  # offsets; markers lie between records, seldom many in a row
POLL_SECONDS = 0.5
POLL_MS = 200

Groups = Mapping[str, list[str]]
"""Group to its topics."""


class StillBehind(Exception):
    """A group did not reach the end in time."""


async def caught_up(settings: Settings, groups: Groups, seconds: float, watch: Callable[[int], None]) -> None:
    """Wait until the groups have committed every visible record that is in their topics now.

    `watch` is called with what is left, in offsets, each half second; what it raises ends the wait.
    """
    deadline = time.monotonic() + seconds
    async with asyncio.timeout(seconds):
        targets = {group: await last_visible(settings, topics) for group, topics in groups.items()}
    admin = AIOKafkaAdminClient(**kafka.connection(settings))
    try:
        await admin.start()
        while left := sum([await _behind(admin, group, target) for group, target in targets.items()]):
            watch(left)
            if time.monotonic() > deadline:
                raise StillBehind(f"{left} records were not settled within {seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await admin.close()


async def last_visible(settings: Settings, topics: list[str]) -> dict[TopicPartition, int]:
    """One above the last record that a read-committed reader sees; partitions without any are left out."""
    reader = kafka.reader(settings)
    found: dict[TopicPartition, int] = {}
    await reader.start()
    try:
        described = await _partitions(settings, topics)
        reader.assign(described)
        first, ends = await reader.beginning_offsets(described), await reader.end_offsets(described)
        for partition in described:
            back = LOOK_BACK
            while partition not in found and ends[partition] > first[partition]:
                start = max(first[partition], ends[partition] - back)
                if (last := await _last_from(reader, partition, start, ends[partition])) is not None:
                    found[partition] = last + 1
                elif start == first[partition]:
                    break
                back *= 10
    finally:
        await reader.stop()
    return found


async def _last_from(reader: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int) -> int | None:
    """The last visible offset at or above `start`; reads to `end`."""
    reader.seek(partition, start)
    last: int | None = None
    while await reader.position(partition) < end:
        for record in (await reader.getmany(partition, timeout_ms=POLL_MS)).get(partition, []):
            last = record.offset
    return last


async def _partitions(settings: Settings, topics: list[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**kafka.connection(settings))
    try:
        await admin.start()
        described = await admin.describe_topics(topics)
    finally:
        await admin.close()
    return [TopicPartition(t["topic"], p["partition"]) for t in described for p in t["partitions"]]


async def _behind(admin: AIOKafkaAdminClient, group: str, target: Mapping[TopicPartition, int]) -> int:
    committed = await admin.list_consumer_group_offsets(group)
    return sum(max(0, after - _offset(committed.get(partition))) for partition, after in target.items())


def _offset(committed: object) -> int:
    """A group's committed offset; 0 when it has none (Kafka says -1)."""
    return max(0, int(getattr(committed, "offset", 0)))
