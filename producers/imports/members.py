"""The members of one JSON object, taken one by one; what nobody takes is left, and kept under its own name."""

from collections.abc import Callable
from typing import Any, TypeVar

from producers.account import Part
from producers.imports.imported import MAX_JSON_BYTES, MAX_NAME
from producers.storable import clean

T = TypeVar("T")


class Members:
    """`left` are those that nobody took. Several names are other spellings of one: the first that is there counts."""

    def __init__(self, members: dict[str, Any], part: Part) -> None:
        self.left = dict(members)
        self.part = part

    def take(self, *names: str) -> Any:
        """The first of these that is there and not null; the others stay."""
        return self._named(names)[1]

    def read(self, reader: Callable[[Any], T], *names: str) -> T | None:
        """The same, read; None with a Remark when the reader does not understand it."""
        name, value = self._named(names)
        return self.part.read(name, value, reader)

    def text(self, most: int, *names: str) -> str | None:
        """The same, as a text of at most so many characters."""
        name, value = self._named(names)
        return self.part.text(name, value, most)

    def json(self, max_bytes: int, *names: str) -> Any:
        """The same, as storable JSON."""
        name, value = self._named(names)
        return None if value is None else self.part.json(name, value, max_bytes)

    def object(self, *names: str) -> dict[str, Any]:
        """The same, where it is an object; an empty one, with a Remark when it is something else."""
        name, value = self._named(names)
        if value is not None and not isinstance(value, dict):
            self.part.remark(name, value, "is not an object")
        return value if isinstance(value, dict) else {}

    def list(self, *names: str) -> list[Any]:
        """The same, where it is a list; an empty one, with a Remark when it is something else."""
        name, value = self._named(names)
        if value is not None and not isinstance(value, list):
            self.part.remark(name, value, "is not a list")
        return value if isinstance(value, list) else []

    def rest(self, *taken: str) -> dict[str, Any]:
        """What is left, under names that are no field's, and the texts of what was not understood."""
        kept = {
            clean(name)[:MAX_NAME]: self.part.json(name, value, MAX_JSON_BYTES // 4)
            for name, value in self.left.items()
            if name not in taken
        }
        return kept | self.part.beside()

    def _named(self, names: tuple[str, ...]) -> tuple[str, Any]:
        for name in names:
            if self.left.get(name) is not None:
                return name, self.left.pop(name)
        return names[0], None
