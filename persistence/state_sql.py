"""The one statement that merges a batch's changes into a state table, under each row's lock.

`INSERT … ON CONFLICT DO UPDATE` sees the newest committed row, so two writers of one new thing both count. The
changes come as one JSON text, keys in order, so that two writers lock rows in the same order. Only the columns
that the batch touches are named: a batch of extractions merges three columns of `session`, not twenty.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from persistence.columns import sql_name
from persistence.merge import Change, Key
from persistence.states import Rule, State

_encode = msgspec.json.Encoder(enc_hook=str, decimal_format="string").encode


def upsert(state: State, changes: Mapping[Key, Change]) -> tuple[str, str]:
    """The statement and its one argument: the changes as a JSON array."""
    lasts: set[str] = set()
    others: set[str] = set()
    for change in changes.values():
        lasts.update(change.lasts)
        others.update(change.others)
    columns = tuple(c.name for c in state.columns if c.name in lasts or c.name in others)
    clocked = tuple(c for c in columns if c in lasts)
    rows = []
    for key in sorted(changes):
        change = changes[key]
        row: dict[str, Any] = {"tenant_id": key[0], state.key: key[1]}
        for name, value in change.others.items():
            row[name] = _in_utc(value)
        clock: list[str | None] = []
        for name in clocked:
            order_and_value = change.lasts.get(name)
            if order_and_value is None:
                clock.append(None)
            else:
                clock.append("\\x" + order_and_value[0].hex())
                row[name] = _in_utc(order_and_value[1])
        row["clock"] = clock
        rows.append(row)
    return statement(state, columns), _encode(rows).decode()


def _in_utc(value: Any) -> Any:
    """Postgres reads no text of an instant whose offset is above 15:59; RFC 3339 has offsets up to 23:59."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not UTC else value


@lru_cache(maxsize=512)
def statement(state: State, columns: tuple[str, ...]) -> str:
    """The upsert that names `columns` (a part of the state's, in its order) and the clock."""
    touched = [state.by_name[c] for c in columns]
    lasts = [c for c in touched if c.rule is Rule.last]
    place = {c.name: i for i, c in enumerate(state.lasts, 1)}
    given = {c.name: i for i, c in enumerate(lasts, 1)}
    typed = ", ".join(f"{_q(c.name)} {sql_name(c.kind)}" for c in touched)
    inserted = ", ".join(f"coalesce(d.{_q(c.name)}, 0)" if c.rule is Rule.count else f"d.{_q(c.name)}" for c in touched)
    clock = ", ".join(f"d.clock[{given[c.name]}]" if c.name in given else "NULL" for c in state.lasts)
    sets = [f"{_q(c.name)} = {_merged(c.name, c.rule, place.get(c.name))}" for c in touched]
    if lasts:
        newer = ", ".join(
            f"greatest(s.clock[{place[c.name]}], excluded.clock[{place[c.name]}])"
            if c.name in given
            else f"s.clock[{place[c.name]}]"
            for c in state.lasts
        )
        sets.append(f"clock = ARRAY[{newer}]")
    names = ", ".join(_q(c.name) for c in touched)
    return (
        f"INSERT INTO {state.name} AS s (tenant_id, {state.key}, {names}, clock)\n"
        f"SELECT d.tenant_id, d.{state.key}, {inserted}, ARRAY[{clock}]::bytea[]\n"
        f"FROM json_to_recordset($1::text::json) AS d(tenant_id text, {state.key} text, {typed}, clock bytea[])\n"
        f"ON CONFLICT (tenant_id, {state.key}) DO UPDATE SET\n  " + ",\n  ".join(sets)
    )


def _merged(name: str, rule: Rule, place: int | None) -> str:
    """How the row's value and the change's become one, in SQL; the same as persistence.merge in Python."""
    column = _q(name)
    match rule:
        case Rule.last:
            is_newer = f"excluded.clock[{place}] > coalesce(s.clock[{place}], '')"
            return f"CASE WHEN {is_newer} THEN excluded.{column} ELSE s.{column} END"
        case Rule.count:
            return f"s.{column} + excluded.{column}"
        case Rule.min:
            return f"least(s.{column}, excluded.{column})"
        case Rule.max:
            return f"greatest(s.{column}, excluded.{column})"


def _q(name: str) -> str:
    """A column's name, quoted: `type` and `domain` are words of SQL."""
    return f'"{name}"'
