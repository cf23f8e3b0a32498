"""A write of many letters that is cancelled ends at once, and leaves all of them or none."""

import asyncio
import random
import time
from pathlib import Path

from persistence.letters import index
from tests.support.installation import Installation
from tests.support.storing import database_of
from workers.letter_index import letter_of

ROOT = Path(__file__).parent.parent.parent
LETTERS = 500
TRIES = 40
WHOLE = 4  # writes that are not cancelled, to know how long one takes
SECONDS = 5  # many times what a whole write takes, and far below the limits of the server


async def test_a_cancelled_write_of_letters_ends_at_once(installation: Installation) -> None:
    """Wherever the cancellation comes: before, between and after the parts in which the driver sends the letters."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it for a run that failed
    rng = random.Random(seed)
    database = database_of(installation.database_url)

    async def write(number: int) -> None:
        topic = f"dlq.cancelled-{number}"
        async with database.transaction() as connection:
            await index(connection, [letter_of(topic, 0, at, None, bytes(2048), ()) for at in range(LETTERS)], 3)

    async def seconds_of(number: int) -> float:
        started = time.monotonic()
        await write(number)
        return time.monotonic() - started

    # The first one also connects, and may meet a busy moment: cancelled within its time, most of the others are over.
    whole = min([await seconds_of(-number) for number in range(WHOLE)])
    cancelled = 0
    try:
        for number in range(1, TRIES + 1):
            writing = asyncio.create_task(write(number))
            await asyncio.sleep(rng.uniform(0, whole))
            writing.cancel()
            done, _ = await asyncio.wait([writing], timeout=SECONDS)
            assert done, f"write {number} goes on {SECONDS} s after it was cancelled"
            cancelled += writing.cancelled()
    finally:
        await database.close()
    assert cancelled > TRIES / 4
    counts = await installation.fetch("SELECT count(*)::int AS n FROM dead_letter GROUP BY letter_topic")
    assert {row["n"] for row in counts} == {LETTERS}
    assert len(counts) >= WHOLE + TRIES - cancelled


def test_no_other_code_calls_the_driver_for_many_rows() -> None:
    """What calls `executemany` by itself would wait as long as the server does."""
    sources = [path for package in ("persistence", "workers") for path in sorted((ROOT / package).rglob("*.py"))]
    calling = [path.name for path in sources if ".executemany(" in path.read_text(encoding="utf-8")]
    assert calling == ["database.py"]
