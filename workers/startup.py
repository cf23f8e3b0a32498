"""What must hold before a worker takes its first record: a migrated database, topics that exist."""

import asyncio
import contextlib
from itertools import count

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from persistence import migrate
from persistence.database import Database
from workers import kafka
from workers.failure import GivenUp, RetryLater, Stop
from workers.judging import judged
from workers.kafka_trouble import trouble
from workers.settings import Settings

START_SECONDS = 60.0
PAUSE_SECONDS = 1.0
LOOKS_BETWEEN_WORDS = 30  # a wait is told when it begins, and then about twice a minute

log = structlog.get_logger("siltstone.startup")


async def check_schema(opened: Database, stopping: asyncio.Event) -> None:
    """Raise Stop unless the database is migrated to what this program knows. An outage is waited for.

    From then on a worker holds, and does not stop, while the database is migrated away from that.
    """
    for look in count():
        try:
            with judged("the database cannot be used"):
                async with opened.transaction(readonly=True) as connection:
                    migrated = await migrate.current(connection)
        except RetryLater as outage:
            await _pause(stopping, look, "the database", str(outage))
            continue
        if (revision := migrated.revision) != migrate.head():
            have = f"is at revision {revision}" if revision else "was never migrated"
            is_newer = revision is not None and revision > migrate.head()
            remedy = "run the newer program that migrated it" if is_newer else "run `siltstone db upgrade`"
            raise Stop(f"the database {have}; this program needs {migrate.head()}: {remedy}")
        opened.migrated = migrated
        return


async def check_topics(settings: Settings, stopping: asyncio.Event) -> set[str]:
    """All topics there are; raises Stop when one is missing or Kafka refuses us. An outage is waited for, a minute."""
    wanted = [*kafka.topics(settings).values(), *kafka.dlq_topics(settings).values()]
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    for look in count():
        admin = AIOKafkaAdminClient(**kafka.connection(settings))
        try:
            await admin.start()
            present = set(await admin.list_topics())
        except (KafkaError, OSError) as error:
            servers, found = settings.kafka_bootstrap_servers, await trouble(settings)
            if found and found.is_final:
                raise Stop(f"Kafka at {servers} cannot be used: {found.what}") from error
            if asyncio.get_running_loop().time() > deadline:
                more = f"; {found.what}" if found else ""
                raise Stop(f"Kafka does not answer at {servers}: {type(error).__name__}{more}") from error
            await _pause(stopping, look, f"Kafka at {servers}", found.what if found else type(error).__name__)
            continue
        finally:
            await admin.close()
        if missing := sorted(set(wanted) - present):
            raise Stop(f"these topics are missing: {', '.join(missing)}; run `siltstone topics apply`")
        return present
    raise AssertionError("it looks until it returns or raises")


async def _pause(stopping: asyncio.Event, look: int, what: str, because: str) -> None:
    """Wait before another look, after `look` others; raises GivenUp when the worker is to stop."""
    if look % LOOKS_BETWEEN_WORDS == 0:
        log.warning("waiting to start", waits_for=what, because=because)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), PAUSE_SECONDS)
    if stopping.is_set():
        raise GivenUp("stopped before the worker had started")
