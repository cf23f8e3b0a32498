"""Publishing the storm's traffic, in step with its faults, and reading back what the topics really hold."""

import asyncio
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts.event_type import Family
from tests.storm.model import Model
from tests.storm.traffic import Outgoing, Traffic
from tests.support.installation import Installation, consumer_partitions

CHUNK = 500  # records whose acknowledgements are waited for together
TRICKLE, TRICKLE_SECONDS = 60, 0.3  # so that there is always something to store


class Publisher:
    """Sends records of the traffic to the families' topics; `sent` of them are acknowledged."""

    def __init__(self, traffic: Traffic, topics: Mapping[str, str], kafka: str) -> None:
        self.sent = 0
        self._traffic = traffic
        self._topics = topics
        self._kafka = kafka

    async def run(self, wanted: Callable[[], float], is_over: Callable[[], bool]) -> None:
        """Publish until it is over: fast while fewer were sent than are wanted by now, else a trickle.

        Every record is in its topic once then, whatever befell the broker.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            enable_idempotence=True,
            request_timeout_ms=180_000,  # an outage is waited for: a record given up could be there or not
            max_request_size=4 << 20,
            linger_ms=5,
        )
        await producer.start()
        try:
            while self.sent < wanted() or not is_over():
                is_behind = self.sent < wanted()
                chunk = self._traffic.take(CHUNK if is_behind else TRICKLE)
                await asyncio.gather(*[await self._send(producer, one) for one in chunk])
                self.sent += len(chunk)
                if not is_behind:
                    await asyncio.sleep(TRICKLE_SECONDS)
        finally:
            await producer.stop()

    async def ends(self) -> dict[TopicPartition, int]:
        """One past the last record of each partition, as of now."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, fetch_max_wait_ms=20)
        await consumer.start()
        try:
            parts = [
                TopicPartition(topic, partition)
                for topic in self._topics.values()
                for partition in await consumer_partitions(consumer, topic)
            ]
            ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
            return ends
        finally:
            await consumer.stop()

    async def _send(self, producer: AIOKafkaProducer, one: Outgoing) -> "asyncio.Future[object]":
        topic = self._topics[one.family]
        sent: asyncio.Future[object] = await producer.send(topic, one.value, one.key, headers=list(one.headers))
        return sent


async def see_topics(model: Model, installation: Installation) -> None:
    """Show the model every record of the event topics that a read-committed reader sees."""
    for family in Family:
        async for r in installation.records(installation.topic(family)):
            model.see(r.topic, r.partition, r.offset, r.key, r.value, r.headers)
