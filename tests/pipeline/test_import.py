"""Recorded runs and reports, imported through the running stack."""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from producers.imports import junit
from producers.imports.imported import Imported, Origin, of_whole
from tests.support import commands, recordings
from tests.support.installation import Installation
from workers.cli import imports

HURRY_SECONDS = 3.0


async def settled(installation: Installation) -> None:
    for family in ("extraction", "execution", "exception"):
        await installation.settled(family)


async def test_recorded_runs_are_stored_whole_and_a_second_import_changes_nothing(installation: Installation) -> None:
    """Rows match what the JSON says by itself; imported again, every table stays byte for byte (G2)."""
    paths = recordings.paths()
    runs = [json.loads(path.read_bytes()) for path in paths]
    steps = [run["trajectory"] for run in runs]
    await installation.create_topics()
    worker = await installation.worker().ready()
    files = [str(path) for path in (*paths, recordings.FOLDER / f"{recordings.HISTORY_ALONE}.traj")]

    first = installation.run("import", "swe-agent", *files, "--tenant", "acme")
    assert first.returncode == 4, first.stderr
    assert "history-only.traj cannot be imported" in first.stderr
    await settled(installation)

    assert await installation.value("SELECT count(*) FROM session WHERE state = 'completed'") == len(runs)
    assert await installation.value("SELECT count(*) FROM node_execution") == sum(map(len, steps))
    nodes = await installation.fetch("SELECT nodes::int AS nodes FROM run ORDER BY nodes")
    assert [row["nodes"] for row in nodes] == sorted(map(len, steps))
    said = [step["response"] for run in steps for step in run]
    said += [step["thought"] for run in steps for step in run if step["thought"].strip() not in step["response"]]
    fences = sum(len(re.findall(r"^(?:```|~~~)", text, re.MULTILINE)) for text in said)
    assert await installation.value("SELECT count(*) FROM code_block_occurrence") == fences // 2
    tools = await installation.value("SELECT count(*) FROM extraction_event WHERE event_type = 'tool'")
    assert tools == sum(bool(step["action"].strip()) for run in steps for step in run)
    assert await installation.value("SELECT count(*) FROM session WHERE reported_extraction_events <> extractions") == 0
    costs = [run["info"].get("model_stats", {}).get("instance_cost", 0) for run in runs]
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


def _without_grammars() -> None:
    sys.modules["tree_sitter"] = None  # type: ignore[assignment]  # so that it cannot be imported


async def test_where_code_is_judged_and_where_not_the_events_are_one(installation: Installation) -> None:
    """What one installation says of a block and another does not is no conflict: what is stored first counts (G2)."""
    await installation.create_topics()
    worker = await installation.worker().ready()
    for name, code in (("first", "a = b"), ("second", "a = c")):
        run = {"trajectory": [{"action": "ls", "response": f"```js\n{code}\n```\n```python\n{code}\n```"}]}
        (installation.folder / name).write_text(json.dumps(run))
    imports = {
        name: ["import", "swe-agent", str(installation.folder / name), "--tenant", "acme"]
        for name in ("first", "second")
    }
    stored = """SELECT b.content, o.language, o.parseable FROM code_block_occurrence o
        JOIN code_block b USING (tenant_id, digest) ORDER BY b.content, o.language"""

    async def publish(name: str, first: Callable[[], None] | None) -> None:
        done = commands.run(imports[name], os.environ | installation.environment, first=first)
        assert done.returncode == 0, done.stderr
        await settled(installation)

    await publish("first", _without_grammars)
    await publish("second", None)
    rows = [tuple(row.values()) for row in await installation.fetch(stored)]
    assert rows == [
        ("a = b", "js", None),
        ("a = b", "python", True),
        ("a = c", "js", True),
        ("a = c", "python", True),
    ]

    before = await installation.tables()
    await publish("first", None)
    await publish("second", _without_grammars)
    assert await installation.tables() == before
    assert installation.run("verify").returncode == 0
    assert await worker.stop() == 0


