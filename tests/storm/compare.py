"""Every cell of every log and state, and every dead letter, against the model of what they must be."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import asyncpg

from tests.storm.model import Model, Number, Place, Row, digest, read_json
from tests.storm.words import LOG_COLUMNS, STATE_COLUMNS

K = TypeVar("K", bytes, tuple[str, str])
V = TypeVar("V")
Cells = list[tuple[str, Any, Any]]  # column, expected, found

PREFETCH = 1_000  # rows that a cursor fetches at a time
LONGEST = 120  # characters of a value that a line shows
LEFT_OUT = {"kafka_topic", "kafka_partition", "kafka_offset", "ingested_at", "clock"}

LETTERS = """
SELECT coalesce(t.topic, l.topic) AS topic, coalesce(t.partition, l.partition) AS partition,
  coalesce(t."offset", l."offset") AS "offset",
  l.reason, l.status, l.key, l.value, l.header_names, l.header_values
FROM dead_letter AS l LEFT JOIN dead_letter_trip AS t ON t.dead_letter_id = l.id AND t.redrive_count = 0
ORDER BY 1, 2, 3
"""
"""Each letter at the record that made it: its own columns follow what a redrive sent back."""


class Found:
    """The differences: the first ones as lines, the others counted by table."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: list[str] = []
        self._more: Counter[str] = Counter()

    def add(self, table: str, key: object, what: str) -> None:
        """Note one difference."""
        if len(self._lines) < self._limit:
            self._lines.append(f"{table} {key}: {what}")
        else:
            self._more[table] += 1

    def add_cells(self, table: str, key: object, cells: Cells) -> None:
        """Note the cells of a row that differ."""
        for column, expected, found in cells:
            self.add(table, key, f"{column} is {_short(found)}, expected {_short(expected)}")

    def lines(self) -> list[str]:
        """One line each; a last one for those beyond the limit."""
        more = ", ".join(f"{count} of {table}" for table, count in sorted(self._more.items()))
        return [*self._lines, *([f"and {more}"] if more else [])]


async def differences(dsn: str, model: Model, limit: int = 20) -> list[str]:
    """What of the tables is not as the model says, a line each, `limit` of them and one that counts the others.

    Empty when all is equal. It reads one snapshot; `dsn` is a login that sees every row. The logs go first: they tell
    the model which of several contents of one event was stored.
    """
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await differences_seen(connection, model, limit)
    finally:
        await connection.close()


async def differences_seen(connection: asyncpg.Connection, model: Model, limit: int = 20) -> list[str]:
    """The same, as the caller's transaction sees the tables."""
    found = Found(limit)
    for log in LOG_COLUMNS:
        await _compare_log(connection, model, log, found)
    for state in STATE_COLUMNS:
        await _compare_state(connection, model, state, found)
    await _compare_letters(connection, model, found)
    return found.lines()


async def _compare_log(connection: asyncpg.Connection, model: Model, log: str, found: Found) -> None:
    table = await _Table.of(connection, f"SELECT * FROM {log} ORDER BY event_uid", log)  # noqa: S608 - a table's name
    table.check(LOG_COLUMNS[log], found)
    rows = ((row["event_uid"].bytes, row) async for row in table.rows())
    async for uid, expected, row in _side_by_side(model.log_rows(log), rows):
        if expected is None or row is None:
            found.add(log, uid.hex(), "extra" if expected is None else f"missing ({_about(expected[0])})")
            continue
        unlike = [table.unlike(one, row) for one in expected]
        chosen = min(range(len(unlike)), key=lambda number: len(unlike[number]))
        if len(unlike) > 1:
            model.choose(uid, chosen)
        found.add_cells(log, uid.hex(), unlike[chosen])


async def _compare_state(connection: asyncpg.Connection, model: Model, state: str, found: Found) -> None:
    key = "digest" if state == "code_block" else "id"
    query = f'SELECT * FROM {state} ORDER BY tenant_id COLLATE "C", {key} COLLATE "C"'  # noqa: S608 - our own names
    table = await _Table.of(connection, query, state)
    table.check(STATE_COLUMNS[state], found, {"tenant_id", key})
    rows = (((row["tenant_id"], row[key]), row) async for row in table.rows())
    async for thing, expected, row in _side_by_side(model.state_rows(state), rows):
        if expected is None or row is None:
            found.add(state, thing, "extra" if expected is None else "missing")
        else:
            found.add_cells(state, thing, table.unlike(expected, row))


