"""What `siltstone verify` found: discrepancies by partition and range of offsets, and totals by topic."""

from collections.abc import Callable
from dataclasses import dataclass, field

from persistence.accounting import Kind, Member, Segment

# As plain numbers: the flags of an enum are slow where every segment passes.
_CHECKED = ~int(Member.LETTER | Member.RETIRED)
_STORED = int(Member.STORED | Member.OTHER_STORED)
_DUPLICATE, _REFUSED, _INVISIBLE = int(Member.DUPLICATE), int(Member.REFUSED), int(Member.INVISIBLE)

MEANING = {
    Kind.unaccounted: "a record that can be read was committed over, and is neither stored, a duplicate nor a letter",
    Kind.lost: "Kafka removed it before a worker read it: its retention is shorter than the workers' outage",
    Kind.missing_row: "the ledger has it as stored, but no log has its row",
    Kind.unledgered_row: "a log has its row, but the ledger does not have it as stored",
    Kind.missing_letter: "it was refused, but its letter is neither in the index nor in the dead-letter topic",
    Kind.beyond_end: "it was settled or committed, but its partition ends below it: the topic was made anew, or the "
    "group's offset was set beyond the end",
}


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """The offsets [first, after) of a partition, and what is wrong with them."""

    topic: str
    partition: int
    first: int
    after: int
    kind: Kind


@dataclass(slots=True)
class Totals:
    """Counts of offsets of a topic. Each is counted once: as stored, else duplicate, else refused, else invisible."""

    topic: str
    partitions: set[int] = field(default_factory=set)
    checked: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: int = 0
    invisible: int = 0
    lost: int = 0
    discrepancies: int = 0

    def count(self, segment: Segment) -> None:
        """Add a segment."""
        size, members = segment.after - segment.first, segment.members
        self.partitions.add(segment.partition)
        if members & _CHECKED:
            self.checked += size
        if members & _STORED:
            self.stored += size
        elif members & _DUPLICATE:
            self.duplicate += size
        elif members & _REFUSED:
            self.refused += size
        elif members & _INVISIBLE:
            self.invisible += size


class Report:
    """Discrepancies, joined where they touch and passed on as soon as they are whole; and the totals."""

    def __init__(self, found: Callable[[Discrepancy], None]) -> None:
        self._found = found
        self._open: dict[Kind, Discrepancy] = {}
        self.totals: dict[str, Totals] = {}

    def of(self, topic: str) -> Totals:
        """The totals of a topic."""
        return self.totals.setdefault(topic, Totals(topic))

    def add(self, topic: str, partition: int, first: int, after: int, kind: Kind) -> None:
        """Note a discrepancy; those of one kind and partition come in the order of their offsets."""
        totals = self.of(topic)
        if kind is Kind.lost:
            totals.lost += after - first
        else:
            totals.discrepancies += after - first
        if (before := self._open.get(kind)) is not None:
            if (before.topic, before.partition, before.after) == (topic, partition, first):
                first = before.first
            else:
                self._found(before)
        self._open[kind] = Discrepancy(topic, partition, first, after, kind)

    def close_partition(self) -> None:
        """Pass on what is open."""
        for discrepancy in sorted(self._open.values(), key=lambda d: (d.first, d.kind)):
            self._found(discrepancy)
        self._open.clear()
