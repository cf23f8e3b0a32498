"""The topics that the peers read."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.peers.forms import FORMS, key
from bench.peers.settings import PARTITIONS, PEERS_COMPRESSION
from workers import kafka
from workers.settings import Settings

IN_FLIGHT = 2_000  # records handed to the producer and not yet acknowledged


def peers_producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """As Siltstone's own, but for the compression; not started."""
    return AIOKafkaProducer(
        **kafka.connection(settings),
        acks="all",
        enable_idempotence=True,
        compression_type=PEERS_COMPRESSION,
        max_batch_size=kafka.BATCH_BYTES,
        **options,
    )


async def make_topic(admin: AIOKafkaAdminClient, name: str) -> None:
    """A new topic of PARTITIONS partitions."""
    answer = await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    refused = [message for _, code, message in answer.topic_errors if code]
    if refused:
        raise SystemExit(f"the topic {name} is not made: {refused[0]}")


async def publish(
    settings: Settings, admin: AIOKafkaAdminClient, topic: str, form: str, events: Sequence[Mapping[str, Any]]
) -> float:
    """Make the topic and publish the events in a form; returns the mean size of a value in bytes."""
    await make_topic(admin, topic)
    producer = peers_producer(settings, linger_ms=20)
    await producer.start()
    size = 0
    try:
        waiting = []
        for event in events:
            value = FORMS[form](event)
            size += len(value)
            waiting.append(await producer.send(topic, value, key=key(event)))
            if len(waiting) >= IN_FLIGHT:
                for sent in waiting:
                    await sent
                waiting.clear()
        for sent in waiting:
            await sent
    finally:
        await producer.stop()
    return size / len(events)
