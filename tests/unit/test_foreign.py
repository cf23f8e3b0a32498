"""Dead letters of other systems: their headers as those systems write them, and what cannot be read of one."""

import json
import struct
from typing import Any

import pytest

from contracts import letter as form
from contracts.foreign import ForeignLetter, read
from tests.support.imported import CASES
from workers.settings import InvalidSettings, load

Headers = list[tuple[str, bytes | None]]

OWN: Headers = [("content-type", b"application/json"), ("a", b"\xff"), ("a", None), ("original_offset_x", b"1")]

# From apache/kafka, org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter: its method populateContextHeaders
# writes these, in this order, all of them text in UTF-8.
CONNECT: Headers = [
    ("__connect.errors.topic", b"orders"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"9223372036854775807"),
    ("__connect.errors.connector.name", b"sink"),
    ("__connect.errors.task.id", b"0"),
    ("__connect.errors.stage", b"VALUE_CONVERTER"),
    ("__connect.errors.class.name", b"org.apache.kafka.connect.json.JsonConverter"),
    ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
    ("__connect.errors.exception.message", "not é\0".encode()),
    ("__connect.errors.exception.stacktrace", b"org.apache.kafka.connect.errors.DataException: not\n\tat a.B"),
]
# From spring-projects/spring-kafka: the names are in org.springframework.kafka.support.KafkaHeaders. The class
# listener.DeadLetterPublishingRecoverer writes numbers with ByteBuffer's putInt and putLong, big-endian, the rest as
# text, in its methods maybeAddOriginalHeaders and addExceptionInfoHeaders.
SPRING: Headers = [
    ("kafka_dlt-original-topic", b"orders"),
    ("kafka_dlt-original-partition", b"\x00\x00\x00\x07"),
    ("kafka_dlt-original-offset", b"\x00\x00\x00\x01\x00\x00\x00\x00"),
    ("kafka_dlt-original-timestamp", b"\x00\x00\x01\x9b\xd3\x1e\x8c\x00"),
    ("kafka_dlt-original-timestamp-type", b"CreateTime"),
    ("kafka_dlt-original-consumer-group", b"billing"),
    ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
    ("kafka_dlt-exception-cause-fqcn", b"java.lang.IllegalStateException"),
    ("kafka_dlt-exception-message", b"Listener failed; not today"),
    ("kafka_dlt-exception-stacktrace", b"org.springframework..."),
]
# The same, as retrytopic.DeadLetterPublishingRecovererFactory makes it for @RetryableTopic: with other names, but for
# the group (KafkaHeaders.ORIGINAL_CONSUMER_GROUP). The last two are of retrytopic.RetryTopicHeaders.
SPRING_RETRY: Headers = [
    ("kafka_original-topic", b"orders"),
    ("kafka_original-partition", b"\x00\x00\x00\x00"),
    ("kafka_original-offset", b"\x00\x00\x00\x00\x00\x00\x00\x05"),
    ("kafka_original-timestamp", b"\x00\x00\x00\x00\x00\x00\x00\x01"),
    ("kafka_original-timestamp-type", b"CreateTime"),
    ("kafka_dlt-original-consumer-group", b"billing"),
    ("kafka_exception-fqcn", b"java.lang.IllegalStateException"),
    ("kafka_exception-message", b"not today"),
    ("kafka_exception-stacktrace", b"java.lang..."),
    ("retry_topic-attempts", b"\x00\x00\x00\x04"),
    ("retry_topic-backoff-timestamp", b"\x00\x00\x01\x9b\xd3\x1e\x8c\x00"),
]
# From apache/kafka, org.apache.kafka.streams.errors.ExceptionHandlerUtils (KIP-1034), buildDeadLetterQueueRecord: all
# of it text, numbers by String.valueOf; the exception is its toString.
STREAMS: Headers = [
    ("__streams.errors.exception", b"org.apache.kafka.common.errors.SerializationException: Size of data: 3"),
    ("__streams.errors.message", b"Size of data: 3"),
    ("__streams.errors.stacktrace", b"org.apache.kafka.common.errors..."),
    ("__streams.errors.topic", b"orders"),
    ("__streams.errors.partition", b"1"),
    ("__streams.errors.offset", b"0"),
]
# From apache/kafka, org.apache.kafka.server.share.dlq.ShareGroupDLQStateManager (KIP-1191): all text. The original
# record's own headers are not copied.
SHARE: Headers = [
    ("__dlq.errors.topic", b"orders"),
    ("__dlq.errors.partition", b"0"),
    ("__dlq.errors.offset", b"17"),
    ("__dlq.errors.group", b"share"),
    ("__dlq.errors.delivery.count", b"5"),
    ("__dlq.errors.message", b"Offset delivery count exceeded the threshold."),
]
# From getsentry/arroyo, arroyo/dlq.py and rust-arroyo/src/processing/dlq.rs: both append decimal text, no more.
# From spring-cloud/spring-cloud-stream, KafkaMessageChannelBinder: numbers by ByteBuffer's putInt and putLong, the rest
# text. tests/cases/letters/headers.json has the same, as a user would tell of them.
SPRING_BINDER: Headers = [
    ("x-original-topic", b"orders"),
    ("x-original-partition", struct.pack(">i", 1)),
    ("x-original-offset", struct.pack(">q", 7)),
    ("x-original-timestamp", struct.pack(">q", 1_769_860_800_000)),
    ("x-original-timestamp-type", b"CreateTime"),
    ("x-exception-fqcn", b"a.B"),
    ("x-exception-message", b"boom"),
    ("x-exception-stacktrace", b"at"),
]
# From smallrye/smallrye-reactive-messaging, KafkaDeadLetterQueue: all of it text.
SMALLRYE: Headers = [
    ("dead-letter-exception-class-name", b"jakarta.ejb.EJBException"),
    ("dead-letter-cause-class-name", b"java.lang.IllegalStateException"),
    ("dead-letter-reason", b"not today"),
    ("dead-letter-cause", b"closed"),
    ("dead-letter-topic", b"orders"),
    ("dead-letter-partition", b"2"),
    ("dead-letter-offset", b"40"),
]
ARROYO: Headers = [("original_partition", b"12"), ("original_offset", b"4096")]
SILTSTONE: Headers = [
    *SHARE,
    ("x-dlq-id", b"33f7bd83-c83e-5cb3-900d-fa9280a5351b"),
    ("x-dlq-reason", b"bad_json"),
    ("x-dlq-stage", b"decode"),
    ("x-dlq-exception", b"Refusal"),
    ("x-dlq-original-timestamp", b"1769860800000"),
    ("x-dlq-redrive-count", b"2"),
]

