"""`siltstone stack` on real servers: started, killed, started again, in a folder whose name has a space."""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from localstack import folder as folders
from localstack import ports
from localstack.parts import kafka_of, postgres_of
from localstack.stack import Addresses, StackError, down, start_postgres, status, stop_postgres, up

ROOT = Path(__file__).parents[2]  # modules are imported from there until the package is installed
PROGRAM = [sys.executable, "-c", "from workers.cli.main import main; main()", "stack"]
PARTITIONS = 12
WRITERS = 8


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack on ports that the system picked, brought up by two commands at once."""
    folder = tmp_path_factory.mktemp("stack") / "a b, c"
    folders.claim(folder)
    folders.update(folder, kafka_port=ports.any_free(), postgres_port=ports.any_free())
    try:
        with ThreadPoolExecutor() as pool:
            first, second = pool.map(up, [folder, folder])
        assert first == second
        yield folder
    finally:
        down(folder, delete=True)


def siltstone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def pids(folder: Path) -> tuple[int | None, int | None]:
    found = status(folder)
    return found.kafka.pid, found.postgres.pid


def addresses(folder: Path) -> Addresses:
    found = status(folder).addresses
    assert found is not None
    return found


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.002)


async def ask(folder: Path, *statements: str) -> object:
    connection = await asyncpg.connect(addresses(folder).database_url.replace("+asyncpg", ""))
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def keep_rows(folder: Path) -> None:
    """A table of 1,000 rows, unless it is there."""
    await ask(folder, "CREATE TABLE IF NOT EXISTS kept AS SELECT generate_series(1, 1000) AS n", "SELECT 1")


async def commit_and_kill(bootstrap: str, topic: str, broker: int | None) -> None:
    """SIGKILL the broker, if one is given, as soon as it has acknowledged the commits of all writers.

    Each wrote a record to every partition; what a commit leaves in them, the broker still has to write.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    writers = [AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"writer-{n}") for n in range(WRITERS)]
    await asyncio.gather(*(writer.start() for writer in writers))
    for writer in writers:
        await writer.begin_transaction()
        for partition in range(PARTITIONS):
            await writer.send(topic, b"kept", partition=partition)
        await writer.flush()
    await asyncio.gather(*(writer.commit_transaction() for writer in writers))
    if broker is not None:
        os.kill(broker, signal.SIGKILL)
    await asyncio.gather(*(writer.stop() for writer in writers))


async def committed(bootstrap: str, topic: str) -> int:
    """How many records of the topic a read-committed reader gets within 30 s."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, n) for n in range(PARTITIONS)])
        count, deadline = 0, time.monotonic() + 30
        while count < WRITERS * PARTITIONS and time.monotonic() < deadline:
            count += sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
        return count
    finally:
        await consumer.stop()


async def test_database_is_as_configured(stack: Path) -> None:
    """The login is a superuser of a UTF-8 database in UTC that flushes its log."""
    shown = await ask(
        stack,
        "SELECT json_build_array(current_user, rolsuper, current_setting('server_encoding'),"
        " current_setting('TimeZone'), current_setting('fsync'), current_setting('password_encryption'),"
        " current_setting('listen_addresses'), current_setting('unix_socket_directories'))::text"
        " FROM pg_roles WHERE rolname = current_user",
    )
    assert json.loads(str(shown)) == [
        "siltstone", True, "UTF8", "UTC", "on", "scram-sha-256", "127.0.0.1", "",
    ]  # fmt: skip


def test_second_up_finds_the_first(stack: Path) -> None:
    """An `up` of what runs starts nothing and gives the same addresses."""
    before = (pids(stack), addresses(stack))
    done = siltstone("up", "--folder", str(stack))
    assert (done.returncode, done.stdout) == (0, "")
    assert "Kafka is running on" in done.stderr
    assert (pids(stack), addresses(stack)) == before


def test_env_and_status_print_what_programs_read(stack: Path) -> None:
    """`env` exports the addresses to a shell; `status -o json` names both parts."""
    lines = siltstone("env", "--folder", str(stack)).stdout
    shell = subprocess.run(
        ["/bin/sh", "-c", f'{lines} printf \'%s\n\' "$KAFKA_BOOTSTRAP_SERVERS" "$DATABASE_URL"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.splitlines() == list(addresses(stack).environment().values())
    assert all(shlex.split(line)[0] == "export" for line in lines.splitlines())
    done = siltstone("status", "--folder", str(stack), "-o", "json")
    assert done.returncode == 0
    assert [(row["part"], row["state"], row["pid"]) for row in json.loads(done.stdout)] == [
        ("kafka", "running", pids(stack)[0]),
        ("postgres", "running", pids(stack)[1]),
    ]


async def test_killed_postgres_comes_back_with_its_rows(stack: Path) -> None:
    """After SIGKILL `up` starts Postgres alone, on its port, with every committed row."""
    await keep_rows(stack)
    (kafka, postgres), before = pids(stack), addresses(stack)
    assert postgres is not None
    os.kill(postgres, signal.SIGKILL)
    wait_for(lambda: not status(stack).postgres.running, "the end of Postgres")
    assert siltstone("status", "--folder", str(stack)).returncode == 5
    assert siltstone("env", "--folder", str(stack)).returncode == 5
    assert up(stack) == before
    assert pids(stack)[0] == kafka
    assert pids(stack)[1] != postgres
    assert await ask(stack, "SELECT count(*) FROM kept") == 1000


async def test_killed_kafka_comes_back_with_its_transactions(stack: Path) -> None:
    """After SIGKILL right behind a commit `up` starts Kafka alone, and readers get the whole transaction."""
    (kafka, postgres), before = pids(stack), addresses(stack)
    assert kafka is not None
    await commit_and_kill(before.kafka_bootstrap_servers, "killed", kafka)
    wait_for(lambda: not status(stack).kafka.running, "the end of Kafka")
    assert up(stack) == before
    assert pids(stack)[1] == postgres
    assert pids(stack)[0] != kafka
    assert await committed(before.kafka_bootstrap_servers, "killed") == WRITERS * PARTITIONS


async def test_stale_pid_file_is_seen_through(stack: Path) -> None:
    """A pid file that names a living process that is no server of ours stops neither `status` nor `up`."""
    await keep_rows(stack)
    stop_postgres(stack, "immediate")
    data = postgres_of(stack).data
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n\n127.0.0.1\n\nready\n")
    assert not status(stack).postgres.running
    before = addresses_kept(stack)
    assert up(stack) == before
    assert psutil.Process(os.getpid()).is_running()
    assert await ask(stack, "SELECT count(*) FROM kept") == 1000


def addresses_kept(folder: Path) -> Addresses:
    """The addresses by what is remembered, while a part is down."""
    state, password = folders.load(folder), folders.password(folder)
    return Addresses(
        f"127.0.0.1:{state.kafka_port}",
        f"postgresql+asyncpg://siltstone:{password}@127.0.0.1:{state.postgres_port}/siltstone",
    )


async def test_taken_port_is_named_or_moved_from(stack: Path) -> None:
    """A fault test's start refuses a taken port; `up` says so and takes another."""
    await keep_rows(stack)
    stop_postgres(stack)
    kept = folders.load(stack).postgres_port
    assert kept is not None
    said: list[str] = []
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", kept))
        other.listen()
        with pytest.raises(StackError, match=f"port {kept} of Postgres is taken"):
            start_postgres(stack)
        up(stack, say=said.append)
    moved = folders.load(stack).postgres_port
    assert moved != kept
    assert f"port {kept} of Postgres is taken by another program; using {moved}" in said
    assert await ask(stack, "SELECT count(*) FROM kept") == 1000


