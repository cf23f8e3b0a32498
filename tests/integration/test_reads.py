"""The reads of users go by an index, also under row-level security."""
# ruff: noqa: S608 - statements are made of the tables' own names

import json
from collections.abc import Iterator
from typing import Any

import asyncpg

from tests.support.events import NOW, event
from tests.support.installation import Installation
from tests.support.stored import store_events

DATA: dict[str, dict[str, Any]] = {
    "extraction.recorded": {"risk_level": "high"},
    "run.started": {"kind": "test"},
    "definition.saved": {"kind": "test", "spec": {}, "provider": "p"},
    "session.started": {"agent_name": "a"},
    "code_block.captured": {"content": "x = 1"},
    "node.executed": {"node_name": "n", "status": "completed"},
    "assertion.evaluated": {"assertion_type": "equal", "passed": False},
    "exception.created": {
        "actor_type": "agent",
        "set": {"domain": "d", "type": "t", "severity": "high", "source_system": "s"},
    },
}
MANY = [
    event(kind, f"thing-{n}", DATA[kind] | varied, tenant=("acme", "globex")[n % 2])
    for n in range(500)
    for kind, varied in (
        ("extraction.recorded", {"agent_name": f"a{n % 20}", "pattern": f"p{n % 30}", "event_type": f"t{n % 5}"}),
        (
            "run.started",
            {"definition_id": f"d{n % 20}", "source": f"s{n % 9}", "external_ref": f"x{n}", "model": f"m{n}"},
        ),
        ("session.started", {"agent_name": f"a{n % 20}"}),
        ("code_block.captured", {"agent_name": f"a{n % 20}", "language": f"l{n % 7}", "content": f"x = {n}"}),
        ("node.executed", {}),
        ("assertion.evaluated", {}),
        ("exception.created", {}),
        ("definition.saved", {"name": f"n{n}", "model": f"m{n % 20}"}),
    )
]
"""Enough for the planner to choose between indexes."""

READS: tuple[tuple[str, str, set[str]], ...] = (
    ("extraction_event", "session_id = 's' ORDER BY event_time", {"session_id"}),
    (
        "extraction_event",
        "agent_name = 'a' AND event_time > now() - interval '1h' ORDER BY event_time",
        {"event_time"},
    ),
    ("extraction_event", "event_type = 'error' AND pattern = 'p'", {"event_type", "pattern"}),
    ("extraction_event", "risk_level = 'high' ORDER BY event_time DESC", {"risk_level"}),
    ("code_block_occurrence", "agent_name = 'a' AND language = 'c' ORDER BY event_time", {"agent_name", "language"}),
    ("session_event", "session_id = 's' ORDER BY event_time", {"session_id"}),
    ("node_execution", "run_id = 'r' ORDER BY event_time", {"run_id"}),
    ("assertion_result", "run_id = 'r' ORDER BY event_time", {"run_id"}),
    ("assertion_result", "NOT passed ORDER BY event_time DESC", set()),
    ("exception_event", "exception_id = 'e' ORDER BY event_time", {"exception_id"}),
    ("session", "agent_name = 'a' ORDER BY started_at DESC", {"agent_name"}),
    ("session", "ended_at IS NULL AND deleted_at IS NULL ORDER BY started_at DESC", set()),
    ("run", "definition_id = 'd' AND status = 'failed' ORDER BY started_at DESC", {"definition_id", "status"}),
    ("run", "source = 'ci' ORDER BY started_at DESC", {"source"}),
    ("run", "external_ref = 'x'", {"external_ref"}),
    ("run", "model = 'm' ORDER BY started_at DESC", {"model"}),
    ("definition", "name = 'n'", {"name"}),
    ("definition", "provider = 'p' AND model = 'm'", {"provider", "model"}),
    ("exception", "status = 'open' AND severity = 'high'", {"status", "severity"}),
    ("exception", "domain = 'd' ORDER BY created_at DESC", {"domain"}),
    ("exception", "severity = 'high' ORDER BY created_at DESC", {"severity"}),
    ("exception", "sla_deadline < now() ORDER BY sla_deadline", {"sla_deadline"}),
    ("session", "id = 's'", {"id"}),
)


async def test_reads_of_users_go_by_an_index(installation: Installation) -> None:
    """The tenant and the read's own columns are index conditions for siltstone_reader, and nothing is sorted."""
    await store_events(installation.database_url, MANY)
    await installation.execute("ANALYZE")
    connection = await asyncpg.connect(installation.dsn, server_settings={"role": "siltstone_reader"})
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        await connection.execute("SET app.tenant_id = 'acme'")
        for table, where, by in READS:
            plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) SELECT * FROM {table} WHERE {where}")
            nodes = list(walk(json.loads(plan)[0]["Plan"]))
            read = f"{table}: {where}"
            assert [node["Node Type"] for node in nodes if "Sort" in node["Node Type"]] == [], read
            scans = [node for node in nodes if "Relation Name" in node]
            assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}, read
            filled = {table, f"{table}_{NOW:%Y_%m}"}  # in an empty partition every index is as good
            conditions = [node["Index Cond"] for node in scans if node["Relation Name"] in filled]
            assert conditions != [], read
            for condition in conditions:
                assert {c for c in (*by, "tenant_id") if c in condition} == {*by, "tenant_id"}, read
    finally:
        await connection.close()


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes."""
    yield node
    for child in node.get("Plans", []):
        yield from walk(child)
