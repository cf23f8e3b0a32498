"""What an event type is: one declaration from which decoding, schemas, routing and tables all come."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Any, Final, TypeVar, cast

import msgspec

from contracts.fields import Data


class Family(StrEnum):
    """The three families; each has a topic, a consumer group and its own consumers."""

    extraction = "extraction"
    execution = "execution"
    exception = "exception"


class Rank(IntEnum):
    """Which of two events of one time and sequence comes first (the order of events about one thing)."""

    FIRST = 0  # started, created, saved
    MIDDLE = 1
    LAST = 2  # completed, finished, deactivated, deleted


class _Time:
    """Stands for the event's own time in `implies`."""

    def __repr__(self) -> str:
        return "TIME"


TIME: Final = _Time()


@dataclass(frozen=True, eq=False)
class EventType:
    """One event type.

    `about` is the state whose id the subject is; `log` the table that keeps its one row.
    The fields of its data (or of `changes_field`, an object in it) become columns of that state when `merges`;
    absent ones become null when `replaces`; `fills` names those that only stand in until a real value comes.
    `implies` sets columns as if the event carried them; what it does carry wins.
    `also` names a second state that it changes.
    """

    name: str
    family: Family
    data: type[Data]
    log: str
    about: str
    rank: Rank = Rank.MIDDLE
    merges: bool = False
    replaces: bool = False
    fills: tuple[str, ...] = ()
    implies: Mapping[str, Any] = field(default_factory=dict)
    also: str | None = None
    changes_field: str | None = None
    changes: type[Data] | None = None

    @property
    def noun_verb(self) -> str:
        """`session.started` of `siltstone.session.started.v1`."""
        return self.name.removeprefix("siltstone.").rsplit(".", 1)[0]

    @cached_property
    def open_data(self) -> type[Data]:
        """The same type, open to unknown fields: what readers accept, and what the published schema says."""
        return opened(self.data)

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Data]:
        """For data alone; it leaves unknown fields to be found."""
        return msgspec.json.Decoder(self.open_data)

    @cached_property
    def changes_decoder(self) -> "msgspec.json.Decoder[Data] | None":
        """For the object in `changes_field`; unknown fields in it are kept with the object, in its column."""
        return None if self.changes is None else msgspec.json.Decoder(opened(self.changes))


def opened(data: type[Data]) -> type[Data]:
    """`data` with unknown fields ignored instead of refused."""
    opened_twin = msgspec.defstruct(
        data.__name__,
        [],
        bases=(data,),
        module=data.__module__,
        namespace={"__doc__": data.__doc__},
        forbid_unknown_fields=False,
        kw_only=True,
        gc=False,
    )
    return cast("type[Data]", opened_twin)


D = TypeVar("D", bound=type[Data])

REGISTRY: dict[str, EventType] = {}
"""Every event type by its full name, filled by the declarations of the three families."""


def event(noun_verb: str, family: Family, *, version: int = 1, **how: Any) -> Callable[[D], D]:
    """Declare the decorated struct as the data of `siltstone.<noun_verb>.v<version>`; `how` as in EventType."""

    def declare(data: D) -> D:
        name = f"siltstone.{noun_verb}.v{version}"
        if name in REGISTRY:
            raise ValueError(f"{name} is declared twice")
        REGISTRY[name] = EventType(name=name, family=family, data=data, **how)
        return data

    return declare
