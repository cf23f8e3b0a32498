"""Committing explicit offsets: those of what was settled, never positions."""

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from workers.failure import RetryLater
from workers.hold import Hold

COMMIT_SECONDS = 15

log = structlog.get_logger("siltstone.offsets")


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int], hold: Hold) -> None:
    """Commit `offsets`, each the next to read. What is settled is durable: a commit lost to a rebalance costs a
    second delivery, which changes nothing, so it does not end the process.
    """

    async def attempt() -> None:
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await consumer.commit(dict(offsets))
        except (CommitFailedError, IllegalStateError) as error:
            log.info("not committed: the group is rebalancing", error=type(error).__name__)
        except (KafkaError, OSError, TimeoutError) as error:
            raise RetryLater(f"offsets cannot be committed: {type(error).__name__}", "kafka") from error

    await hold.until_done("commit offsets", attempt)