async def _compare_letters(connection: asyncpg.Connection, model: Model, found: Found) -> None:
    seen: Counter[Place] = Counter()
    async for row in connection.cursor(LETTERS, prefetch=PREFETCH):
        place = row["topic"], row["partition"], row["offset"]
        seen[place] += 1
        if place in model.letters:
            reason, statuses = model.letters[place], {"dead", "parked"}
        elif place in model.maybe:
            reason, statuses = "tenant_unknown", {"resolved"}
        else:
            found.add("dead_letter", place, f"extra ({row['reason']}, {row['status']})")
            continue
        if row["reason"] != reason:
            found.add("dead_letter", place, f"reason is {row['reason']}, expected {reason}")
        if row["status"] not in statuses:
            found.add("dead_letter", place, f"status is {row['status']}, expected {' or '.join(sorted(statuses))}")
        headers = list(zip(row["header_names"], row["header_values"], strict=True))
        if digest(row["key"], row["value"], headers) != model.digests[place]:
            found.add("dead_letter", place, "key, value or headers are not those of its record")
    for place, count in seen.items():
        if count > 1:
            found.add("dead_letter", place, f"{count} letters of one record")
    for place in sorted(model.letters.keys() - seen.keys()):
        found.add("dead_letter", place, f"missing ({model.letters[place]})")


class _Table:
    """A table as a query reads it."""

    def __init__(self, name: str, statement: Any) -> None:
        self._name = name
        self._statement = statement
        self._types = {attribute.name: attribute.type.name for attribute in statement.get_attributes()}
        self._columns: list[tuple[str, Callable[[Any], Any] | None]] = []

    @classmethod
    async def of(cls, connection: asyncpg.Connection, query: str, name: str) -> "_Table":
        return cls(name, await connection.prepare(query))

    def check(self, columns: Sequence[str], found: Found, keys: Collection[str] = ("event_uid",)) -> None:
        """Compare these columns from now on; note those that the model or the table has alone."""
        for column in sorted(set(columns) ^ (self._types.keys() - LEFT_OUT - set(keys))):
            found.add(self._name, "every row", f"{column} is only {'there' if column in self._types else 'expected'}")
        self._columns = [
            (column, READERS.get(self._types[column])) for column in sorted(columns) if column in self._types
        ]

    async def rows(self) -> AsyncIterator[Any]:
        """Its rows, a part at a time."""
        async for row in self._statement.cursor(prefetch=PREFETCH):
            yield row

    def unlike(self, expected: Row, row: Mapping[str, Any]) -> Cells:
        """The cells of a row that are not as expected."""
        cells: Cells = []
        for column, read in self._columns:
            value, cell = expected[column], row[column]
            if cell is not None and read is not None:
                cell = read(cell)
            if cell != value or type(cell) is not type(value):
                cells.append((column, value, cell))
        return cells


def _json(text: str) -> Any:
    """A jsonb's value; JSON's null is told from SQL's."""
    return Number("null") if text == "null" else read_json(text)


READERS: Mapping[str, Callable[[Any], Any]] = {"jsonb": _json, "numeric": lambda value: Number(format(value, "f"))}
"""How values of some types of Postgres are read so that they compare with the model's."""


async def _side_by_side(
    expected: Iterator[tuple[K, V]], found: AsyncIterator[tuple[K, Any]]
) -> AsyncIterator[tuple[K, V | None, Any]]:
    """Two sequences, each in the order of its keys, as pairs; None stands where one has no such key."""
    row = await anext(found, None)
    for key, value in expected:
        while row is not None and row[0] < key:
            yield row[0], None, row[1]
            row = await anext(found, None)
        if row is not None and row[0] == key:
            yield key, value, row[1]
            row = await anext(found, None)
        else:
            yield key, value, None
    while row is not None:
        yield row[0], None, row[1]
        row = await anext(found, None)


def _about(row: Row) -> str:
    return f"{row['ce_type']} {row['event_id']} of {row['tenant_id']} at {row['event_time']}"


def _short(value: object) -> str:
    text = str(value) if isinstance(value, datetime) else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
