"""A short storm: what `make storm` does for an hour, in minutes."""

import random
from pathlib import Path

import pytest

from tests.storm.storm import Storm

RECORDS, STRIKES, MOST_SECONDS = 30_000, 20, 4.0


@pytest.mark.timeout(600)
async def test_a_short_storm_leaves_what_the_model_says(tmp_path: Path) -> None:
    """20 faults while 30,000 records flow: every cell and letter is as the model says, every offset accounted for."""
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - pytest shows it when the test fails
    storm = Storm(seed, tmp_path, records=RECORDS, strikes=STRIKES, most_seconds=MOST_SECONDS, say=print)
    report = await storm.run()
    assert report.findings == []
    assert len(report.strikes) == STRIKES
    assert report.events > RECORDS * 0.9
    assert report.letters > RECORDS * 0.005
