"""Workers that are killed in the middle of their work."""

import random
import signal

from tests.support.events import extraction, record
from tests.support.faults import account, counts, stored
from tests.support.installation import Installation

KILLS = 3
SMALL = {"SILTSTONE_BATCH_MAX_ROWS": "50"}


async def test_a_worker_killed_again_and_again_loses_and_doubles_nothing(installation: Installation) -> None:
    """SIGKILL three times while small batches flow, bad records among them: rows, counts and letters are exact."""
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - pytest shows it when the test fails
    draw = random.Random(seed)
    await installation.create_topics()
    records = [record(extraction(i, sessions=7)) for i in range(6000)]
    for _ in range(60):
        records.insert(draw.randrange(len(records)), (b"bad", draw.randbytes(8), []))
    await installation.produce(installation.topic("extraction"), records)
    # A static member: its successor has its partitions at once, without a session to wait for.
    environment = SMALL | {"KAFKA_GROUP_INSTANCE_ID": "one"}
    for _ in range(KILLS):
        worker = installation.worker("--family", "extraction", environment=environment)
        before = (await counts(installation))["rows"]
        await stored(installation, min(before + draw.randrange(1, 1200), 5900))
        assert await worker.stop(signal.SIGKILL) == -signal.SIGKILL
    worker = installation.worker("--family", "extraction", environment=environment)
    await installation.settled("extraction")
    await installation.letters(60)
    assert await counts(installation) == {"rows": 6000, "counted": 6000, "letters": 60}
    assert (await account(installation, "extraction"))["stored"] == 6000
    assert await worker.stop() == 0
