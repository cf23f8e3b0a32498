"""Databases that hold rows already: as events would have made them, within the server.

All are in the partition that new events go to, spread over its time so far: no row costs more than one whose month
has that many. Each of the sessions has 50 of them, and those of the new events are among these, anywhere in the table.
"""

import asyncio
import time
from datetime import datetime, timedelta

import asyncpg

from bench.events import AGENTS, SESSIONS, TENANTS
from persistence import migrate
from persistence.states import SESSION

ROWS_A_SESSION = 50
STATEMENT_ROWS = 100_000
CONNECTIONS = 2

LOG = """
INSERT INTO extraction_event (event_uid, tenant_id, session_id, event_time, ce_type, event_id, event_source,
  agent_name, event_type, pattern, matched_value, original_line, line_number, metadata, risk_level, auto_confirmable,
  kafka_topic, kafka_partition, kafka_offset)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
          || '8' || substr(random, 1, 3) || 'b' || substr(random, 4, 15))::uuid,
  'tenant-' || session % $6, 'sess-' || session, at, 'siltstone.extraction.recorded.v1',
  random::uuid::text, '/agents/a' || n % $7, 'agent-' || n % $7,
  (ARRAY['error', 'code_block', 'prompt', 'tool'])[1 + hash % 4], 'error_detection',
  'TypeError: undefined is not a function', repeat('x', 120), n % 5000,
  jsonb_build_object('file', 'a/b/c.py', 'col', n % 80, 'tags', ARRAY['a', 'b']),
  (ARRAY['low', 'medium', 'high'])[1 + hash / 4 % 3], false, 'filled', session % 12, n
FROM (SELECT n, $3::timestamptz + n * $4::interval AS at, md5(n::text) AS random,
             hashint4(n) & 1023 AS hash, (hashint4extended(n, 1) & 2147483647) % $5::int AS session
      FROM generate_series($1::int, $2::int - 1) AS n) AS drawn
ORDER BY 1
"""

# The clock's first place is that of agent_name, which these events fill: time, no sequence, rank, uid.
STATES = f"""
INSERT INTO session (tenant_id, id, agent_name, extractions, events, created_at, updated_at, clock)
SELECT tenant_id, session_id, max(agent_name), count(*), count(*), min(event_time), max(event_time),
  ARRAY['\\x00'::bytea || int8send((extract(epoch FROM max(event_time)) * 1000000)::bigint)
    || '\\x0001'::bytea || substring(uuid_send(max(event_uid::text)::uuid) FROM 7)]
    || array_fill(NULL::bytea, ARRAY[{len(SESSION.lasts) - 1}])
FROM extraction_event GROUP BY tenant_id, session_id ORDER BY md5(session_id)
"""  # noqa: S608 - of a number


async def fill(url: str, rows: int, until: datetime) -> None:
    """Rows from the begin of the month of `until`, which is the time of the first new event, and their sessions."""
    month = until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    step = max((until - month) / rows, timedelta(microseconds=1))
    sessions = max(SESSIONS, rows // ROWS_A_SESSION)
    began = time.perf_counter()
    parts = iter(range(0, rows, STATEMENT_ROWS))  # of both connections, in the order of time but for their overlap

    async def insert() -> None:
        connection = await asyncpg.connect(migrate.driver_dsn(url))
        await connection.execute("SET synchronous_commit = off")
        for first in parts:
            after = min(first + STATEMENT_ROWS, rows)
            await connection.execute(LOG, first, after, month, step, sessions, TENANTS, AGENTS)
        await connection.close()

    await asyncio.gather(*(insert() for _ in range(CONNECTIONS)))
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    await connection.execute(STATES)
    await connection.execute("VACUUM (ANALYZE) extraction_event, session")
    await connection.execute("CHECKPOINT")
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    await connection.close()
    print(f"filled {rows:,} rows in {time.perf_counter() - began:.0f} s: {size / 2**20:,.0f} MB", flush=True)
