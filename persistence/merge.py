"""The merge of events into states: one pure function over the declarations, nothing written by type.

`fold` turns events into one change a thing; `merge` turns two changes about one thing into one, and is
commutative, associative and has no identity of arrival in it: any order, any grouping, the same change.
persistence/state_sql.py says the same in SQL, for a change and the row that is there.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from msgspec import UNSET, Struct

from contracts.event import Event
from contracts.event_type import TIME, EventType
from contracts.fields import kinds_of
from persistence.states import STATE_BY_NAME, Rule, State

Key = tuple[str, str]


class Change(Struct, gc=False):
    """What some events say of one thing: for each `last` column its order and value, and the other columns."""

    lasts: dict[str, tuple[bytes, Any]]
    others: dict[str, Any]


class Effect(NamedTuple):
    """What one event type does to one state, worked out once from the declarations."""

    state: State
    key: str  # the attribute of the event or of its data that is the state's key
    fields: tuple[str, ...]
    replaces: bool
    fills: tuple[str, ...]
    implied_lasts: tuple[tuple[str, Any], ...]
    earliest: tuple[str, ...]  # min columns that take this event's time
    latest: tuple[str, ...]  # max columns that take it
    counted: tuple[str, ...]


@cache
def effects_of(kind: EventType) -> tuple[Effect, ...]:
    """The effects of an event type, in the order in which states are written."""
    states = [STATE_BY_NAME[kind.about]] + ([STATE_BY_NAME[kind.also]] if kind.also else [])
    return tuple(_effect(kind, state) for state in states)


def _effect(kind: EventType, state: State) -> Effect:
    is_subject = state.name == kind.about
    carried = kinds_of(kind.changes or kind.data)
    implied = kind.implies if is_subject else {}
    return Effect(
        state=state,
        key="subject" if is_subject else state.key,
        fields=tuple(c.name for c in state.lasts if c.name in carried) if kind.merges or not is_subject else (),
        replaces=kind.replaces,
        fills=kind.fills if is_subject else (),
        implied_lasts=tuple((n, v) for n, v in implied.items() if state.by_name[n].rule is Rule.last),
        earliest=tuple(c.name for c in state.columns if c.rule is Rule.min and (c.every or c.name in implied)),
        latest=tuple(c.name for c in state.columns if c.rule is Rule.max and (c.every or c.name in implied)),
        counted=tuple(c.name for c in state.columns if c.rule is Rule.count and (not c.of or kind.noun_verb in c.of)),
    )


def fold(events: Iterable[Event]) -> dict[State, dict[Key, Change]]:
    """The changes that `events` make, by state and key; each event must occur once."""
    of_type: dict[EventType, list[Event]] = {}
    for event in events:
        of_type.setdefault(event.type, []).append(event)
    changes: dict[State, dict[Key, Change]] = {}
    for kind, of_kind in of_type.items():
        for effect in effects_of(kind):
            of_state = changes.setdefault(effect.state, {})
            for key, about_one in _by_key(of_kind, effect.key).items():
                change = of_state.get(key)
                if change is None:
                    change = of_state[key] = Change({}, {})
                apply(change, about_one, effect)
    return changes


def _by_key(events: Iterable[Event], attribute: str) -> dict[Key, list[Event]]:
    """The events of one type about each thing."""
    found: dict[Key, list[Event]] = {}
    if attribute == "subject":
        for event in events:
            found.setdefault((event.tenant_id, event.subject), []).append(event)
    else:
        for event in events:
            found.setdefault((event.tenant_id, getattr(event.data, attribute)), []).append(event)
    return found


def apply(change: Change, events: Sequence[Event], effect: Effect) -> None:
    """Merge what some events of one type say about one thing into a change, in place."""
    lasts, others = change.lasts, change.others
    times = [event.time for event in events]
    for name in effect.earliest:
        _put_other(others, name, Rule.min, min(times))
    for name in effect.latest:
        _put_other(others, name, Rule.max, max(times))
    for name in effect.counted:
        _put_other(others, name, Rule.count, len(events))
    if effect.fills:
        newest = events[0] if len(events) == 1 else _newest(events)
        order = newest.fill_order()
        for name in effect.fills:
            _put_last(lasts, name, order, getattr(newest.data, name))
    if effect.fields or effect.implied_lasts:
        for event in events:
            order = event.order()
            for name, value in _values(event, effect).items():
                _put_last(lasts, name, order, value)


def _newest(events: Sequence[Event]) -> Event:
    """The last in order; its key is worked out only where times are equal."""
    time_us = max(event.time_us for event in events)
    return max((event for event in events if event.time_us == time_us), key=Event.order)


def _values(event: Event, effect: Effect) -> dict[str, Any]:
    """The `last` columns that an event sets: implied ones, and over them what it carries."""
    values = {name: event.time if value is TIME else value for name, value in effect.implied_lasts}
    source = event.changed if effect.key == "subject" else event.data
    for name in effect.fields:
        value = getattr(source, name)
        if value is not UNSET:
            values[name] = value
        elif effect.replaces:
            values[name] = None
    return values


def merge(one: Change, other: Change, state: State) -> Change:
    """What both changes say together."""
    merged = Change(dict(one.lasts), dict(one.others))
    for name, (order, value) in other.lasts.items():
        _put_last(merged.lasts, name, order, value)
    for name, value in other.others.items():
        _put_other(merged.others, name, state.by_name[name].rule, value)
    return merged


def _put_last(lasts: dict[str, tuple[bytes, Any]], name: str, order: bytes, value: object) -> None:
    known = lasts.get(name)
    if known is None or order > known[0]:
        lasts[name] = (order, value)


def _put_other(others: dict[str, Any], name: str, rule: Rule, value: Any) -> None:
    known = others.get(name)
    if known is None:
        others[name] = value
    elif rule is Rule.count:
        others[name] = known + value
    elif (value < known) if rule is Rule.min else (value > known):
        others[name] = value
