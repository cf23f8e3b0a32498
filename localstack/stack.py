"""A local Kafka and Postgres: `up`, `down`, `status`, and each part alone for tests of faults."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from localstack import folder as folders
from localstack import ports
from localstack.errors import StackError
from localstack.folder import default_folder, locked
from localstack.kafka_settings import Via
from localstack.parts import Say, kafka_of, postgres_of, quiet, run_kafka, run_postgres
from localstack.postgres import LOGIN

__all__ = [
    "Addresses", "Part", "StackError", "Status", "Via", "default_folder", "down", "start_kafka", "start_postgres",
    "status", "stop_kafka", "stop_postgres", "up",
]  # fmt: skip


@dataclass(frozen=True)
class Addresses:
    """Where the stack listens."""

    kafka_bootstrap_servers: str
    database_url: str

    def environment(self) -> dict[str, str]:
        """The settings that the other commands read."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers, "DATABASE_URL": self.database_url}


@dataclass(frozen=True)
class Part:
    """One server; `address`, `pid` and `since` are None while it is not running."""

    name: str
    running: bool
    address: str | None = None
    pid: int | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Status:
    """`addresses` is None unless both parts run."""

    folder: Path
    kafka: Part
    postgres: Part
    addresses: Addresses | None

    @property
    def running(self) -> bool:
        return self.addresses is not None


def up(
    folder: Path, *, say: Say = quiet, postgres_settings: Mapping[str, str] | None = None, via: Via | None = None
) -> Addresses:
    """Bring up what is not running, and return when both parts answer.

    A part keeps its port over `down` and `up` unless somebody else took it. `postgres_settings` and `via` (a
    second listener of Kafka's) count when a part is started, not when it is found running. Killed at any moment, it
    can be called again.
    """
    folder = _resolved(folder)
    folders.claim(folder)
    with locked(folder, say):
        folders.claim(folder)  # the holder before us may have deleted it
        run_kafka(folder, say, may_move=True, via=via)
        run_postgres(folder, say, postgres_settings or {}, may_move=True)
        return _addresses(folder)


def down(folder: Path, *, delete: bool = False, say: Say = quiet) -> None:
    """Stop both parts; `delete` removes the folder and all data, if it is a stack's."""
    folder = _resolved(folder)
    if not folders.is_ours(folder):
        if delete and folder.exists():
            raise StackError(f"{folder} is not a siltstone stack's folder; nothing was deleted")
        return
    with locked(folder, say):
        postgres = postgres_of(folder)
        if kafka_of(folder).stop(say=say):
            say("Kafka is stopped")
        if postgres.stop(say=say):
            say("Postgres is stopped")
        if delete:
            folders.remove(folder, postgres.place)
            say(f"{folder} is deleted")


def status(folder: Path) -> Status:
    """What runs now; asks nobody to wait, and changes nothing."""
    folder = _resolved(folder)
    if not folders.is_ours(folder):
        return Status(folder, Part("kafka", running=False), Part("postgres", running=False), None)
    state = folders.load(folder)
    postgres = postgres_of(folder)
    kafka_part = _part("kafka", kafka_of(folder).running(), state.kafka_port)
    postgres_part = _part("postgres", postgres.running(), postgres.port())
    both = kafka_part.running and postgres_part.running and folders.password(folder) is not None
    return Status(folder, kafka_part, postgres_part, _addresses(folder) if both else None)


def start_postgres(folder: Path, *, postgres_settings: Mapping[str, str] | None = None) -> None:
    """Start Postgres of a stack that was up, on the port that it had; nothing when it runs."""
    folder = _known(folder)
    with locked(folder):
        run_postgres(folder, quiet, postgres_settings or {}, may_move=False)


def stop_postgres(folder: Path, mode: str = "fast") -> None:
    """Stop Postgres alone: `fast`, or `immediate` as in a crash."""
    folder = _known(folder)
    with locked(folder):
        postgres_of(folder).stop(mode)


def start_kafka(folder: Path, *, via: Via | None = None) -> None:
    """Start Kafka of a stack that was up, on the port that it had; nothing when it runs."""
    folder = _known(folder)
    with locked(folder):
        run_kafka(folder, quiet, may_move=False, via=via)


def stop_kafka(folder: Path, kill: bool = False) -> None:  # noqa: FBT001, FBT002
    """Stop Kafka alone: in order, or with SIGKILL."""
    folder = _known(folder)
    with locked(folder):
        kafka_of(folder).stop(by_kill=kill)


def _resolved(folder: Path) -> Path:
    return folder.expanduser().resolve()


def _known(folder: Path) -> Path:
    folder = _resolved(folder)
    if not folders.is_ours(folder):
        raise StackError(f"there is no stack in {folder}; start one with `siltstone stack up`")
    return folder


def _addresses(folder: Path) -> Addresses:
    state = folders.load(folder)
    password = folders.password(folder)
    return Addresses(
        kafka_bootstrap_servers=f"{ports.HOST}:{state.kafka_port}",
        database_url=f"postgresql+asyncpg://{LOGIN}:{password}@{ports.HOST}:{state.postgres_port}/{LOGIN}",
    )


def _part(name: str, process: psutil.Process | None, port: int | None) -> Part:
    if process is None:
        return Part(name, running=False)
    try:
        since = datetime.fromtimestamp(process.create_time(), tz=UTC)
    except psutil.NoSuchProcess:
        return Part(name, running=False)
    return Part(name, running=True, address=f"{ports.HOST}:{port}", pid=process.pid, since=since)
