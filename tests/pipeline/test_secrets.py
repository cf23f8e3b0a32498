"""Secrets stay secret: whatever works or fails, no output, log, answer, row or command line has a password."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
import pytest
from sqlalchemy.engine import make_url

from docs.pages.commands import program, walk
from tests.support import commands, unexpected
from tests.support.events import extraction, record
from tests.support.faults import held, stored
from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import SILTSTONE
from workers.settings import InvalidSettings, load, variable_names

CANARY = "c4n4ry"  # begins every password here
AWAY = "127.0.0.1:1"
EVERYTHING_ON = {"DB_ECHO": "true", "SILTSTONE_TRACEBACK": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "default"}
RUNS_FOR_LONG = {"siltstone demo", "siltstone stack up", "siltstone worker"}  # the last has tests of its own here
SHOWS_SECRETS = {"siltstone stack env"}  # that is what it is for
TEXTS = {
    "KAFKA_GROUP_ID",
    "KAFKA_GROUP_INSTANCE_ID",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "SILTSTONE_TOPIC_PREFIX",
    "SILTSTONE_SPOOL_FOLDER",
}
ALONE = ("publish", "verify", "schemas", "wrap")  # commands of one word
FILES = {
    "junit": '<testsuite name="a"><testcase name="x"/></testsuite>',
    "promptfoo": '{"results": {"version": 3, "results": [{}]}}',
    "otel": '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "a", "spanId": "b", "name": "c", '
    '"startTimeUnixNano": "1770000000000000000"}]}]}]}',
    "runs-json": '{"id": "a", "status": "done"}',
    "sentinel-yaml": "name: a",
}
"""A file of each kind that is imported."""
"""Variables that any text will do for."""
END_WAITING = """
SELECT bool_or(pg_terminate_backend(pid)) FROM pg_locks
WHERE NOT granted AND relation = 'extraction_event'::regclass
"""
TENANT = "late"
TRAJECTORY = {"trajectory": [{"action": "ls", "observation": "a.py", "thought": "look"}], "info": {}}


class Logins(NamedTuple):
    """Two logins of Postgres, for workers and for migrations, each with a password of its own."""

    worker: str
    owner: str
    environment: dict[str, str]


def password() -> str:
    return f"{CANARY}-{secrets.token_hex(8)}"


def with_password(url: str, login: str, word: str) -> str:
    return make_url(url).set(username=login, password=word).render_as_string(hide_password=False)


@pytest.fixture
async def logins(installation: Installation) -> AsyncIterator[Logins]:
    """Logins whose environment has a password in every variable that holds one."""
    worker, owner = (f"t_{kind}_{secrets.token_hex(4)}" for kind in ("worker", "owner"))
    words = password(), password()
    await installation.execute(
        f"CREATE ROLE {worker} LOGIN PASSWORD '{words[0]}' IN ROLE siltstone_worker, siltstone_operator, "
        f"siltstone_reader; CREATE ROLE {owner} SUPERUSER LOGIN PASSWORD '{words[1]}'"
    )
    url = installation.database_url
    environment = installation.environment | {
        "DATABASE_URL": with_password(url, worker, words[0]),
        "SILTSTONE_MIGRATION_DATABASE_URL": with_password(url, owner, words[1]),
        "KAFKA_SASL_USERNAME": "somebody",
        "SILTSTONE_SPOOL_FOLDER": str(installation.folder / "spool"),
        "KAFKA_SASL_PASSWORD": password(),
    }
    yield Logins(worker, owner, environment)
    await installation.close()
    await installation.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('{worker}', '{owner}')"  # noqa: S608
    )
    await installation.execute(f"DROP ROLE {worker}; DROP ROLE {owner}")


def wrong(environment: Mapping[str, str]) -> dict[str, str]:
    """The same logins with wrong passwords; Kafka, which takes none, is given one."""
    return {
        **environment,
        **{
            name: with_password(environment[name], make_url(environment[name]).username or "", password())
            for name in ("DATABASE_URL", "SILTSTONE_MIGRATION_DATABASE_URL")
        },
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    }


def away(environment: Mapping[str, str]) -> dict[str, str]:
    """The same passwords, and nobody who would take them."""
    host, port = AWAY.split(":")
    urls = {
        name: make_url(environment[name]).set(host=host, port=int(port)).render_as_string(hide_password=False)
        for name in ("DATABASE_URL", "SILTSTONE_MIGRATION_DATABASE_URL")
    }
    return {**environment, **urls, "KAFKA_BOOTSTRAP_SERVERS": AWAY}


def command_lines(folder: Path, letter: str) -> list[tuple[str, ...]]:
    """Every command, in an order in which all of them succeed on one letter."""
    trajectory, exported = folder / "run.traj", folder / "letters.jsonl"
    trajectory.write_text(json.dumps(TRAJECTORY))
    for kind, content in FILES.items():
        (folder / kind).write_text(content)
    lines, mapping = folder / "lines", folder / "mapping"
    lines.write_text('{"a": "s"}')
    mapping.write_text("events: [{type: session.started, subject: $a, data: {agent_name: x}}]")
    return [
        *(("db", name) for name in ("upgrade", "status", "maintain")),
        *(("topics", name) for name in ("apply", "list")),
        *(("tenants", *words) for words in (("create", TENANT), ("list",), ("suspend", TENANT), ("activate", TENANT))),
        ("publish", "--type", "session.deleted", "--subject", "s", "--tenant", "acme", "--source", "/tests"),
        ("import", "swe-agent", str(trajectory), "--tenant", "acme"),
        *(("import", kind, str(folder / kind), "--tenant", "acme") for kind in FILES),
        ("import", "jsonl", str(lines), "--mapping", str(mapping), "--tenant", "acme"),
        ("wrap", "--tenant", "acme", "--no-pty", "--wait", "--", "true"),
        ("spool", "status"),
        ("spool", "flush"),
        ("schemas",),
        ("verify",),
        ("dlq", "list"),
        ("dlq", "show", letter),
        ("dlq", "stats"),
        ("dlq", "export", letter, "--to", str(exported)),
        ("dlq", "import", str(exported)),
        ("dlq", "read", "--topic", "extraction"),
        ("dlq", "edit", letter, "--set-text", "data.pattern=q"),
        ("dlq", "park", letter),
        ("dlq", "discard", letter, "--why", "a test"),
        ("dlq", "restore", letter),
        ("dlq", "redrive", "--id", letter, "--yes"),
        ("dlq", "purge", "--before", "7d", "--yes"),
        ("stack", "status", "--folder", str(folder / "stack")),
        ("stack", "down", "--folder", str(folder / "stack")),
    ]


async def letter_of(installation: Installation) -> str:
    """The id of a letter that a worker made and indexed."""
    worker = await installation.worker("--family", "extraction").ready()
    await installation.produce(installation.topic("extraction"), [record(extraction(1, tenant=TENANT))])
    (letter,) = await installation.letters(1)
    assert await worker.stop() == 0
    return str(letter["id"])


async def test_no_command_says_a_secret(installation: Installation, logins: Logins, tmp_path: Path) -> None:
    """Each command, working, with wrong passwords and with both services away, keeps them to itself."""
    await installation.create_topics(1)
    lines = command_lines(tmp_path, await letter_of(installation))
    named = {"siltstone " + " ".join(line[: 1 if line[0] in ALONE else 2]) for line in lines}
    assert named == {name for name, _ in walk(program(), "siltstone")} - RUNS_FOR_LONG - SHOWS_SECRETS
    working = [(line, await run(logins.environment, *line)) for line in lines]
    failed = [(line, done.returncode, done.stderr) for line, done in working if done.returncode]
    assert [(line[:2], code) for line, code, _ in failed] == [(("stack", "status"), 5)], failed

    needs_services = [line for line in lines if line[0] not in ("schemas", "stack", "wrap", "spool")]
    for situation in (wrong, away):
        environment = situation(logins.environment)
        done = await asyncio.gather(*(run(environment, *line) for line in needs_services))
        codes = {one.returncode for one in done}
        assert codes == {5}, [
            (line, one) for line, one in zip(needs_services, done, strict=True) if one.returncode != 5
        ]


async def run(
    environment: Mapping[str, str], *arguments: str, first: Callable[[], None] | None = None
) -> commands.Done:
    """Run a command with everything on that makes it say more; it must keep its secrets."""
    own = os.environ | environment | EVERYTHING_ON | {"SILTSTONE_HTTP_PORT": "0"}
    done = await asyncio.to_thread(commands.run, arguments, own, first=first, seconds=60)
    for text in (done.stdout, done.stderr):
        assert CANARY not in text, (arguments, text)
    return done


async def test_a_worker_says_no_secret(installation: Installation, logins: Logins) -> None:
    """Not in its log, its answers, its letters, its sessions or its command line, through outages and to its end."""
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    events = [record(extraction(i)) for i in range(50)]
    worker = await installation.worker(
        "--family", "extraction", environment=logins.environment | EVERYTHING_ON, anew=True
    ).ready()
    await installation.produce(topic, [*events, (b"acme/x", b"no JSON", [])])
    await installation.letters(1)
    await installation.settled("extraction")
    answers = [await worker.get(path) for path in ("/metrics", "/health/live", "/health/ready", "/nowhere")]
    assert [status for status, _ in answers] == [200, 200, 200, 404]
    letters = await installation.fetch("SELECT l::text FROM dead_letter AS l")
    records = await installation.read_all(installation.dlq("extraction"))
    sessions = await installation.fetch("SELECT a::text FROM pg_stat_activity AS a WHERE usename = $1", logins.worker)
    assert (len(letters), len(records), len(sessions) > 0) == (1, 1, True)
    publishing = await asyncio.create_subprocess_exec(
        SILTSTONE, "publish", "-", env=os.environ | logins.environment, stdin=subprocess.PIPE
    )
    try:
        seen = own_processes(installation)
        assert {worker.process.pid, publishing.pid, os.getpid()} < set(seen)
        assert "publish" in seen[publishing.pid]
        for said in (*answers, letters, records, sessions, *seen.values()):
            assert CANARY not in str(said)
    finally:
        await publishing.communicate(b"")

    connection = await asyncpg.connect(installation.dsn)
    async with connection.transaction():  # an outage: the session that waits for the lock is ended
        await connection.execute("LOCK TABLE extraction_event IN ACCESS EXCLUSIVE MODE")
        await installation.produce(topic, [record(extraction(50))])

        async def ended() -> bool:
            return bool(await connection.fetchval(END_WAITING))

        await until("the worker waits for the lock", ended, 20)
        await held(worker, "store")
    await connection.close()
    await stored(installation, 51)
    await installation.execute(f"ALTER ROLE {logins.worker} PASSWORD '{password()}'")
    await installation.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", logins.worker)
    await installation.produce(topic, [record(extraction(60))])
    assert await worker.ended() == 1
    assert "SQLSTATE 28P01" in worker.log
    assert CANARY not in worker.log


def own_processes(installation: Installation) -> dict[int, str]:
    """What `ps` shows of this test's processes: ours, what it started, and Postgres' for its database.

    Other tests run beside this one, with passwords of their own.
    """
    database = make_url(installation.database_url).database or ""
    ours = {os.getpid(), *(process.pid for process in psutil.Process().children(recursive=True))}
    texts = {process.pid: process_text(process) for process in psutil.process_iter()}
    return {pid: text for pid, text in texts.items() if pid in ours or database in text}


def process_text(process: psutil.Process) -> str:
    """What `ps` shows of a process: its title and its command line."""
    try:
        return f"{process.name()} {' '.join(process.cmdline())}"
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_traceback_shows_a_secret(installation: Installation, logins: Logins, form: str) -> None:
    """A defect's traceback, of a command and in a worker's log, has no values of variables."""
    await installation.create_topics(1)
    await installation.produce(installation.topic("extraction"), [record(extraction(1))])
    environment = logins.environment | {"SILTSTONE_LOG_FORMAT": form}
    done = await run(environment, "worker", first=unexpected.break_settling)
    broken = "from tests.support import unexpected as u; u.break_topics(); from workers.cli.main import main; main()"
    command = await asyncio.create_subprocess_exec(  # an interpreter that nobody else waits for shows tracebacks itself
        *(sys.executable, "-c", broken, "topics", "list"),
        env=os.environ | environment | EVERYTHING_ON,
        stderr=subprocess.PIPE,
    )
    said = {"worker": done.stderr, "command": (await command.communicate())[1].decode()}
    assert (done.returncode, command.returncode) == (1, 1)
    for text in said.values():
        assert ("fail_within" in text, "LookupError" in text, CANARY in text) == (True, True, False), text


MALFORMED = (
    "postgresql+asyncpg://user:{}@host:port/db",
    "postgresql+asyncpg://user:{}",  # to SQLAlchemy the password is the port
    "postgresql+asyncpg://user:{}/db",
    "postgresql+asyncpg//user:{}@host/db",
    "mysql://user:{}@host/db",
    "{}://user@host/db",
)
TAKEN_APART = "postgresql+asyncpg://user:a@{}@nowhere.invalid/db"  # to SQLAlchemy all between the @ is of the host


@pytest.mark.parametrize("variable", sorted(variable_names()))
def test_no_variable_is_quoted_when_it_is_refused(variable: str) -> None:
    """A URL that is malformed, or stands in another variable by mistake, is not in the message."""
    for form in MALFORMED:
        environment = {variable: form.format(CANARY)}
        if variable in TEXTS:
            load(environment)
            continue
        with pytest.raises(InvalidSettings, match=variable) as refused:
            load(environment)
        assert CANARY not in str(refused.value)


async def test_no_command_quotes_a_malformed_url() -> None:
    """Nor does what is raised when such a URL is used: a command ends with what is wrong alone."""
    for form, code in ((MALFORMED[0], 2), (MALFORMED[1], 2), (TAKEN_APART, 5)):
        environment = {"DATABASE_URL": form.format(CANARY)}
        for arguments in (("tenants", "list"), ("db", "upgrade"), ("worker",))[: 2 if form is TAKEN_APART else 3]:
            done = await run(environment, *arguments)
            assert (done.returncode, "unexpected" in done.stderr) == (code, False), (arguments, done)
