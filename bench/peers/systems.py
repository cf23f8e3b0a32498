"""What is measured: how each system is started, how its consumers are known to be complete, and where its rows are."""

import importlib.metadata
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import asyncpg
from sqlalchemy.engine import URL

from bench.drain import LEDGER, check_stored
from bench.peers import debezium, install, settings
from bench.processes import Command, Failed
from contracts.event_type import Family
from contracts.registry import topic_of


class Target(NamedTuple):
    """What one run is pointed at; `folder` is for files of its own."""

    servers: str
    url: URL
    prefix: str  # of every topic
    group: str
    folder: Path


class Table(NamedTuple):
    """Where rows appear: how many are to be seen, at little cost, and their events' times."""

    progress: str
    times: str


LOG = Table(LEDGER, "SELECT xmin, event_time AS sent_at FROM extraction_event")
FLAT = Table("SELECT count(*)::int FROM flat", "SELECT xmin, occurred_at AS sent_at FROM flat")


@dataclass(frozen=True)
class System:
    """One system with so many processes or tasks; `consumers` are those of its group when all are at work."""

    name: str
    title: str
    family: str  # systems of one family differ in how many processes or tasks they have
    form: str
    consumers: int
    table: Table
    commands: Callable[[Target], list[Command]]
    settings: object
    version: Callable[[], str]
    share: int = 1  # it drains one in so many of the events
    group_suffix: str = ""

    async def check(self, connection: asyncpg.Connection, count: int) -> None:
        """Raises Failed unless exactly `count` rows are there."""
        if self.table is LOG:
            await check_stored(connection, count)
        elif (found := await connection.fetchval(self.table.progress)) != count:
            raise Failed(f"published {count}, but {found} rows")


def _siltstone(processes: int) -> System:
    def commands(target: Target) -> list[Command]:
        program = Path(sys.executable).parent / "siltstone"
        own = {"SILTSTONE_TOPIC_PREFIX": target.prefix, "SILTSTONE_HTTP_PORT": "0"}
        environment = settings.SILTSTONE | own | _environment(target, "siltstone")
        return [Command([program, "worker", "--family", "extraction"], environment)] * processes

    return System(
        name=f"siltstone-{processes}",
        title=f"Siltstone, {_counted(processes, 'worker process', 'es')}",
        family="Siltstone",
        form="siltstone",
        consumers=2 * processes,
        table=LOG,
        commands=commands,
        settings=settings.SILTSTONE,
        version=lambda: importlib.metadata.version("siltstone"),
        group_suffix=f".{Family.extraction.value}",
    )


def _debezium(tasks: int) -> System:
    def commands(target: Target) -> list[Command]:
        topic = topic_of_form("connect", target.prefix)
        files = debezium.write(target.folder, target.servers, target.url, topic, target.group, tasks)
        jars = install.connect() / "libs" / "*"
        main = "org.apache.kafka.connect.cli.ConnectStandalone"
        return [Command([shutil.which("java") or "java", *settings.JAVA, "-cp", str(jars), main, *files], {})]

    return System(
        name=f"debezium-{tasks}",
        title=f"Debezium JDBC sink, {_counted(tasks, 'task')}",
        family="Debezium JDBC sink",
        form="connect",
        consumers=tasks,
        table=FLAT,
        commands=commands,
        settings=settings.DEBEZIUM | settings.CONNECT,
        version=lambda: _pinned("pom.xml", r"debezium-connector-jdbc</artifactId>\s*<version>([^<]+)"),
    )


def _quix(processes: int) -> System:
    def commands(target: Target) -> list[Command]:
        environment = _environment(target, "flat", "postgresql")
        return [Command([install.venv(), "-m", "bench.peers.quix"], environment)] * processes

    return System(
        name=f"quix-{processes}",
        title=f"Quix Streams, {_counted(processes, 'process', 'es')}",
        family="Quix Streams",
        form="flat",
        consumers=processes,
        table=FLAT,
        commands=commands,
        settings=settings.QUIX | settings.QUIX_SINK,
        version=lambda: _pinned("requirements.txt", r"quixstreams==(\S+)"),
    )


def _naive() -> System:
    def commands(target: Target) -> list[Command]:
        return [Command([sys.executable, "-m", "bench.peers.naive"], _environment(target, "one"))]

    return System(
        name="naive",
        title="naive consumer, a message a call",
        family="naive consumer",
        form="one",
        consumers=1,
        table=FLAT,
        commands=commands,
        settings={},
        version=lambda: f"FastStream {importlib.metadata.version('faststream')}",
        share=settings.NAIVE_SHARE,
    )


def _environment(target: Target, form: str, scheme: str = "postgresql+asyncpg") -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": target.servers,
        "KAFKA_TOPIC": topic_of_form(form, target.prefix),
        "KAFKA_GROUP_ID": target.group,
        "DATABASE_URL": target.url.set(drivername=scheme).render_as_string(hide_password=False),
    }


def _counted(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural if number > 1 else ''}"


def _pinned(file: str, pattern: str) -> str:
    found = re.search(pattern, (install.HERE / file).read_text())
    return found.group(1) if found else ""


SYSTEMS = (_siltstone(1), _siltstone(2), _debezium(1), _debezium(2), _quix(1), _quix(2), _naive())


def topic_of_form(form: str, prefix: str) -> str:
    """The topic that holds the events in a form."""
    return topic_of(Family.extraction, prefix) if form == "siltstone" else prefix + form


def said(system: System) -> str:
    """Its settings and Postgres's, in a line."""
    return json.dumps({"own": system.settings, "postgres": settings.POSTGRES})
