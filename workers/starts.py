"""Where a partition begins after an assignment, and whether it is still the topic that the ledger speaks of."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from persistence.database import Database
from persistence.ledger import end_of
from persistence.verdict import Verdict, judge
from workers.failure import RetryLater, Stop

ANSWER_SECONDS = 15


class Starts:
    """Asked once a partition and assignment, at its first batch."""

    def __init__(self, database: Database, group: str) -> None:
        self._database = database
        self._group = group

    async def of(self, partition: TopicPartition, consumer: AIOKafkaConsumer) -> int:
        """The offset that the group committed, else the partition's first.

        Raises Stop when the partition ends below what the ledger settled: the topic was made anew.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                committed: int | None = await consumer.committed(partition)
                end: int = (await consumer.end_offsets([partition]))[partition]
                first: int = (await consumer.beginning_offsets([partition]))[partition]
        except (KafkaError, OSError, TimeoutError) as error:
            raise RetryLater(f"offsets cannot be read: {type(error).__name__}", "kafka") from error
        settled = await self._settled(partition)
        if end < settled:
            raise Stop(
                f"{partition.topic}[{partition.partition}] ends at {end}, but {settled} offsets of it were settled: "
                "the topic was made anew. Give it another name, or the group another id (KAFKA_GROUP_ID); nothing of "
                "it was committed."
            )
        return first if committed is None else committed

    async def _settled(self, partition: TopicPartition) -> int:
        try:
            async with self._database.transaction(readonly=True) as connection:
                return await end_of(connection, self._group, partition.topic, partition.partition)
        except Exception as error:
            judgement = judge(error)
            if judgement.verdict is Verdict.retry:
                raise RetryLater(judgement.message, judgement.kind) from error
            raise Stop(f"the ledger cannot be read: {judgement.message}; is the database migrated?") from error
