"""Where a partition begins after an assignment, and whether it is still the topic that the ledger speaks of."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from persistence.database import Database
from persistence.ledger import end_of
from workers.failure import RetryLater, Stop
from workers.judging import judged

ANSWER_SECONDS = 15


class Starts:
    """Asked once for each partition and assignment, at its first batch.

    `reader` is a started consumer of no group: the group's own would answer only after its long poll.
    """

    def __init__(self, database: Database, reader: AIOKafkaConsumer, group: str) -> None:
        self._database = database
        self._reader = reader
        self._group = group

    async def of(self, partitions: Sequence[TopicPartition], consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """The offset that the group committed in each, else the partition's first.

        Raises Stop when a partition ends below what the ledger settled: the topic was made anew.
        """
        # Before the ends: after them, this process may be suspended while others settle records beyond.
        settled = await self._settled(partitions)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answers = await asyncio.gather(*map(consumer.committed, partitions))
                ends = await self._reader.end_offsets(list(partitions))
                firsts = await self._reader.beginning_offsets(list(partitions))
        except (KafkaError, OSError, TimeoutError) as error:
            raise RetryLater(f"offsets cannot be read: {type(error).__name__}", "kafka") from error
        committed = dict(zip(partitions, answers, strict=True))
        for partition in partitions:
            if ends[partition] < settled[partition]:
                raise Stop(
                    f"{partition.topic}[{partition.partition}] ends at {ends[partition]}, but {settled[partition]} "
                    "offsets of it were settled: the topic was made anew. Give it another name, or the group "
                    "another id (KAFKA_GROUP_ID); nothing of it was committed."
                )
        return {p: firsts[p] if committed[p] is None else committed[p] for p in partitions}

    async def _settled(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        with judged("the ledger cannot be read"):
            async with self._database.transaction(readonly=True) as connection:
                return {p: await end_of(connection, self._group, p.topic, p.partition) for p in partitions}
