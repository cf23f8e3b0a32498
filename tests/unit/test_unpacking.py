"""Batches of records whose headers have any name: each record is given once, in order, whatever its names are."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from workers import unpacking

unpacking.mend()

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
READ_COMMITTED = 1
CONTROL = 0x20
BAD = b"\xff\xc3"
SHOWN = "\udcff\udcc3"
PRODUCER = 7


class Named(str):
    """The name of a header, of any bytes."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: Any) -> bytes:
        return self.raw


def named(raw: bytes) -> Named:
    """A name of these bytes."""
    name = Named()
    name.raw = raw
    return name


def batch(
    first: int, names: Sequence[bytes], codec: str = "none", *, producer: int = -1, is_transactional: bool = False
) -> bytes:
    """A record for each name from offset `first` on, with a header of this name between two others."""
    builder = _DefaultRecordBatchBuilderPy(2, CODECS[codec], is_transactional, producer, 0, 0, 1 << 20)
    for place, name in enumerate(names):
        headers: list[Any] = [("é", b"1"), (named(name), b"\xfe" * 50), ("z", None)]
        builder.append(place, 1_000 + place, b"k%d" % (first + place), b"v" * 50, headers)
    return placed(builder, first)


def marker(at: int, producer: int) -> bytes:
    """What ends an aborted transaction of a producer."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, 1, producer, 0, 0, 1 << 20)
    builder.append(0, 1_000, b"\0\0\0\0", b"", [])
    builder._get_attributes = lambda _: CONTROL | builder.TRANSACTIONAL_MASK
    return placed(builder, at)


def placed(builder: Any, first: int) -> bytes:
    """The batch as a broker keeps it: the offset at its start is under no checksum."""
    return first.to_bytes(8, "big") + bytes(builder.build())[8:]


def unpacked(fetched: bytes, at: int = 0, aborted: Sequence[tuple[int, int]] = ()) -> Any:
    """What a consumer gets of a fetch from offset `at`."""
    place = TopicPartition("t", 3)
    return fetcher.PartitionRecords(
        place, fetcher.MemoryRecords(fetched), list(aborted), at, None, None, True, READ_COMMITTED
    )


def names_of(records: Any) -> dict[int, str]:
    """The name in the middle, by offset; fails when a record comes twice or out of order."""
    got = [(record.offset, record.headers[1][0]) for record in records]
    assert [offset for offset, _ in got] == sorted({offset for offset, _ in got})
    return dict(got)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("bad", [{0}, {2}, {4}, {1, 3}, set(range(5))])
def test_a_batch_gives_each_record_once_and_in_order(codec: str, bad: set[int]) -> None:
    """Records before, at and behind a name that is no UTF-8 are given, and so are the batches around theirs (G4)."""
    good = [b"ok"] * 5
    names = [BAD if place in bad else b"\xc3\xa9" for place in range(5)]
    records = unpacked(batch(0, good, codec) + batch(5, names, codec) + batch(10, names, codec) + batch(15, good))
    expected = dict.fromkeys((*range(5), *range(15, 20)), "ok")
    expected |= {first + place: SHOWN if place in bad else "é" for first in (5, 10) for place in range(5)}
    assert names_of(records) == dict(sorted(expected.items()))
    assert records.next_fetch_offset == 20


def test_all_else_of_such_a_record_is_as_before() -> None:
    """Place, time, key, value and the values of headers are those that were sent."""
    bad, good = unpacked(batch(8, [BAD, b"ok"], "zstd"), 8)
    for offset, record in ((8, bad), (9, good)):
        assert (record.topic, record.partition, record.offset) == ("t", 3, offset)
        assert (record.timestamp, record.key, record.value) == (992 + offset, b"k%d" % offset, b"v" * 50)
    assert bad.headers == (("é", b"1"), (SHOWN, b"\xfe" * 50), ("z", None))
    assert good.headers == (("é", b"1"), ("ok", b"\xfe" * 50), ("z", None))


@pytest.mark.parametrize("at", [5, 6, 7, 9])
def test_a_fetch_from_the_middle_of_a_batch_begins_there(at: int) -> None:
    """What lies below the offset that was asked for is not given, whichever side of it the bad name is on."""
    fetched = batch(5, [b"ok", BAD, b"ok", b"ok", b"ok"], "lz4") + batch(10, [BAD])
    assert list(names_of(unpacked(fetched, at))) == list(range(at, 11))


def test_a_poll_may_end_within_such_a_batch() -> None:
    """The next poll goes on behind the last record that was given."""
    records = unpacked(batch(0, [b"ok", BAD, b"ok", BAD, b"ok"]))
    for taken in range(1, 6):
        assert [record.offset for record in islice(records, 1)] == [taken - 1]
        assert records.next_fetch_offset == taken
    assert next(records, None) is None


def test_what_was_aborted_stays_out() -> None:
    """Of two transactions of one producer with such names the aborted one is left out, as are both of their marks."""
    aborted = batch(0, [b"ok", BAD], producer=PRODUCER, is_transactional=True) + marker(2, PRODUCER)
    committed = batch(3, [b"ok", BAD], producer=PRODUCER, is_transactional=True)
    other = batch(5, [BAD], producer=PRODUCER + 1, is_transactional=True)
    records = unpacked(aborted + committed + other + marker(6, PRODUCER + 1), aborted=[(PRODUCER, 0)])
    assert list(names_of(records)) == [3, 4, 5]
    assert records.next_fetch_offset == 7


def test_a_damaged_batch_is_refused_as_before() -> None:
    """A checksum that is wrong raises, also where a name is no UTF-8; nothing of that batch is given."""
    damaged = bytearray(batch(1, [b"ok", BAD]))
    damaged[-3] ^= 1
    records = unpacked(batch(0, [b"ok"]) + bytes(damaged))
    assert next(records).offset == 0
    with pytest.raises(CorruptRecordException):
        next(records)
    assert records.next_fetch_offset == 1