async def test_a_dry_run_counts_and_publishes_nothing(installation: Installation) -> None:
    """`--dry-run` prints a count for each type, with no broker in reach."""
    file = recordings.FOLDER / "fences.traj"
    installation.environment["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    done = installation.run("import", "swe-agent", str(file), "--tenant", "acme", "--dry-run", "-o", "jsonl")
    counts = {row["type"]: row["events"] for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0
    assert counts["siltstone.node.executed.v1"] == len(json.loads(file.read_bytes())["trajectory"])


async def test_a_file_is_put_away_only_when_all_of_it_was_found_again(installation: Installation) -> None:
    """Counts and sums are compared with the rows; half a file, or a row that differs, stays where it is."""
    await installation.create_topics()
    worker = await installation.worker("--family", "execution").ready()
    inbox, archive = installation.folder / "inbox", installation.folder / "archive"
    inbox.mkdir()
    good, half = inbox / "good.xml", inbox / "half.xml"
    good.write_text('<testsuite name="a" time="2.5"><testcase name="x" time="0.5"/><testcase name="y"/></testsuite>')
    half.write_text(
        '<testsuites><testsuite name="b" timestamp="?"><testcase name="y"/></testsuite>'
        '<testsuite name="c" timestamp="2026-03-01"><testcase name="x"/></testsuite></testsuites>'
    )

    def run(*arguments: str) -> Any:
        return installation.run("import", "junit", str(inbox), "--tenant", "acme", *arguments)

    counted = run("--dry-run", "-o", "jsonl")
    assert counted.returncode == 4
    assert '{"type": "siltstone.node.executed.v1", "events": 3}' in counted.stdout
    assert await installation.read_all(installation.topic("execution")) == []

    done = run("--archive", str(archive))
    assert done.returncode == 4, done.stderr
    assert "half.xml: suite b: its timestamp '?' is not a time" in done.stderr
    assert "verified: 10 events are stored" in done.stderr
    assert (good.exists(), half.exists(), [path.name for path in archive.iterdir()]) == (False, True, ["good.xml"])

    await installation.execute("UPDATE node_execution SET duration_ms = duration_ms + 1 WHERE duration_ms IS NOT NULL")
    shutil.copy(archive / "good.xml", good)
    half.unlink()
    differs = run("--archive", str(archive))
    assert differs.returncode == 4
    assert "duration_ms sums up to 501, and to 500 in the file" in differs.stderr
    assert good.exists()
    assert await worker.stop() == 0


async def test_what_no_worker_stores_is_not_verified(installation: Installation) -> None:
    """Without a worker nothing is stored: it says how much is missing, and the files stay. All of them wait at once."""
    await installation.create_topics()
    inbox = installation.folder / "inbox"
    inbox.mkdir()
    for name in "abcd":
        (inbox / f"{name}.xml").write_text(f'<testsuite name="{name}"><testcase name="x"/></testsuite>')
    arguments = ["import", "junit", str(inbox), "--tenant", "acme", "--archive", str(installation.folder / "b")]
    began = time.monotonic()
    done = commands.run(arguments, os.environ | installation.environment, first=_in_a_hurry)
    assert done.returncode == 4
    assert done.stderr.count("run_event: 0 of 2 events are stored") == 4
    assert "wait for a worker, or were refused: siltstone dlq list" in done.stderr
    assert len(list(inbox.iterdir())) == 4
    assert time.monotonic() - began < 6 * HURRY_SECONDS  # twelve logs, one after the other, would take twice as long


async def test_a_file_that_its_importer_fails_on_harms_no_other(installation: Installation) -> None:
    """It is named, with the error and its place, and stays; those before and behind it are verified and archived."""
    await installation.create_topics()
    worker = await installation.worker("--family", "execution").ready()
    inbox, archive = installation.folder / "inbox", installation.folder / "archive"
    inbox.mkdir()
    for name in "abc":
        (inbox / f"{name}.xml").write_text(f'<testsuite name="{name}"><testcase name="x"/></testsuite>')
    arguments = ["import", "junit", str(inbox), "--tenant", "acme", "--archive", str(archive)]
    done = commands.run(arguments, os.environ | installation.environment, first=_failing_on_b)
    assert done.returncode == 4, done.stderr
    line = _falls.__code__.co_firstlineno + 2
    assert (
        f"b.xml: the importer fails on it, all of it is left out: KeyError in _falls at line {line}: a defect of ours"
        in (" ".join(done.stderr.split()))
    )
    assert "imported 2 of 3 files, 8 events" in done.stderr
    assert "verified: 8 events are stored" in done.stderr
    assert [sorted(path.name for path in folder.iterdir()) for folder in (inbox, archive)] == [
        ["b.xml"],
        ["a.xml", "c.xml"],
    ]
    assert await worker.stop() == 0


def _failing_on_b() -> None:
    junit.read = of_whole(_falls, "junit")


def _falls(content: bytes, name: str, origin: Origin) -> Imported:
    if name.endswith("b.xml"):
        raise KeyError(name)
    return junit.events(content, name, origin)


def _in_a_hurry() -> None:
    imports.VERIFY_SECONDS = HURRY_SECONDS