async def test_lost_password_is_made_anew(stack: Path) -> None:
    """Without its password file the database stays, and opens with a new password."""
    await keep_rows(stack)
    old = folders.password(stack)
    (stack / folders.PASSWORD_FILE).unlink()
    up(stack)
    assert folders.password(stack) not in (None, old)
    assert await ask(stack, "SELECT count(*) FROM kept") == 1000


async def test_down_and_up_keep_addresses_and_data(stack: Path) -> None:
    """`down` ends every process of the stack; the next `up` has the same addresses, rows and records."""
    await keep_rows(stack)
    before = addresses(stack)
    await commit_and_kill(before.kafka_bootstrap_servers, "kept", None)
    done = siltstone("down", "--folder", str(stack))
    assert (done.returncode, done.stderr.splitlines()) == (0, ["Kafka is stopped", "Postgres is stopped"])
    assert pids(stack) == (None, None)
    assert up(stack) == before
    assert await ask(stack, "SELECT count(*) FROM kept") == 1000
    assert await committed(before.kafka_bootstrap_servers, "kept") == WRITERS * PARTITIONS


def kill_when(reached: Callable[[], bool], folder: Path, what: str) -> None:
    """SIGKILL an `up` as soon as it has come so far."""
    setup = subprocess.Popen(
        [*PROGRAM, "up", "--folder", str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: reached() or setup.poll() is not None, what)
    setup.kill()
    assert setup.wait() == -signal.SIGKILL


async def test_setup_killed_at_each_step_is_finished_by_the_next(tmp_path: Path) -> None:
    """`up` killed while Kafka formats, while it starts, while Postgres makes its data: the next ends well."""
    folder = tmp_path / "half made"
    folders.claim(folder)
    folders.update(folder, kafka_port=ports.any_free(), postgres_port=ports.any_free())
    kafka, postgres = kafka_of(folder), postgres_of(folder)
    steps: list[Callable[[], bool]] = [
        (kafka.place / "data.new").is_dir,
        lambda: kafka.running() is not None,
        (postgres.place / "data.new/base").is_dir,
    ]
    try:
        for number, reached in enumerate(steps):
            kill_when(reached, folder, f"step {number}")
        assert not postgres.data.exists()
        up(folder)
        assert await ask(folder, "SELECT 1") == 1
        parts = [psutil.Process(pid) for pid in pids(folder) if pid is not None]
        down(folder, delete=True)
        assert len(parts) == 2
        assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in parts)
        assert not folder.exists()
        assert not postgres.place.exists()
    finally:
        down(folder, delete=folder.exists())


def test_another_node_on_the_port_is_not_taken_for_ours(stack: Path) -> None:
    """Two stacks may have chosen one port; whose node could not have it is told so, and takes another."""
    ours = psutil.Popen(["sleep", "0.5"])
    assert not kafka_of(stack).ready(ours, folders.load(stack).kafka_port or 0)
    ours.wait()
