"""Every event type that is accepted, and the topics they come by."""

from contracts import exception, execution, extraction  # noqa: F401 - importing a family declares its types
from contracts.event_type import REGISTRY, EventType, Family

EVENT_TYPES: dict[str, EventType] = REGISTRY
TOPIC_STEM = "siltstone"
DLQ_PREFIX = "dlq."
PARTITIONS = 12  # of a topic, unless who makes it says otherwise


def topic_of(family: Family, prefix: str = "") -> str:
    """The family's topic; `prefix` sets an installation apart on a shared cluster."""
    return f"{prefix}{TOPIC_STEM}.{family.value}"


def dlq_topic_of(topic: str) -> str:
    """The topic of the dead letters of `topic`."""
    return f"{DLQ_PREFIX}{topic}"
