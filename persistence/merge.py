"""The merge of events into states: one pure function over the declarations, nothing written by type.

`fold` turns events into one change a thing; `merge` turns two changes about one thing into one, and is
commutative, associative and has no identity of arrival in it: any order, any grouping, the same change.
persistence/state_sql.py says the same in SQL, for a change and the row that is there.
"""

from collections.abc import Iterable
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
    changes: dict[State, dict[Key, Change]] = {}
    for event in events:
        for effect in effects_of(event.type):
            subject = event.subject if effect.key == "subject" else getattr(event.data, effect.key)
            of_state = changes.setdefault(effect.state, {})
            key = (event.tenant_id, subject)
            change = of_state.get(key)
            if change is None:
                change = of_state[key] = Change({}, {})
            apply(change, event, effect)
    return changes


def apply(change: Change, event: Event, effect: Effect) -> None:
    """Merge what one event says into a change, in place."""
    others, time = change.others, event.time
    for name in effect.earliest:
        if time < others.setdefault(name, time):
            others[name] = time
    for name in effect.latest:
        if time > others.setdefault(name, time):
            others[name] = time
    for name in effect.counted:
        others[name] = others.get(name, 0) + 1
    if effect.fills:
        order = event.fill_order()
        for name in effect.fills:
            _put_last(change.lasts, name, order, getattr(event.data, name))
    if effect.fields or effect.implied_lasts:
        order = event.order()
        for name, value in _values(event, effect).items():
            _put_last(change.lasts, name, order, value)


def _values(event: Event, effect: Effect) -> dict[str, Any]:
    """The `last` columns that an event sets: implied ones, and over them what it carries."""
    values = {name: event.time if value is TIME else value for name, value in effect.implied_lasts}
    source = event.changed() if effect.key == "subject" else event.data
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
