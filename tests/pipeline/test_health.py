"""What a worker answers over HTTP."""

import json

from tests.support.events import extraction, record
from tests.support.installation import Installation
from workers.metrics import Metrics


async def test_probes_and_metrics_are_served(installation: Installation) -> None:
    """Both probes say why, every declared metric is scraped, and the counters are what was published."""
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction").ready()
    events = [record(extraction(i)) for i in range(10)]
    await installation.produce(topic, [*events, events[3], (b"key", b"{", [])])
    await installation.settled("extraction")
    await installation.letters(1)
    for probe in ("live", "ready"):
        status, body = await worker.get(f"/health/{probe}")
        assert (status, json.loads(body)) == (200, {"ok": True, "because": []})
    _, scraped = await worker.get("/metrics")
    assert [m.name for m in Metrics().registry.collect() if f"# HELP {m.name}" not in scraped] == []
    outcomes = {
        o: await worker.metric("siltstone_records_total", outcome=o) for o in ("stored", "duplicate", "refused")
    }
    assert outcomes == {"stored": 10, "duplicate": 1, "refused": 1}
    assert await worker.metric("siltstone_dead_letters_total", reason="bad_json") == 1
    assert await worker.metric("siltstone_batch_records_sum", family="extraction") == 12
    assert await worker.metric("siltstone_lag_records", topic=topic) == 0
    assert await worker.metric("siltstone_holding") == 0
    for stage in ("decode", "store", "dead_letters", "commit"):
        batches = await worker.metric("siltstone_batch_records_count", family="extraction")
        assert await worker.metric("siltstone_stage_seconds_count", stage=stage) == batches
    assert (await worker.get("/nothing"))[0] == 404
    assert await worker.stop() == 0
