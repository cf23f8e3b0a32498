"""A real Kafka and a real Postgres for tests: containers where a Docker engine answers, else the local stack."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from localstack import stack


@dataclass(frozen=True)
class Services:
    """Where they are. `folder` is the local stack's, None for containers (which fault tests cannot stop)."""

    kafka: str
    database_url: str
    folder: Path | None


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Services]:
    """Both services; a failure to start them fails the tests that need them, with what to do."""
    if os.environ.get("SILTSTONE_USE_EXTERNAL") == "1":
        yield Services(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["DATABASE_URL"], None)
    elif engine_answers():
        with containers() as services:
            yield services
    else:
        try:
            addresses = stack.up(folder, say=lambda _: None)
            yield Services(addresses.kafka_bootstrap_servers, addresses.database_url, folder)
        finally:
            stack.down(folder, delete=True)


def engine_answers() -> bool:
    """Whether a Docker engine is there."""
    try:
        client = docker.from_env(timeout=5)
        client.ping()
    except (DockerException, OSError):
        return False
    return True


@contextlib.contextmanager
def containers() -> Iterator[Services]:
    """The same services in containers, by testcontainers."""
    from testcontainers.kafka import KafkaContainer  # noqa: PLC0415 - slow to import, and only with an engine
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415

    kafka: Any = KafkaContainer("apache/kafka:4.3.1").with_kraft()
    postgres: Any = PostgresContainer("postgres:18", driver="asyncpg")
    with kafka, postgres:
        yield Services(kafka.get_bootstrap_server(), postgres.get_connection_url(), None)
