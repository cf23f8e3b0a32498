"""The one transaction a batch: logs, states, letters' resolution, ledger; in one declared order, keys sorted."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import asyncpg

from persistence.batch import Arrived, Ledger, Stored, Unit
from persistence.database import execute_many
from persistence.letters import Resolution, resolve
from persistence.logs import LOGS, Log
from persistence.merge import fold
from persistence.offsets import spans_of, to_ranges
from persistence.state_sql import upsert
from persistence.states import STATES

INSERT_LEDGER = """
INSERT INTO ingest_batch (consumer_group, topic, partition, stored, duplicate, refused, invisible, worker)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def store(connection: asyncpg.Connection, unit: Unit) -> Stored:
    """Write a unit in the caller's transaction, on a connection that prepare() has seen.

    A second time it changes nothing but the ledger. Raises what the driver raises (persistence.verdict says what
    it means); then the caller rolls back.
    """
    first_of = {a.event.uid: a for a in reversed(unit.arrived)}
    of_log: dict[str, list[Arrived]] = {}
    for uid in sorted(first_of):
        arrived = first_of[uid]
        of_log.setdefault(arrived.event.type.log, []).append(arrived)
    known: set[bytes] = set()
    for log in LOGS:
        if log.name in of_log:
            known |= await insert_log(connection, log, of_log[log.name])
    for uid in known:
        del first_of[uid]
    new = first_of.values()
    changes = fold(a.event for a in new)
    for state in STATES:
        if of_state := changes.get(state):
            statement, rows = upsert(state, of_state)
            await connection.execute(statement, rows)
    await resolve(connection, _resolutions(unit.arrived, new))
    _fill_ledgers(unit.ledgers, unit.arrived, new)
    await insert_ledgers(connection, unit.ledgers.values(), unit.group, unit.worker)
    return Stored(len(new), len(unit.arrived) - len(new))


def _resolutions(arrived: Iterable[Arrived], new: Collection[Arrived]) -> list[Resolution]:
    redriven = [a for a in arrived if a.letter is not None]
    if not redriven:
        return []
    made = {id(a) for a in new}
    return [
        Resolution(a.letter, "stored" if id(a) in made else "duplicate", a.event.type.log, a.event.uid)
        for a in redriven
        if a.letter is not None
    ]


async def insert_log(connection: asyncpg.Connection, log: Log, arrived: Sequence[Arrived]) -> set[bytes]:
    """Insert one log's rows, given in the order of their keys; the uids of those that were there already.

    By COPY to a temporary table (into a table under forced row-level security COPY is refused) and one insert.
    """
    rows = [a.row for a in arrived]
    await connection.copy_records_to_table(
        f"staged_{log.name}", schema_name="pg_temp", records=rows, columns=log.columns
    )
    if await connection.execute(_INSERT[log.name]) == f"INSERT 0 {len(rows)}":
        return set()
    known = await connection.fetch(_KNOWN[log.name], [row[0] for row in rows])
    return {row[0].bytes for row in known}


def _insert_statement(log: Log) -> str:
    columns = ", ".join(f'"{c}"' for c in log.columns)
    return f"INSERT INTO {log.name} ({columns}) SELECT {columns} FROM pg_temp.staged_{log.name} ON CONFLICT DO NOTHING"


def _known_statement(log: Log) -> str:
    """Of these keys, those whose row another transaction made.

    xmin tells this transaction's rows from those of any that ran beside it; with ingested_at, its own start, also
    from those of one that had the same number four thousand million transactions ago.
    """
    ours = "xmin = pg_current_xact_id()::xid AND ingested_at = now()"
    return f"SELECT event_uid FROM {log.name} WHERE event_uid = ANY($1) AND NOT ({ours})"


_INSERT = {log.name: _insert_statement(log) for log in LOGS}
_KNOWN = {log.name: _known_statement(log) for log in LOGS}


async def prepare(connection: asyncpg.Connection, info: dict[Any, Any], logs: Iterable[str]) -> None:
    """Make the temporary tables that a connection lacks, outside any transaction that might roll back.

    `info` lives as long as the connection, and remembers which there are.
    """
    staged: set[str] = info.setdefault("staged", set())
    for name in logs:
        if f"staged_{name}" not in staged:
            await connection.execute(
                f"CREATE TEMPORARY TABLE IF NOT EXISTS staged_{name} (LIKE {name}) ON COMMIT DELETE ROWS;"
                f"ALTER TABLE pg_temp.staged_{name} ALTER COLUMN ingested_at DROP NOT NULL"
            )
            staged.add(f"staged_{name}")


def _fill_ledgers(ledgers: dict[tuple[str, int], Ledger], arrived: Sequence[Arrived], new: Collection[Arrived]) -> None:
    for ledger in ledgers.values():
        ledger.stored.clear()
        ledger.duplicate.clear()
    for a in new:
        record = a.record
        ledgers[record.topic, record.partition].stored.append(record.offset)
    if len(new) == len(arrived):
        return
    made_rows = {id(a) for a in new}
    for a in arrived:
        if id(a) not in made_rows:
            ledgers[a.record.topic, a.record.partition].duplicate.append(a.record.offset)


async def insert_ledgers(connection: asyncpg.Connection, ledgers: Iterable[Ledger], group: str, worker: str) -> None:
    """One row a partition."""
    await execute_many(
        connection,
        INSERT_LEDGER,
        [
            (
                group,
                ledger.topic,
                ledger.partition,
                to_ranges(spans_of(ledger.stored)),
                to_ranges(spans_of(ledger.duplicate)),
                to_ranges(spans_of(ledger.refused)),
                to_ranges(ledger.invisible),
                worker,
            )
            for ledger in ledgers
        ],
    )
