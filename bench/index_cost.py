"""What each secondary index costs a write: the same rows with the key alone, and with one index more.

    python -m bench.index_cost        needs DATABASE_URL, a Postgres where databases may be made

Rows are made within the server, in the order of their keys, so that the difference is the index's alone. Time is the
CPU time of the server's process, which is the same however busy the machine is; the server must be on this machine.
"""

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import NamedTuple

import asyncpg
from sqlalchemy.engine import make_url

from persistence import migrate

ROWS = 20_000  # a transaction
ROUNDS = 5

EXTRACTION = """
INSERT INTO extraction_event (event_uid, tenant_id, session_id, event_time, ce_type, event_id, event_source,
  agent_name, event_type, pattern, matched_value, original_line, line_number, metadata, risk_level, auto_confirmable,
  kafka_topic, kafka_partition, kafka_offset)
SELECT (left(replace(siltstone_uid_floor(now() + n * interval '10 ms')::text, '-', ''), 12)
          || right(md5($1 || n::text), 20))::uuid,
  't' || n % 20, 's' || hashint4(n) % 2000, now() + n * interval '10 ms', 'siltstone.extraction.recorded.v1',
  md5($1 || n::text), '/agents/a', 'agent-' || n % 50, 'type-' || n % 4, 'error_detection',
  'TypeError: undefined is not a function', repeat('x', 120), n % 5000, '{"file": "a/b/c.py", "col": 3}',
  (ARRAY['low', 'medium', 'high'])[1 + n % 3], false, 't', 0, n
FROM generate_series(1, $2::int) AS n ORDER BY 1
"""

RUN = r"""
INSERT INTO run (tenant_id, id, kind, status, definition_id, provider, model, source, external_ref, started_at,
  latency_ms, tokens_input, cost_usd, nodes, events, created_at, updated_at, clock)
SELECT 't' || n % 20, md5($1 || n::text), 'test', 'running', 'd' || hashint4(n) % 500, 'p', 'model-' || n % 9,
  'ci-' || n % 5, 'ref-' || md5(n::text), now() + n * interval '10 ms', n, n, 0.5, 3, 5, now(), now(),
  array_fill('\x00112233445566778899aabbccddeeff0011223344'::bytea, ARRAY[25])
FROM generate_series(1, $2::int) AS n ORDER BY 1, 2
"""


async def main() -> None:
    """Print a table."""
    url = os.environ["DATABASE_URL"]
    admin = await asyncpg.connect(migrate.driver_dsn(url))
    name = f"bench_{uuid.uuid4().hex[:10]}"
    await admin.execute(f'CREATE DATABASE "{name}"')
    try:
        own = make_url(url).set(database=name).render_as_string(hide_password=False)
        await migrate.upgrade(own)
        connection = await asyncpg.connect(migrate.driver_dsn(own))
        try:
            for table, insert in (("extraction_event", EXTRACTION), ("run", RUN)):
                await measure(connection, table, insert)
        finally:
            await connection.close()
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


class Cost(NamedTuple):
    """Of one insert of ROWS rows: CPU time of its server process, and the log that it writes ahead."""

    seconds: float
    wal_bytes: int


async def measure(connection: asyncpg.Connection, table: str, insert: str) -> None:
    """The best of interleaved rounds, each rolled back: with every index, with the key alone, with one more."""
    found = await connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::text::regclass AND NOT indisprimary",
        table,
    )
    indexes = sorted(row[0] for row in found)
    only = {index: [other for other in indexes if other != index] for index in indexes}
    variants: dict[str, list[str]] = {"all": [], "key alone": indexes} | only
    costs: dict[str, list[Cost]] = {variant: [] for variant in variants}
    for number in range(ROUNDS):
        for variant, dropped in variants.items():
            costs[variant].append(await once(connection, insert, dropped, f"{number}{variant}"))
    best = {v: Cost(min(c.seconds for c in of), min(c.wal_bytes for c in of)) for v, of in costs.items()}
    print(f"\n{table}, a row: {said(best['all'])} with every index, {said(best['key alone'])} with its key alone")
    for index in indexes:
        key, one = best["key alone"], best[index]
        print(f"  {index:<55} {said(Cost(one.seconds - key.seconds, one.wal_bytes - key.wal_bytes))}")


def said(cost: Cost) -> str:
    """Of one row."""
    return f"{cost.seconds / ROWS * 1e6:5.1f} µs, {cost.wal_bytes / ROWS:4.0f} bytes of WAL"


async def once(connection: asyncpg.Connection, insert: str, dropped: list[str], salt: str) -> Cost:
    """The cost of one insert of ROWS rows; nothing of it stays."""
    stat = Path(f"/proc/{connection.get_server_pid()}/stat")
    transaction = connection.transaction()
    await transaction.start()
    try:
        for index in dropped:
            await connection.execute(f"DROP INDEX {index}")
        began = ticks(stat)
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) {insert}", salt, ROWS)
        seconds = (ticks(stat) - began) / os.sysconf("SC_CLK_TCK")
    finally:
        await transaction.rollback()
    return Cost(seconds, json.loads(plan)[0]["Plan"]["WAL Bytes"])


def ticks(stat: Path) -> int:
    """A process's user and system time."""
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    asyncio.run(main())
