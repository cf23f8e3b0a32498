"""Migrations under workers at full speed: up and down by one, and to a version yet to come beside a long reader."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command

from persistence import migrate
from tests.support.events import extraction, record
from tests.support.faults import account, counts, flowing, stored
from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import WorkerProcess

BACKLOG = 20_000
BAD = 200  # of these
MOST_SECONDS = 5.0  # the lock_timeout of a migration (persistence/migrate.py)
WITHOUT_TRIPS = "0009"  # a revision that lacks a table of the dead letters
BAD_RECORD = (None, b"{}", ())
TO_COME = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "to_come", "{head}", None, None


def upgrade():
    op.execute("ALTER TABLE extraction_event ADD COLUMN note TEXT")
    op.execute("ALTER TABLE session ADD COLUMN note TEXT DEFAULT 'none' NOT NULL")


def downgrade():
    op.execute("ALTER TABLE extraction_event DROP COLUMN note")
    op.execute("ALTER TABLE session DROP COLUMN note")
"""


async def at_full_speed(installation: Installation) -> list[WorkerProcess]:
    """Two workers in the midst of a backlog."""
    await installation.create_topics()
    every = BACKLOG // BAD
    records = [record(extraction(-n, sessions=9)) if n % every else BAD_RECORD for n in range(BACKLOG)]
    await installation.produce(installation.topic("extraction"), records)
    workers = [installation.worker("--family", "extraction") for _ in range(2)]
    await stored(installation, 1000)
    return workers


async def all_is_there(installation: Installation, sent: int, bad: int = BAD) -> None:
    """Every event has its row, its session counted it, every bad record has its letter, and no offset is missing."""
    await installation.settled("extraction")
    await installation.letters(bad)
    good = BACKLOG - BAD + sent
    assert await counts(installation) == {"rows": good, "counted": good, "letters": bad}
    kept = await account(installation, "extraction")
    assert (kept["stored"], kept["duplicate"], kept["refused"]) == (good, 0, bad)
    verified = await asyncio.to_thread(installation.run, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def holding(workers: list[WorkerProcess]) -> list[dict[str, Any]]:
    """What the workers say of holding."""
    return [entry for worker in workers for entry in worker.events("holding")]


async def test_steps_down_and_up_under_workers_lose_nothing(installation: Installation) -> None:
    """Workers hold what the older tables cannot take, go on with the rest, and store it once they are back."""
    workers = await at_full_speed(installation)
    async with flowing(installation) as flow:
        while await installation.value("SELECT version_num FROM alembic_version") != WITHOUT_TRIPS:
            await migrate.downgrade(installation.database_url, "-1")
        await installation.produce(installation.topic("extraction"), [BAD_RECORD])
        older = f"the database was migrated and is at revision {WITHOUT_TRIPS}; this program knows {migrate.head()}"

        async def says_so() -> bool:
            assert [worker.process.poll() for worker in workers] == [None, None]
            return any(older in entry["error"] for entry in holding(workers))

        await until("a worker holds", says_so)
        rows = await installation.value("SELECT count(*) FROM extraction_event")
        await stored(installation, rows + 400)
        await migrate.upgrade(installation.database_url)
    await all_is_there(installation, flow.sent, BAD + 1)
    assert [await worker.stop() for worker in workers] == [0, 0]


async def test_a_newer_database_is_worked_with_and_a_long_reader_ends_the_migration(
    installation: Installation, tmp_path: Path
) -> None:
    """Beside a reader's open transaction it ends by its lock_timeout and changes nothing; without, workers go on."""
    shutil.copytree(migrate.scripts(), tmp_path / "alembic")
    (tmp_path / "alembic/versions/to_come.py").write_text(TO_COME.format(head=migrate.head()), encoding="utf-8")
    config = migrate.config(installation.database_url)
    config.set_main_option("script_location", str(tmp_path / "alembic"))
    workers = await at_full_speed(installation)
    async with flowing(installation) as flow:
        reader = await asyncpg.connect(installation.dsn)
        try:
            async with reader.transaction():
                await reader.fetch("SELECT event_id FROM extraction_event LIMIT 1")
                began = time.monotonic()
                with pytest.raises(Exception, match="canceling statement due to lock timeout"):
                    await asyncio.to_thread(command.upgrade, config, "head")
                assert MOST_SECONDS <= time.monotonic() - began < 2 * MOST_SECONDS
                assert await installation.value("SELECT version_num FROM alembic_version") == migrate.head()
        finally:
            await reader.close()
        await asyncio.to_thread(command.upgrade, config, "head")
        rows = await installation.value("SELECT count(*) FROM extraction_event")
        await stored(installation, rows + 400)
        assert await installation.value("SELECT count(*) FROM session WHERE note = 'none'") == 9
        await asyncio.to_thread(command.downgrade, config, "-1")
    await all_is_there(installation, flow.sent)
    assert [entry for entry in holding(workers) if "migrat" in entry["error"]] == []
    assert [await worker.stop() for worker in workers] == [0, 0]
