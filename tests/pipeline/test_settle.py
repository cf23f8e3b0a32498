"""The pipeline as its user runs it: a worker as a process, real Kafka, real Postgres."""

from tests.support.events import extraction, record
from tests.support.installation import Installation


async def test_every_published_event_makes_one_row(installation: Installation) -> None:
    """N events published are N rows, and the sessions count them (G1, G2)."""
    await installation.create_topics()
    events = [extraction(i) for i in range(1000)]
    await installation.produce(installation.topic("extraction"), [record(e) for e in events])
    worker = await installation.worker("--family", "extraction", anew=True).ready()
    await installation.settled("extraction")
    assert await worker.stop() == 0
    assert await installation.value("SELECT count(*) FROM extraction_event") == 1000
    assert await installation.value("SELECT sum(extractions)::int FROM session") == 1000
