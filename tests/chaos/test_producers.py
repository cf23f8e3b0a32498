"""Agents that are recorded while the broker is killed under them: nothing is missing afterwards."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from localstack import stack
from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import SILTSTONE

COUNT = 100
PRINTS = f"import time\nfor n in range({COUNT}):\n    print('fatal:', n, flush=True)\n    time.sleep(0.25)\n"
EMITS = f"""
import siltstone, time
with siltstone.session("bot") as s:
    for n in range({COUNT}):
        s.extraction(event_type="tool", pattern="p", line_number=n)
        time.sleep(0.25)
"""
# Whoever runs next sends what a program that ended during the outage had kept.
NEXT = "import siltstone, time\nwith siltstone.session('next'): time.sleep(5)"


async def test_a_broker_that_is_killed_under_agents_takes_nothing(installation: Installation, folder: Path) -> None:
    """A wrapped command and a program with the SDK, each with all of its events, once."""
    await installation.create_topics()
    await installation.worker("--family", "extraction").ready()
    own = {"SILTSTONE_SPOOL_FOLDER": str(installation.folder / "spool"), "SILTSTONE_TENANT": "acme"}
    environment = os.environ | installation.environment | own
    commands: tuple[list[str | Path], ...] = (
        [SILTSTONE, "wrap", "--agent", "printer", "--no-pty", "--", sys.executable, "-c", PRINTS],
        [sys.executable, "-c", EMITS],
    )
    agents = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for command in commands]  # noqa: ASYNC220

    async def begun() -> bool:
        return bool(await installation.value("SELECT count(*) = 2 FROM session WHERE extractions > 3"))

    await until("both agents are recorded", begun)
    await asyncio.to_thread(stack.stop_kafka, folder, kill=True)
    await asyncio.sleep(6)  # what they do meanwhile is kept
    await asyncio.to_thread(stack.start_kafka, folder)
    assert [await asyncio.to_thread(agent.wait, 90) for agent in agents] == [0, 0]
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", NEXT], env=environment, check=True, timeout=60)

    async def whole() -> bool:
        rows = await installation.fetch(
            "SELECT agent_name, state, extractions::int AS n FROM session WHERE agent_name <> 'next' ORDER BY 1"
        )
        return [tuple(row.values()) for row in rows] == [("bot", "completed", COUNT), ("printer", "completed", COUNT)]

    await until("everything is stored", whole, 60)
    numbers = await installation.fetch("SELECT line_number FROM extraction_event WHERE agent_name = 'bot' ORDER BY 1")
    assert [row["line_number"] for row in numbers] == list(range(COUNT))
