"""What becomes of every part of an input: stored, refused, left out by kind, or stored without a value of it.

An importer accounts for its input. What it makes no event of is a Word, so that nothing goes missing unsaid. "Not
there" and "not understood" are two things: a reader of values raises NotUnderstood for what is there and cannot be
read, and Part tells the two apart.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from producers.storable import clean, cut, shortened
from producers.values import NotUnderstood, instant, text

MAX_SHOWN = 200  # characters of a value that is named
MAX_KEPT = 4_096  # of one that is kept beside what was read

T = TypeVar("T")


class Unplaced(Exception):
    """A part states when it began, and that cannot be read: it has no place in time. The message says so."""


class Refused(NamedTuple):
    """A part of which nothing is stored: what names it there, and why. The input is not whole."""

    item: str
    reason: str

    def __str__(self) -> str:
        return f"{self.item}: {self.reason}"


class Remark(NamedTuple):
    """A part that is stored, and what of it could not be read as it stands. Its text is kept beside it."""

    item: str
    name: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.item}: {self.name} {self.value!r} {self.reason}"


class LeftOut(NamedTuple):
    """Parts of a kind that no event is made of, and how many; they are accounted for by that."""

    kind: str
    number: int = 1

    def __str__(self) -> str:
        return f"left out: {self.kind}, {self.number}"


class Differs(NamedTuple):
    """A number that the input states of itself, and what was found in it. The input is not whole."""

    item: str
    what: str
    stated: int
    found: int

    def __str__(self) -> str:
        return f"{self.item}: it states {self.stated} {self.what}, and {self.found} were found in it"


Word = Refused | Remark | LeftOut | Differs


class Part:
    """One part of an input, whose values are read one by one. `words` is what is said of it, in order.

    `kept` holds, by name, the text of each value that was not understood, to be stored beside what was.
    """

    def __init__(self, item: str, words: list[Word] | None = None) -> None:
        self.item = item
        self.words: list[Word] = [] if words is None else words
        self.kept: dict[str, str] = {}

    def read(self, name: str, value: Any, reader: Callable[[Any], T]) -> T | None:
        """None where the value is absent, or blank; the same with a Remark where the reader does not understand it."""
        if _is_absent(value):
            return None
        try:
            return reader(value)
        except NotUnderstood as error:
            self.remark(name, value, f"is {error}")
            return None

    def began(
        self, name: str, value: Any, start: datetime | None, reader: Callable[[Any], datetime] = instant
    ) -> datetime | None:
        """When the part began, by what it states; None where it states nothing, or where `start` is to stand for it.

        Raises Unplaced for what cannot be read, without a start: a wrong date would hide it among other times.
        """
        if _is_absent(value):
            return None
        try:
            return reader(value)
        except NotUnderstood as error:
            if start is None:
                said = _plain(value)[:100]
                raise Unplaced(f"its {name} {said!r} is {error}; mend it, or say by --start when it began") from None
            self.remark(name, value, f"is {error}; --start stands for it")
            return None

    def text(self, name: str, value: Any, most: int) -> str | None:
        """A text of at most so many characters; one that is longer is cut, with a Remark."""
        whole = self.read(name, value, text)
        if whole is not None and len(whole) > most:
            self.words.append(Remark(self.item, name, _shown(whole), f"is cut: {most} of {len(whole)} characters fit"))
            return whole[:most]
        return whole

    def long_text(self, name: str, value: str | None, max_bytes: int) -> str | None:
        """A text of at most so many bytes as ASCII JSON; one that is longer is cut, with a Remark. None for a blank."""
        if not value or not value.strip():
            return None
        kept = cut(clean(value), max_bytes)
        if len(kept) < len(value):
            self.words.append(
                Remark(self.item, name, _shown(value), f"is cut: {len(kept)} of {len(value)} characters fit")
            )
        return kept

    def json(self, name: str, value: Any, max_bytes: int) -> Any:
        """Any JSON, made storable; a Remark when something of it is cut or left out."""
        kept, said = shortened(value, max_bytes)
        for lost in said:
            self.words.append(Remark(self.item, name, _shown(lost), "is too large to be kept whole"))
        return kept

    def remark(self, name: str, value: Any, reason: str) -> None:
        """Say that a value was not understood, and keep its text; a second of one name as `name#2`."""
        again = sum(1 for known in self.kept if known.partition("#")[0] == name)
        self.kept[f"{name}#{again + 1}" if again else name] = cut(_plain(value), MAX_KEPT)
        self.words.append(Remark(self.item, name, _shown(value), reason))

    def beside(self) -> dict[str, Any]:
        """`kept` as a member of an event's data, which the row keeps in its `rest`; empty when there is none."""
        return {"not_understood": self.kept} if self.kept else {}


class Tally:
    """How many parts of each kind were left out; said once for each kind, at the end."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, kind: str, count: int = 1) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + count

    def words(self) -> Iterator[LeftOut]:
        """In the order in which the kinds were met."""
        for kind, count in self._counts.items():
            if count:
                yield LeftOut(kind, count)


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _plain(value: Any) -> str:
    return clean(value if isinstance(value, str) else str(value))


def _shown(value: Any) -> str:
    text = _plain(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
