"""The topics that Siltstone needs: made when missing, compared when there, never deleted."""

from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError

from contracts.registry import PARTITIONS
from workers import kafka
from workers.settings import Settings

WEEK_MS = 7 * 24 * 3600 * 1000
MONTH_MS = 30 * 24 * 3600 * 1000
SAFE_BROKERS = 3
MADE = {NoError.errno, TopicAlreadyExistsError.errno}  # by us, or by somebody else meanwhile


class TopicsRefused(Exception):
    """The broker does not make a topic; the message says which, and why in its words."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


@dataclass(slots=True)
class Found:
    """A topic, whether it was just made, and where it differs from what is wanted."""

    name: str
    made: bool
    partitions: int
    drift: list[str] = field(default_factory=list)


def wanted(settings: Settings, brokers: int, partitions: int = PARTITIONS) -> list[Wanted]:
    """Every topic, for a cluster of so many brokers."""
    replication = min(SAFE_BROKERS, brokers)
    common = {"message.timestamp.type": "LogAppendTime"}
    if brokers >= SAFE_BROKERS:
        common["min.insync.replicas"] = "2"
    event = common | {"retention.ms": str(WEEK_MS), "max.message.bytes": str(kafka.TOPIC_MESSAGE_MAX_BYTES)}
    dead = common | {"retention.ms": str(MONTH_MS), "max.message.bytes": str(kafka.DLQ_MESSAGE_MAX_BYTES)}
    return [
        *(Wanted(name, partitions, replication, event) for name in kafka.topics(settings).values()),
        *(Wanted(name, partitions, replication, dead) for name in kafka.dlq_topics(settings).values()),
    ]


async def apply(settings: Settings, *, create: bool = True, partitions: int = PARTITIONS) -> list[Found]:
    """Make the missing topics (unless told not to) and compare the others; raises KafkaError or TopicsRefused."""
    admin = AIOKafkaAdminClient(**kafka.connection(settings))
    try:
        await admin.start()
        brokers = len((await admin.describe_cluster())["brokers"])
        topics = wanted(settings, brokers, partitions)
        present = set(await admin.list_topics())
        missing = [t for t in topics if t.name not in present]
        if create and missing:
            answer = await admin.create_topics(
                [NewTopic(t.name, t.partitions, t.replication, topic_configs=t.config) for t in missing]
            )
            refused = [f"{name}: {message}" for name, code, message in answer.topic_errors if code not in MADE]
            if refused:
                raise TopicsRefused("\n".join(refused))
        there = [t for t in topics if create or t.name in present]
        return await _compare(admin, there, {t.name for t in missing}) if there else []
    finally:
        await admin.close()


async def _compare(admin: AIOKafkaAdminClient, topics: list[Wanted], made: set[str]) -> list[Found]:
    described = {t["topic"]: t for t in await admin.describe_topics([t.name for t in topics])}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in topics])
    configs = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
    found = []
    for topic in topics:
        count = len(described[topic.name]["partitions"])
        drift = [] if count == topic.partitions else [f"partitions: {count}, wanted {topic.partitions}"]
        has = configs.get(topic.name, {})
        drift += [f"{k}: {has.get(k)}, wanted {v}" for k, v in topic.config.items() if has.get(k) != v]
        found.append(Found(topic.name, topic.name in made, count, drift))
    return found
