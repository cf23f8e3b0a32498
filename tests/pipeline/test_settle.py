"""The pipeline as its user runs it: a worker as a process, real Kafka, real Postgres."""

import signal

from tests.support.events import extraction, record
from tests.support.installation import Installation


async def test_every_published_event_makes_one_row(installation: Installation) -> None:
    """N events published are N rows, and the sessions count them (G1, G2)."""
    await installation.create_topics()
    events = [extraction(i) for i in range(1000)]
    await installation.produce(installation.topic("extraction"), [record(e) for e in events])
    worker = await installation.worker("--family", "extraction").ready()
    await installation.settled("extraction")
    assert await worker.stop() == 0
    assert await installation.value("SELECT count(*) FROM extraction_event") == 1000
    assert await installation.value("SELECT sum(extractions)::int FROM session") == 1000


async def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(installation: Installation) -> None:
    """SIGKILL while records flow, then another worker: each event has one row, each is counted once (G1, G2)."""
    await installation.create_topics()
    events = [extraction(i, sessions=7) for i in range(6000)]
    await installation.produce(installation.topic("extraction"), [record(e) for e in events])
    small = {"SILTSTONE_BATCH_MAX_ROWS": "100"}
    first = installation.worker("--family", "extraction", environment=small)
    await first.ready()
    await first.stop(signal.SIGKILL)
    second = await installation.worker("--family", "extraction", environment=small).ready()
    await installation.settled("extraction")
    assert await second.stop() == 0
    assert await installation.value("SELECT count(*) FROM extraction_event") == 6000
    assert await installation.value("SELECT sum(extractions)::int FROM session") == 6000
