"""Debezium's JDBC sink in a standalone Kafka Connect: its two files of properties."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL

from bench.peers import install
from bench.peers.settings import CONNECT, DEBEZIUM, DEBEZIUM_URL_OPTIONS
from localstack import ports


def write(folder: Path, servers: str, url: URL, topic: str, group: str, tasks: int) -> list[Path]:
    """The files that ConnectStandalone takes as its arguments."""
    worker = CONNECT | {
        "bootstrap.servers": servers,
        "plugin.path": str(install.connect() / "plugins"),
        "offset.storage.file.filename": str(folder / "offsets"),
        "listeners": f"http://{ports.HOST}:{ports.any_free()}",
    }
    sink = DEBEZIUM | {
        "name": group,
        "topics": topic,
        "tasks.max": str(tasks),
        "consumer.override.group.id": group,
        "collection.name.format": "flat",
        "connection.url": f"jdbc:postgresql://{url.host}:{url.port}/{url.database}?{DEBEZIUM_URL_OPTIONS}",
        "connection.username": str(url.username),
        "connection.password": str(url.password),
    }
    return [_written(folder / "worker.properties", worker), _written(folder / "sink.properties", sink)]


def _written(path: Path, properties: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    path.chmod(0o600)
    return path