SAID: dict[str, tuple[Headers, dict[str, Any]]] = {
    "connect": (
        CONNECT,
        {
            "source": "connect",
            "topic": "orders",
            "partition": 3,
            "offset": 2**63 - 1,
            "stage": "VALUE_CONVERTER",
            "exception": "org.apache.kafka.connect.errors.DataException",
            "error": "not é\ufffd",
        },
    ),
    "spring": (
        SPRING,
        {
            "source": "spring",
            "topic": "orders",
            "partition": 7,
            "offset": 2**32,
            "timestamp": 1768773553152,
            "consumer_group": "billing",
            "exception": "java.lang.IllegalStateException",
            "error": "Listener failed; not today",
        },
    ),
    "spring-retry": (
        SPRING_RETRY,
        {
            "source": "spring",
            "topic": "orders",
            "partition": 0,
            "offset": 5,
            "timestamp": 1,
            "consumer_group": "billing",
            "exception": "java.lang.IllegalStateException",
            "error": "not today",
        },
    ),
    "spring-binder": (
        SPRING_BINDER,
        {
            "source": "spring-binder",
            "topic": "orders",
            "partition": 1,
            "offset": 7,
            "timestamp": 1_769_860_800_000,
            "exception": "a.B",
            "error": "boom",
        },
    ),
    "smallrye": (
        SMALLRYE,
        {
            "source": "smallrye",
            "topic": "orders",
            "partition": 2,
            "offset": 40,
            "exception": "java.lang.IllegalStateException",
            "error": "not today",
        },
    ),
    "streams": (
        STREAMS,
        {
            "source": "streams",
            "topic": "orders",
            "partition": 1,
            "offset": 0,
            "exception": "org.apache.kafka.common.errors.SerializationException",
            "error": "Size of data: 3",
        },
    ),
    "share-group": (
        SHARE,
        {
            "source": "share-group",
            "topic": "orders",
            "partition": 0,
            "offset": 17,
            "consumer_group": "share",
            "error": "Offset delivery count exceeded the threshold.",
        },
    ),
    "arroyo": (ARROYO, {"source": "arroyo", "partition": 12, "offset": 4096}),
    "siltstone": (
        SILTSTONE,
        {
            "source": "siltstone",
            "topic": "orders",
            "partition": 0,
            "offset": 17,
            "consumer_group": "share",
            "error": "Offset delivery count exceeded the threshold.",
            "reason": "bad_json",
            "stage": "decode",
            "exception": "Refusal",
            "timestamp": 1769860800000,
        },
    ),
    "nothing": ([], {}),
}


