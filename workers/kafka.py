"""How this process talks to Kafka: security from the settings, the topics, and offsets read from outside a group."""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from contracts.event_type import Family
from contracts.registry import dlq_topic_of, topic_of
from workers import group_offsets, unpacking
from workers.cancellation import raise_if_cancelled
from workers.settings import Settings

group_offsets.mend()
unpacking.mend()

DLQ_MESSAGE_MAX_BYTES = 32 * 1024 * 1024
TOPIC_MESSAGE_MAX_BYTES = 2 * 1024 * 1024
BATCH_BYTES = 64 * 1024  # of a partition in one request: 22,000 published a second, 13,000 with aiokafka's 16 KiB
SOCKET_TIMEOUT_MS = 15_000


def connection(settings: Settings) -> dict[str, Any]:
    """The arguments that every aiokafka client takes."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "security_protocol": settings.kafka_security_protocol,
        "request_timeout_ms": SOCKET_TIMEOUT_MS,
    }
    if settings.kafka_security_protocol in ("SSL", "SASL_SSL"):
        arguments["ssl_context"] = ssl_context(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        arguments |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    return arguments


def ssl_context(settings: Settings) -> ssl.SSLContext:
    ca = settings.kafka_ssl_ca_location
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    if settings.kafka_ssl_certificate_location:
        context.load_cert_chain(settings.kafka_ssl_certificate_location, settings.kafka_ssl_key_location)
    return context


def producer(
    settings: Settings, *, max_bytes: int = TOPIC_MESSAGE_MAX_BYTES, max_batch_size: int = BATCH_BYTES, **options: Any
) -> AIOKafkaProducer:
    """An idempotent producer with acks=all and zstd; not started."""
    return AIOKafkaProducer(
        **connection(settings),
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_request_size=max_bytes,
        max_batch_size=max_batch_size,
        **options,
    )


def reader(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    """A consumer of no group, which reads what is committed, from where it is told; not started."""
    return AIOKafkaConsumer(
        **connection(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        **options,
    )


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer; aiokafka lets out the cancellation of a fetch which it was trying again."""
    with suppress(asyncio.CancelledError):
        await consumer.stop()
    raise_if_cancelled()


async def partitions(settings: Settings) -> dict[str, list[int]]:
    """The partitions of every topic there is; asked so that no broker makes one that is not. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        described = await admin.describe_topics()
    finally:
        await admin.close()
    return {topic["topic"]: sorted(p["partition"] for p in topic["partitions"]) for topic in described}


def topics(settings: Settings) -> dict[Family, str]:
    """The topic of each family."""
    return {family: topic_of(family, settings.topic_prefix) for family in Family}


def dlq_topics(settings: Settings) -> dict[Family, str]:
    """The dead-letter topic of each family."""
    return {family: dlq_topic_of(topic) for family, topic in topics(settings).items()}


def group_of(settings: Settings, family: Family) -> str:
    """The consumer group of a family."""
    return f"{settings.kafka_group_id}.{family.value}"


def dlq_group_of(settings: Settings) -> str:
    """The consumer group that indexes dead letters."""
    return f"{settings.kafka_group_id}.dlq"
