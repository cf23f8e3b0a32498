"""The AsyncAPI 3 document: FastStream describes servers, channels and operations, the registry their messages.

FastStream renders payloads from the annotations of handlers, by pydantic: a batch handler would be documented as if
one record were an array, and msgspec structs not at all. So each channel's messages are put in the place of its own:
one message an event type, with the same JSON Schema that `siltstone schemas` prints.
"""

from typing import Any

from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI
from faststream.specification.asyncapi.utils import ref
from faststream.specification.asyncapi.v3_0_0.schema import Message, Reference
from faststream.specification.asyncapi.v3_0_0.schema.channels import Channel
from faststream.specification.base import Specification

from contracts import letter
from contracts.refusal import Reason, Stage
from contracts.registry import EVENT_TYPES, dlq_topic_of, topic_of
from contracts.schemas import meaning_of, schema_of
from workers import kafka
from workers.settings import Settings
from workers.subscriber import security

CLOUDEVENT = "application/cloudevents+json; charset=UTF-8"
TEXT = {"type": "string"}


class _Document(AsyncAPI):
    """FastStream's document, with one message for each event type of a channel, and one for dead letters."""

    def __init__(self, broker: KafkaBroker, prefix: str, **about: Any) -> None:
        super().__init__(broker, **about)
        self._messages: dict[str, dict[str, Message]] = {}
        for kind in EVENT_TYPES.values():
            topic = topic_of(kind.family, prefix)
            self._messages.setdefault(topic, {})[kind.noun_verb] = _message(kind.name)
            self._messages[dlq_topic_of(topic)] = {"dead_letter": _dead_letter()}

    def to_specification(self) -> Specification:
        document: Any = super().to_specification()
        document.components.messages.clear()
        document.components.schemas.clear()
        document.channels = dict(sorted(document.channels.items()))  # FastStream keeps subscribers in no order
        document.operations = dict(sorted(document.operations.items()))
        for name, channel in document.channels.items():
            self._describe(document, name, channel)
        document.components.messages = dict(sorted(document.components.messages.items()))
        made: Specification = document
        return made

    def _describe(self, document: Any, channel_name: str, channel: Channel) -> None:
        """Put the registry's messages in the place of those of the handler's signature."""
        messages = self._messages[channel.address or ""]
        document.components.messages.update(messages)
        channel.messages = {name: Reference(**ref("components", "messages", name)) for name in messages}
        here = ref("channels", channel_name)["$ref"]
        for operation in document.operations.values():
            if operation.channel.ref == here:
                operation.messages = [Reference(**ref("channels", channel_name, "messages", name)) for name in messages]


def document(settings: Settings, version: str) -> dict[str, Any]:
    """The document as JSON; nothing is connected."""
    broker = KafkaBroker(settings.kafka_bootstrap_servers.split(","), security=security(settings))
    for family, topic in kafka.topics(settings).items():
        group = kafka.group_of(settings, family)
        _receive(broker, topic, group, f"Events of the {family.value} family, keyed by tenant and subject")
        dead = dlq_topic_of(topic)
        _receive(broker, dead, kafka.dlq_group_of(settings), f"Dead letters of {topic}, byte for byte")
        broker.publisher(dead, title=f"{dead}:Publisher", description=f"Records of {topic} that cannot be stored")
    made = _Document(
        broker,
        settings.topic_prefix,
        title="Siltstone",
        version=version,
        description="The durable record of what AI agents did: events of Kafka settled into Postgres, once each.",
    )
    content: dict[str, Any] = made.to_specification().to_jsonable()
    return content


def _receive(broker: KafkaBroker, topic: str, group: str, description: str) -> None:
    subscriber = broker.subscriber(topic, group_id=group, title=topic, description=description)

    async def receive(message: bytes) -> None:
        """Stands for the pipeline: only its name and place are in the document."""

    subscriber(receive)


def _message(name: str) -> Message:
    kind = EVENT_TYPES[name]
    schema = schema_of(kind)
    del schema["$schema"], schema["$id"]  # AsyncAPI names the dialect itself, and a $id would move references
    return Message(title=name, name=name, summary=meaning_of(kind), contentType=CLOUDEVENT, payload=schema)


def _dead_letter() -> Message:
    """The record's own key, value and headers, and these headers more."""
    headers: dict[str, Any] = dict.fromkeys(
        (
            *(letter.TOPIC, letter.PARTITION, letter.OFFSET, letter.GROUP, letter.DELIVERY_COUNT, letter.MESSAGE),
            *(letter.EXCEPTION, letter.SQLSTATE, letter.ORIGINAL_TIMESTAMP, letter.REDRIVE_COUNT, letter.APP),
            *(letter.TENANT, letter.EVENT_TYPE, letter.VALUE_IN_TABLE),
        ),
        TEXT,
    )
    headers |= {
        letter.ID: TEXT | {"format": "uuid"},
        letter.FAILED_AT: TEXT | {"format": "date-time"},
        letter.REASON: {"enum": [reason.value for reason in Reason]},
        letter.STAGE: {"enum": [stage.value for stage in Stage]},
    }
    return Message.model_validate(
        {
            "title": "dead letter",
            "name": "dead_letter",
            "summary": "A record that could not be stored, as it was, with headers that say why.",
            "contentType": "application/octet-stream",
            "headers": {"type": "object", "properties": headers, "required": [letter.ID, letter.REASON, letter.STAGE]},
            "payload": {"description": "the bytes of the record's value"},
        }
    )
