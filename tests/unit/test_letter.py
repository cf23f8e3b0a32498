"""The form of a dead letter: its id, headers that a second trip replaces, and what its row is made of."""

import json
import time
import uuid
from base64 import b64encode

import pytest
from aiokafka import ConsumerRecord

from contracts import letter
from workers.letter_index import foreign_letter_of, letter_of


def test_a_redelivered_record_makes_the_same_letter() -> None:
    """The id is a UUIDv5 of topic, partition, offset, timestamp and value; any other of these gives another."""
    first = letter.letter_id("t", 1, 2, 3, b"v")
    assert first.version == 5
    assert first == letter.letter_id("t", 1, 2, 3, b"v")
    others = [
        ("u", 1, 2, 3, b"v"),
        ("t", 2, 2, 3, b"v"),
        ("t", 1, 3, 3, b"v"),
        ("t", 1, 2, 4, b"v"),
        ("t", 1, 2, 3, b"w"),
    ]
    assert len({first, *(letter.letter_id(*other) for other in others)}) == 6
    assert letter.letter_id("t", 1, 2, 3, None) != letter.letter_id("t", 1, 2, 3, b"")


def test_the_id_of_a_known_record_never_changes() -> None:
    """Letters made long ago keep their id."""
    assert letter.letter_id("siltstone.execution", 1, 2, 3, b"v") == uuid.UUID("33f7bd83-c83e-5cb3-900d-fa9280a5351b")


def test_a_second_trip_replaces_its_headers() -> None:
    """Headers of an earlier trip go, the record's own stay byte for byte and in order, and are never appended to."""
    own = [("a", b"\xff"), ("b", None), ("a", b"2")]
    once = letter.with_headers(own, {letter.ID: "1", letter.REASON: "bad_json", letter.TOPIC: "t"})
    twice = letter.with_headers(once, {letter.ID: "2"})
    assert once == [*own, (letter.ID, b"1"), (letter.REASON, b"bad_json"), (letter.TOPIC, b"t")]
    assert twice == [*own, (letter.ID, b"2")]
    assert letter.own_headers(twice) == own


def test_a_name_that_is_no_utf8_is_escaped_and_kept() -> None:
    """Its bytes lie in a header of ours by its number among the record's own; a second trip replaces that as well."""
    name = b"a\xff\xc3\xa9\xc3"
    headers = [("x-dlq-id", b"forged"), ("é", b"1"), (name.decode("utf-8", "surrogateescape"), b"\xff"), ("b", None)]
    once = letter.with_headers(headers, {letter.ID: "1"})
    own = [("é", b"1"), ("a\\xffé\\xc3", b"\xff"), ("b", None)]
    assert once == [
        *own,
        (letter.ID, b"1"),
        (letter.HEADER_NAMES, json.dumps({"2": b64encode(name).decode()}).encode()),
    ]
    assert letter.own_headers(once) == own
    assert letter.with_headers(once, {letter.ID: "2"}) == [*own, (letter.ID, b"2")]


def test_a_foreign_letter_with_such_a_name_is_indexed() -> None:
    """The name is escaped in the index; a record of another system's topic may have any."""
    headers = (("\udcff\0", b"1"), ("__connect.errors.topic", b"t"))
    record = ConsumerRecord("theirs", 0, 7, 0, 0, None, b"{}", None, -1, -1, headers)
    assert foreign_letter_of(record).header_names == ["\\xff\ufffd"]
    forged = letter_of("dlq.t", 0, 7, None, b"{}", [*headers, ("x-dlq-\udcff", b""), (letter.ID, b"x")])
    assert forged.header_names == ["\\xff\ufffd", "__connect.errors.topic"]


def test_a_text_is_cut_at_4_kib_of_utf_8() -> None:
    """At most 4,096 bytes, never half a character; a lone surrogate is written as an escape."""
    assert letter.cut("x" * 5000) == "x" * 4096
    assert letter.cut("é" * 5000) == "é" * 2048
    assert letter.cut("x" + "é" * 5000) == "x" + "é" * 2047
    assert letter.cut("\ud800") == "\\ud800"


@pytest.mark.parametrize("number", ["2147483648", "-2147483648", "9999999999999999999", "1_0", "٣"])
def test_numbers_that_no_column_holds_are_not_taken(number: str) -> None:
    """A forged header with one changes nothing else: the letter is indexed, and the consumer does not stop for it."""
    names = (letter.PARTITION, letter.REDRIVE_COUNT)
    made = letter_of("dlq.t", 3, 4, None, b"{}", [(letter.ID, b"x"), *((name, number.encode()) for name in names)])
    assert (made.topic, made.partition, made.redrive_count) == ("t", 3, 0)


@pytest.mark.parametrize(("timestamp", "is_taken"), [(1_769_860_800_000, True), (0, True), (-1, False), (2**60, False)])
def test_a_foreign_letter_failed_when_it_was_written(timestamp: int, is_taken: bool) -> None:  # noqa: FBT001 - a table
    """Its record's own time, also on every later reading; now, when that is none or lies ahead."""
    record = ConsumerRecord("theirs", 0, 7, timestamp, 0, None, b"{}", None, -1, -1, ())
    began = time.time()
    failed_at = foreign_letter_of(record).failed_at.timestamp()
    assert (failed_at == timestamp / 1000) is is_taken
    assert is_taken or began - 1 < failed_at <= time.time()