@pytest.mark.parametrize("name", SAID)
def test_a_letter_is_read_as_its_system_wrote_it(name: str) -> None:
    """Every field that the system writes, the others unknown; the record's own headers stay whole and in order."""
    headers, said = SAID[name]
    assert read([*OWN, *headers]) == ForeignLetter(OWN, **said)


def test_what_nothing_says_is_unknown() -> None:
    """No headers: 'unknown' for texts that may not be null, -1 for numbers, no exception."""
    assert read([]) == ([], "unknown", "unknown", -1, -1, "unknown", "unknown", "unknown", "unknown", None, -1)


@pytest.mark.parametrize(
    ("field", "header", "value"),
    [
        ("partition", "kafka_dlt-original-partition", b""),
        ("partition", "kafka_dlt-original-partition", b"7"),
        ("partition", "kafka_dlt-original-partition", b"\x00\x00\x07"),
        ("partition", "kafka_dlt-original-partition", b"\x00\x00\x00\x00\x00\x00\x00\x07"),
        ("partition", "kafka_dlt-original-partition", b"\xff\xff\xff\xff"),
        ("partition", "kafka_dlt-original-partition", b"1234"),
        ("partition", "kafka_dlt-original-partition", None),
        ("offset", "kafka_dlt-original-offset", b"\x00\x00\x00\x07"),
        ("offset", "kafka_dlt-original-offset", b"12345678"),
        ("offset", "kafka_dlt-original-offset", b"\x80\x00\x00\x00\x00\x00\x00\x00"),
        ("timestamp", "kafka_dlt-original-timestamp", b"\xff" * 8),
        ("topic", "kafka_dlt-original-topic", b""),
        ("topic", "kafka_dlt-original-topic", b"or ders"),
        ("topic", "kafka_dlt-original-topic", b"orders\n"),
        ("topic", "kafka_dlt-original-topic", b"\xff"),
        ("topic", "kafka_dlt-original-topic", b"x" * 250),
        ("error", "kafka_dlt-exception-message", b""),
        ("partition", "__connect.errors.partition", b"-1"),
        ("partition", "__connect.errors.partition", b"2147483648"),
        ("partition", "__connect.errors.partition", b"\x00\x00\x00\x07"),
        ("partition", "__connect.errors.partition", "٣".encode()),
        ("offset", "__connect.errors.offset", b"9223372036854775808"),
        ("offset", "__connect.errors.offset", b"1" * 5000),
        ("offset", "__connect.errors.offset", b" 1"),
        ("exception", "__streams.errors.exception", b"no class at all: x"),
        ("error", "__streams.errors.message", None),
        ("offset", "original_offset", b"0x10"),
        ("reason", "x-dlq-reason", b"because"),
    ],
)
def test_a_malformed_header_is_unknown(field: str, header: str, value: bytes | None) -> None:
    """The field is unknown, every other is as without the fault, and the header is none of the record's own."""
    headers, said = next(
        (headers, said) for headers, said in SAID.values() if header in dict(headers) and said.get("source")
    )
    broken = [(name, value if name == header else good) for name, good in headers]
    assert read([*OWN, *broken]) == ForeignLetter(OWN, **{name: good for name, good in said.items() if name != field})


def test_a_wrapped_exception_is_named_by_its_cause_or_by_itself() -> None:
    """Spring's cause when it is there, else the exception; that of the key when the value has none."""
    names = ("kafka_dlt-exception-cause-fqcn", "kafka_dlt-exception-fqcn", "kafka_dlt-key-exception-fqcn")
    found = [read([(name, name.encode()) for name in names[first:]]).exception for first in range(3)]
    assert found == list(names)


def test_the_last_of_several_headers_of_a_name_counts() -> None:
    """As Kafka's lastHeader(), also when the last cannot be read."""
    assert read([*CONNECT, ("__connect.errors.topic", b"later")]).topic == "later"
    assert read([*CONNECT, ("__connect.errors.topic", None)]).topic == "unknown"


