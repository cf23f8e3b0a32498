"""Recorded runs of real agents, imported through the running stack."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import Installation

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "swe-agent"


def trajectories() -> dict[str, dict[str, Any]]:
    """The recorded runs by name; their absence is a failure."""
    found = {path.name: json.loads(path.read_bytes()) for path in sorted(DATA.glob("*.traj"))}
    if not found:
        pytest.fail(f"there are no recorded runs in {DATA}: put SWE-agent's .traj files there")
    return found


async def settled(installation: Installation) -> None:
    await installation.settled("extraction")
    await installation.settled("execution")


async def test_recorded_runs_are_stored_whole_and_a_second_import_changes_nothing(installation: Installation) -> None:
    """Rows match what the JSON says by itself; imported again, every table stays byte for byte (G2)."""
    runs = {name: run for name, run in trajectories().items() if run.get("trajectory")}
    steps = {name: run["trajectory"] for name, run in runs.items()}
    await installation.create_topics()
    worker = await installation.worker("--family", "extraction", "--family", "execution").ready()
    files = [str(path) for path in sorted(DATA.glob("*.traj"))]

    first = installation.run("import", "swe-agent", *files, "--tenant", "acme")
    assert first.returncode == 4, first.stderr
    assert "history-only.traj cannot be imported" in first.stderr
    await settled(installation)

    assert await installation.value("SELECT count(*) FROM session WHERE state = 'completed'") == len(runs)
    assert await installation.value("SELECT count(*) FROM node_execution") == sum(map(len, steps.values()))
    nodes = await installation.fetch("SELECT nodes::int AS nodes FROM run ORDER BY nodes")
    assert [row["nodes"] for row in nodes] == sorted(len(s) for s in steps.values())
    said = [step["response"] for run in steps.values() for step in run]
    fences = sum(len(re.findall(r"^```", text, re.MULTILINE)) for text in said)
    assert await installation.value("SELECT count(*) FROM code_block_occurrence") == fences // 2
    tools = await installation.value("SELECT count(*) FROM extraction_event WHERE event_type = 'tool'")
    assert tools == sum(bool(step["action"].strip()) for run in steps.values() for step in run)
    assert await installation.value("SELECT count(*) FROM session WHERE reported_extraction_events <> extractions") == 0
    costs = [run["info"].get("model_stats", {}).get("instance_cost", 0) for run in runs.values()]
    stored = await installation.value("SELECT sum(cost_usd)::float8 FROM run")
    assert stored == pytest.approx(sum(costs))

    before = await installation.tables()
    again = installation.run("import", "swe-agent", *files, "--tenant", "acme")
    assert again.returncode == 4
    await settled(installation)
    assert await installation.tables() == before
    duplicates = "SELECT sum(upper(r) - lower(r))::int FROM ingest_batch, unnest(duplicate) AS r"
    assert await installation.value(duplicates) == sum(map(len, before.values())) - await states(installation)
    assert await worker.stop() == 0


async def states(installation: Installation) -> int:
    """How many rows of states there are: the rest of the rows are of logs, one an event."""
    names = ("session", "code_block", "definition", "run", "exception")
    counts = [await installation.value(f"SELECT count(*) FROM {name}") for name in names]  # noqa: S608 - our own
    return sum(counts)


async def test_a_dry_run_counts_and_publishes_nothing(installation: Installation) -> None:
    """`--dry-run` prints a count for each type, with no broker in reach."""
    run = trajectories()["test-repo-i1.traj"]
    installation.environment["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    done = installation.run(
        "import", "swe-agent", str(DATA / "test-repo-i1.traj"), "--tenant", "acme", "--dry-run", "-o", "jsonl"
    )
    counts = {row["type"]: row["events"] for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0
    assert counts["siltstone.node.executed.v1"] == len(run["trajectory"])
