"""What the transaction takes and gives: decoded events with where they came from, and what became of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from contracts.event import Event
from contracts.record import Record
from persistence.logs import Row, row_of
from persistence.offsets import Spans


class Redriven(NamedTuple):
    """A dead letter's id and the count of its redrive, as the index confirmed them."""

    letter_id: str
    redrive_count: int


class Arrived(Struct, gc=False):
    """One event, the record that brought it, and the row that it makes in its log.

    `letter` is the dead letter it was redriven from, if any.
    """

    event: Event
    record: Record
    row: Row
    letter: Redriven | None = None


def arrived(event: Event, record: Record) -> Arrived:
    """The event of a record, ready to be stored."""
    return Arrived(event, record, row_of(event, record))


@dataclass(slots=True)
class Ledger:
    """One ledger row: what became of a partition's offsets in one batch."""

    topic: str
    partition: int
    stored: list[int] = field(default_factory=list)
    duplicate: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    invisible: Spans = field(default_factory=list)


class Stored(NamedTuple):
    """What the transaction did: how many events made rows, how many were duplicates of stored ones."""

    stored: int
    duplicate: int


@dataclass(frozen=True, slots=True)
class Unit:
    """What one transaction settles: a batch's events, and the ledger rows of its partitions.

    `ledgers` come with `refused` and `invisible` filled in; the transaction adds `stored` and `duplicate`.
    """

    arrived: Sequence[Arrived]
    ledgers: dict[tuple[str, int], Ledger]
    group: str
    worker: str