@pytest.mark.parametrize(
    ("earlier", "later", "source"),
    [
        (SPRING, CONNECT, "connect"),
        (CONNECT, SPRING, "spring"),
        (ARROYO, STREAMS, "streams"),
        (SILTSTONE, ARROYO, "arroyo"),
        ([("x-dlq-id", b"1"), ("x-dlq-redrive-count", b"1")], CONNECT, "connect"),
    ],
)
def test_a_letter_that_was_another_system_s_before_is_the_last_one_s(
    earlier: Headers, later: Headers, source: str
) -> None:
    """Its system wrote its headers last; an earlier system's headers are the record's own, except ours."""
    said = read([*earlier, *later])
    assert said.source == source
    assert said.headers == form.own_headers(earlier)


def test_the_two_ways_of_spring_are_not_mixed() -> None:
    """Of a letter that retry topics made and another listener made again, only what the last one wrote is read."""
    said = read([*SPRING_RETRY, ("kafka_dlt-original-topic", b"orders-dlt")])
    assert (said.source, said.topic, said.offset, said.error) == ("spring", "orders-dlt", -1, "unknown")
    assert said.headers == []


@pytest.mark.parametrize(
    "headers",
    [
        [("original_offset", b"1")],
        [("original_partition", b"1")],
        [("kafka_dlt-original-consumer-group", b"g")],
        [("X__connect.errors.topic", b"t")],
    ],
)
def test_headers_that_may_be_anybody_s_name_no_system(headers: Headers) -> None:
    """Half of arroyo's two, a group alone, or a name that only holds another: unknown, and the record's own."""
    assert read(headers) == ForeignLetter(headers)


def test_headers_of_ours_that_are_no_letter_are_neither_read_nor_kept() -> None:
    """A record that a redrive sent carries an id and a count: what another system adds nothing to is unknown."""
    redriven: Headers = [
        ("a", b"1"),
        ("x-dlq-id", b"33f7bd83-c83e-5cb3-900d-fa9280a5351b"),
        ("x-dlq-redrive-count", b"1"),
    ]
    assert read(redriven) == ForeignLetter([("a", b"1")])


def test_a_long_error_is_cut() -> None:
    """At most 4 KiB, also when bytes that are no UTF-8 grow in the reading."""
    for value in (b"x" * 5000, b"\xff" * 5000, b"\0" * 4096):
        assert len(read([("__connect.errors.exception.message", value)]).error.encode()) <= form.MAX_MESSAGE_BYTES


def test_the_golden_numbers_are_java_s() -> None:
    """The bytes above are those of putInt and putLong."""
    spring = dict(SPRING)
    assert spring["kafka_dlt-original-partition"] == struct.pack(">i", 7)
    assert spring["kafka_dlt-original-offset"] == struct.pack(">q", 2**32)
    assert spring["kafka_dlt-original-timestamp"] == struct.pack(">q", 1768773553152)


def test_extra_topics_are_named_by_comma() -> None:
    """Each once, without the spaces around it; none by default; what can be no topic's name is refused."""
    named = load({"SILTSTONE_DLQ_EXTRA_TOPICS": " orders-dlt, sink.dlq ,,orders-dlt"})
    assert named.dlq_extra_topic_names == ["orders-dlt", "sink.dlq"]
    assert load({}).dlq_extra_topic_names == []
    with pytest.raises(InvalidSettings, match="SILTSTONE_DLQ_EXTRA_TOPICS"):
        load({"SILTSTONE_DLQ_EXTRA_TOPICS": "orders dlt"})


def test_letter_headers() -> None:
    """The names of the file's headers are all known: nothing of them stays with the record."""
    told = json.loads((CASES / "letters" / "headers.json").read_text())["spring-cloud-stream-binder"]
    assert [name for name, _ in SPRING_BINDER] == list(told)


@pytest.mark.parametrize(("partition", "offset"), [(b"1", b"7"), (b"1234", b"12345678")])
def test_the_binders_numbers_may_be_text(partition: bytes, offset: bytes) -> None:
    """As versions before 2.1 wrote them."""
    said = read([("x-original-partition", partition), ("x-original-offset", offset)])
    assert (said.partition, said.offset) == (int(partition), int(offset))
