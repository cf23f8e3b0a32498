"""docs/runbook.md, followed to the letter: every poison that there is, until nothing waits any more."""

import asyncio
import json
import re
import shlex
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

from contracts.refusal import Reason
from tests.pipeline.test_bad_input import DOC, VALUES, build, documented, neighbour
from tests.pipeline.test_redrive import dying
from tests.support.installation import Installation
from tests.support.redrive_that_dies import KILLED

RUNBOOK = DOC.parent / "runbook.md"
EVENTS, POISON = 10_000, 500
LARGE = {"nesting-10-mib", "large-compressed"}  # a few of each: they are 10 MiB
BEYOND_MENDING = {"cut-short", "bare-array", "tombstone", "nesting-10-mib", "nesting-65", "unknown-type"}
KILLS = {"missing_id": "commit", "unstorable_text": "claim", "bad_time": "record"}


def commands(path: Path = RUNBOOK) -> dict[str, list[list[str]]]:
    """The commands of each section of the runbook, without the program's name."""
    found: dict[str, list[list[str]]] = {}
    for section in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0].strip("` ")
        blocks = re.findall(r"^```sh\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
        found[title] = [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]
    return found


def test_the_runbook_has_every_reason() -> None:
    """Each reason of the closed list has a section with commands, in the list's order."""
    assert [title for title in commands() if title not in ("First", "At last")] == [reason.value for reason in Reason]
    assert all(commands().values())


async def test_whoever_follows_the_runbook_leaves_nothing_waiting(installation: Installation) -> None:
    """500 poisoned of 10,000 events, three redrives killed: at the end each letter is resolved or discarded (G1-G6)."""
    names = [*sorted(LARGE), *sorted(LARGE), *islice(cycle(sorted(set(documented()) - LARGE)), POISON - 2 * len(LARGE))]
    assert len(names) == POISON
    assert set(names) >= set(VALUES)
    await installation.create_topics(4)
    await installation.create_tenants("resting")
    await installation.execute("UPDATE tenant SET status = 'suspended' WHERE tenant_id = 'resting'")
    topic = installation.topic("execution")
    for partition in range(4):
        poison = [build(name) for name in names[partition::4]]
        good = [neighbour(number) for number in range((EVENTS - POISON) // 4)]
        step = len(good) // len(poison)
        records = [r for i, bad in enumerate(poison) for r in (*good[i * step : (i + 1) * step], bad)]
        await installation.produce(
            topic, [*records, *good[len(poison) * step :]], partition=partition, compression="zstd"
        )
    worker = await installation.worker("--family", "execution").ready()
    await installation.letters(POISON, seconds=120)

    for title, lines in commands().items():
        for arguments in lines:
            if title in KILLS and arguments[1] == "redrive":
                without_wait = [a for a in arguments[2:] if a != "--wait"]
                assert await asyncio.to_thread(dying, installation, KILLS[title], 1, *without_wait) == KILLED
            done = await asyncio.to_thread(installation.run, *arguments)
            assert done.returncode in (0, 4), (arguments, done.returncode, done.stdout, done.stderr)
            if title in ("First", "At last"):
                assert done.returncode == 0, (arguments, done.stderr)

    letters = await installation.fetch("SELECT status, reason FROM dead_letter")
    hopeless = sum(name in BEYOND_MENDING for name in names)
    assert Counter(letter["status"] for letter in letters) == Counter(resolved=POISON - hopeless, discarded=hopeless)
    assert await installation.value("SELECT count(*) FROM node_execution") == EVENTS - POISON
    assert await installation.value("SELECT count(*) FROM run_event") == POISON - hopeless
    rows = await installation.fetch("SELECT resolution, count(*)::int AS n FROM dead_letter GROUP BY 1")
    assert {row["resolution"]: row["n"] for row in rows} == {"stored": POISON - hopeless, None: hopeless}
    assert json.loads(installation.run("dlq", "list", "--status", "dead", "-o", "json").stdout) == []
    assert await worker.stop() == 0
    assert installation.run("verify").returncode == 0
