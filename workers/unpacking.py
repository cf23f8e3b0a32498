"""A mend of aiokafka: a record with a header whose name is no UTF-8 is read, and so are those behind it.

aiokafka 0.14 decodes names strictly, whenever it comes to the batch: its partition would stand still for ever. A name
is bytes to the broker, and clients of other languages send any. Here a batch that cannot be read for it is read once
more by aiokafka's own parser in Python, and the bytes that are no UTF-8 become lone surrogates (PEP 383), which no
other name has: the record is then refused like any other that is bad.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_HEAD = Struct(">qi")  # base offset, and the length of what follows: the same in every format of Kafka's batches
_unpack = fetcher.PartitionRecords._unpack_records  # noqa: SLF001 - aiokafka has no other place for it


class Batches(MemoryRecords):  # type: ignore[misc] # aiokafka has no types
    """The batches of one fetch, which also gives the bytes of the one that was taken last."""

    def __init__(self, fetched: bytes) -> None:
        MemoryRecords.__init__(self, fetched)
        self._fetched = fetched
        self._taken = 0

    def next_batch(self) -> Any:
        self._taken += 1
        return MemoryRecords.next_batch(self)

    def last_taken(self) -> bytes:
        """The bytes of the last batch that next_batch() gave."""
        start = end = 0
        for _ in range(self._taken):
            start = end
            end += _HEAD.size + _HEAD.unpack_from(self._fetched, start)[1]
        return self._fetched[start:end]


class _Once:
    """One batch in the place of those of a fetch."""

    def __init__(self, batch: bytes) -> None:
        self._left = [_LenientBatch(batch)]

    def has_next(self) -> bool:
        return bool(self._left)

    def next_batch(self) -> Any:
        return self._left.pop()


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # aiokafka has no types
    """aiokafka's batch in Python; its buffer, from which names are decoded, is lenient once it is decompressed."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _Lenient(self._buffer)


class _Lenient(bytearray):
    """Bytes whose slices decode to UTF-8, and to a lone surrogate for each byte that is none."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Lenient(found) if isinstance(place, slice) else found

    def decode(self, *_: Any) -> str:
        return bytes(self).decode("utf-8", "surrogateescape")


def _unpack_leniently(self: Any) -> Iterator[Any]:
    """Every record once and in order, as before: what was given of a batch lies below next_fetch_offset."""
    batches = self._records
    while True:
        try:
            yield from _unpack(self)
        except UnicodeDecodeError:
            self._records = _Once(batches.last_taken())
            yield from _unpack(self)
            self._records = batches
        else:
            return


def mend() -> None:
    """Let every consumer of this process read such records; a second time changes nothing."""
    fetcher.MemoryRecords = Batches
    fetcher.PartitionRecords._unpack_records = _unpack_leniently  # noqa: SLF001
