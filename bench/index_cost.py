"""What each secondary index costs a write: the same rows with the key alone, and with one index more.

    python -m bench.index_cost        needs DATABASE_URL, a Postgres where databases may be made

Rows are copied within the server, in the order of their keys, so that the difference is the index's alone.
"""

import asyncio
import contextlib
import os
import time
import uuid

import asyncpg
from sqlalchemy.engine import make_url

from persistence import migrate

ROWS = 20_000  # a transaction
ROUNDS = 9

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


async def measure(connection: asyncpg.Connection, table: str, insert: str) -> None:
    """The best of interleaved rounds, each rolled back: with every index, with the key alone, with one more."""
    found = await connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::text::regclass AND NOT indisprimary",
        table,
    )
    indexes = sorted(row[0] for row in found)
    only = {index: [other for other in indexes if other != index] for index in indexes}
    variants: dict[str, list[str]] = {"all": [], "key alone": indexes} | only
    taken: dict[str, list[float]] = {variant: [] for variant in variants}
    for number in range(ROUNDS):
        for variant, dropped in variants.items():
            taken[variant].append(await once(connection, insert, dropped, f"{number}{variant}"))
    micros = {variant: min(seconds) / ROWS * 1e6 for variant, seconds in taken.items()}
    print(f"\n{table}: {micros['all']:.1f} µs a row with every index, {micros['key alone']:.1f} with its key alone")
    for index in indexes:
        cost = micros[index] - micros["key alone"]
        print(f"  {index:<55} {cost:6.1f} µs a row, {100 * cost / micros['all']:3.0f} % of the insert")


class _Undone(Exception):
    """Rolls a round back."""


async def once(connection: asyncpg.Connection, insert: str, dropped: list[str], salt: str) -> float:
    """Seconds of one insert of ROWS rows; nothing of it stays."""
    seconds = 0.0
    with contextlib.suppress(_Undone):
        async with connection.transaction():
            for index in dropped:
                await connection.execute(f"DROP INDEX {index}")
            began = time.perf_counter()
            await connection.execute(insert, salt, ROWS)
            seconds = time.perf_counter() - began
            raise _Undone
    return seconds


if __name__ == "__main__":
    asyncio.run(main())
