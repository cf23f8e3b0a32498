"""The demonstration, as its user runs it, on the services of the tests."""

import os
import re
import subprocess

import asyncpg

from persistence import migrate
from tests.support.services import Services
from tests.support.worker import SILTSTONE
from workers.demo.place import place_at


def _demo(services: Services, *arguments: str) -> "subprocess.CompletedProcess[str]":
    addresses = {
        "KAFKA_BOOTSTRAP_SERVERS": services.kafka,
        "DATABASE_URL": services.database_url,
        "SILTSTONE_USE_EXTERNAL": "1",
    }
    return subprocess.run(
        [str(SILTSTONE), "demo", *arguments],
        env=os.environ | addresses | {"NO_COLOR": "1", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


async def _databases(services: Services) -> set[str]:
    connection = await asyncpg.connect(migrate.driver_dsn(services.database_url))
    try:
        return {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()


async def test_the_demo_ends_with_exact_counts_and_removes_what_it_made(services: Services) -> None:
    """A worker is killed, 20 records are bad, and the counts are exact (G1, G2, G4, G6, G7); `--clean` leaves none."""
    done = _demo(services)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "20,291 different events published: 20,291 rows, 20,291 counted by the states" in lines
    assert "20 bad records published: 20 dead letters" in lines
    assert "rows of acme that globex can see: 0" in lines
    (killed,) = re.findall(r"killed when ([\d,]+) of 20,291 events were stored", done.stdout)
    assert int(killed.replace(",", "")) < 20_291
    assert [line for line in done.stdout.splitlines() if len(line.rstrip()) > 80] == []
    assert "\x1b" not in done.stdout
    (name,) = re.findall(r"/(siltstone_demo_[0-9a-f]{6})\"", done.stdout)
    assert name in await _databases(services)
    assert _demo(services, "--clean").returncode == 0
    assert name not in await _databases(services)


def test_exported_addresses_are_ignored_on_the_local_stack() -> None:
    """Every setting of the shell is dropped when the local stack is used, addresses and owner's login too."""
    production = {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.production:9092",
        "KAFKA_GROUP_INSTANCE_ID": "one",
        "DATABASE_URL": "postgresql+asyncpg://a:b@production/main",
        "DATABASE_URL_FILE": "/run/secrets/url",
        "SILTSTONE_MIGRATION_DATABASE_URL": "postgresql+asyncpg://owner:c@production/main",
        "SILTSTONE_RETENTION_MONTHS": "1",
        "PATH": "/bin",
    }
    stack = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "DATABASE_URL": "postgresql+asyncpg://s:p@127.0.0.1:1/s"}
    place = place_at(stack, production)
    own = f"postgresql+asyncpg://s:p@127.0.0.1:1/{place.database}"
    assert dict(place.environment) == {
        "PATH": "/bin",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "DATABASE_URL": own,
        "SILTSTONE_MIGRATION_DATABASE_URL": own,
        "SILTSTONE_TOPIC_PREFIX": f"demo-{place.number}.",
        "KAFKA_GROUP_ID": f"demo-{place.number}",
    }


def test_external_services_are_used_in_a_database_of_its_own() -> None:
    """With services of the user's, the name of the database is replaced in both logins."""
    named = {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.staging:9092",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_GROUP_ID": "siltstone",
        "DATABASE_URL": "postgresql+asyncpg://a:b@staging/main",
        "SILTSTONE_MIGRATION_DATABASE_URL": "postgresql+asyncpg://owner:c@staging/main",
    }
    place = place_at(None, named)
    assert dict(place.environment) == {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.staging:9092",
        "KAFKA_SASL_USERNAME": "me",
        "DATABASE_URL": f"postgresql+asyncpg://a:b@staging/{place.database}",
        "SILTSTONE_MIGRATION_DATABASE_URL": f"postgresql+asyncpg://owner:c@staging/{place.database}",
        "SILTSTONE_TOPIC_PREFIX": f"demo-{place.number}.",
        "KAFKA_GROUP_ID": f"demo-{place.number}",
    }
