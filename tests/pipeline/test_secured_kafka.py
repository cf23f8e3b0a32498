"""A Kafka that asks for TLS and a login: everything works by the right settings, and wrong ones are told apart."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import commands
from tests.support.certificates import Authority
from tests.support.events import encoded, extraction
from tests.support.installation import Databases, Installation, drop_database
from tests.support.secured_kafka import OTHER_NAME, USER, SecuredKafka, secured_kafka
from tests.support.services import Services
from workers import startup

CANARY = "c4n4ry"  # begins every password here, and is looked for where it must not be
PLAIN, SCRAM, WRONG = (f"{CANARY}-{name}" for name in ("plain", "scram", "wrong"))
MOST_SECONDS = 15.0  # until any of them ends that cannot work


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secured")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    """Whom all trust."""
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    """Whom nobody trusts."""
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def broker(folder: Path, authority: Authority) -> Iterator[SecuredKafka]:
    with secured_kafka(folder / "kafka", authority, plain_password=PLAIN, scram_password=SCRAM) as started:
        yield started


@pytest.fixture(scope="module")
def ways(broker: SecuredKafka, authority: Authority) -> dict[str, dict[str, str]]:
    """The right settings for each way in."""
    client = authority.issue("client")
    trust = {"KAFKA_SSL_CA_LOCATION": str(authority.certificate)}
    login = trust | {
        "KAFKA_BOOTSTRAP_SERVERS": broker.login,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": USER,
    }
    return {
        "scram": login | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_PASSWORD": SCRAM},
        "plain": login | {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_PASSWORD": PLAIN},
        "mutual": trust
        | {
            "KAFKA_BOOTSTRAP_SERVERS": broker.mutual,
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CERTIFICATE_LOCATION": str(client.certificate),
            "KAFKA_SSL_KEY_LOCATION": str(client.key),
        },
    }


@pytest.fixture(scope="module")
async def migrated_url(services: Services, databases: Databases) -> AsyncIterator[str]:
    """A database for those who never come to use it."""
    url = await databases.take()
    yield url
    await drop_database(services, url)


@pytest.fixture
async def installation(
    broker: SecuredKafka, services: Services, databases: Databases, tmp_path: Path
) -> AsyncIterator[Installation]:
    """Its commands and workers get their way in from the test; the test's own clients take the open one."""
    url = await databases.take()
    made = Installation(Services(broker.plain, services.database_url, None), url, tmp_path)
    await made.create_tenants("acme")
    yield made
    await made.close()
    await drop_database(services, url)


@pytest.mark.parametrize("way", ["scram", "plain", "mutual"])
async def test_all_of_it_works_by_each_way_in(
    installation: Installation, ways: dict[str, dict[str, str]], way: str
) -> None:
    """Topics, 200 events, 5 letters, one redriven, the index read again, all accounted for; no password is said."""
    installation.environment |= ways[way]
    assert installation.run("topics", "apply", "--partitions", "2").returncode == 0
    events = [extraction(i) for i in range(200)] + [extraction(i, tenant="later") for i in range(5)]
    done = installation.run("publish", "-", "-o", "json", stdin=b"\n".join(map(encoded, events)))
    assert [row["acknowledged"] for row in json.loads(done.stdout)] == [205], done.stderr

    worker = await installation.worker().ready()
    letters = await installation.letters(5)
    await installation.settled("extraction")
    await installation.create_tenants("later")
    done = installation.run("dlq", "redrive", "--id", str(letters[0]["id"]), "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    answers = [await worker.get(path) for path in ("/metrics", "/health/live", "/health/ready")]
    assert await worker.stop() == 0
    assert [status for status, _ in answers] == [200, 200, 200]
    assert CANARY not in f"{worker.log}{answers}"

    assert await installation.value("SELECT count(*) FROM extraction_event") == 201
    statuses = Counter(letter["status"] for letter in await installation.letters(5))
    assert statuses == Counter(dead=4, resolved=1)
    assert installation.run("dlq", "read", "--topic", "extraction").returncode == 0
    done = installation.run("verify", "-o", "json")
    assert (done.returncode, sum(row["stored"] + row["refused"] for row in json.loads(done.stdout))) == (0, 206)


class Mistake(NamedTuple):
    """What is wrong about a way in, and what every command then says."""

    way: str
    wrong: dict[str, str]
    says: str


def mistakes(broker: SecuredKafka, stranger: Authority) -> dict[str, Mistake]:
    """All of `NAMES`."""
    refused = f"{broker.login} refuses the login: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"
    untrusted = f"the certificate of {broker.login} is not trusted (unable to get local issuer certificate): "
    no_client = f"{broker.mutual} refuses the certificate of this client, or asks for one"
    closes = "closes the connection: it may want another KAFKA_SECURITY_PROTOCOL than"
    other = broker.login.replace("127.0.0.1", OTHER_NAME)
    forged = stranger.issue("client")
    found = (
        Mistake("scram", {"KAFKA_SASL_PASSWORD": WRONG}, refused),
        Mistake("plain", {"KAFKA_SASL_PASSWORD": WRONG}, refused),
        Mistake("scram", {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}, f"{broker.login} does not offer SCRAM-SHA-256"),
        Mistake(
            "scram",
            {"KAFKA_SSL_CA_LOCATION": str(stranger.certificate)},
            untrusted + "KAFKA_SSL_CA_LOCATION must name a PEM file",
        ),
        Mistake(
            "scram",
            {"KAFKA_BOOTSTRAP_SERVERS": other},
            f"the certificate of {other} is for another name: give the brokers in KAFKA_BOOTSTRAP_SERVERS",
        ),
        Mistake(
            "scram",
            {"KAFKA_BOOTSTRAP_SERVERS": broker.plain, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
            f"{broker.plain} takes no login: KAFKA_SECURITY_PROTOCOL must be PLAINTEXT or SSL",
        ),
        Mistake(
            "mutual",
            {"KAFKA_SSL_CERTIFICATE_LOCATION": str(forged.certificate), "KAFKA_SSL_KEY_LOCATION": str(forged.key)},
            no_client,
        ),
        Mistake("mutual", {"KAFKA_SSL_CERTIFICATE_LOCATION": "", "KAFKA_SSL_KEY_LOCATION": ""}, no_client),
        Mistake("scram", {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, f"{broker.login} {closes} PLAINTEXT"),
        Mistake("scram", {"KAFKA_BOOTSTRAP_SERVERS": broker.plain}, f"{broker.plain} {closes} SASL_SSL"),
    )
    return dict(zip(NAMES, found, strict=True))


NAMES = (
    "wrong password",
    "wrong password by PLAIN",
    "a mechanism that is not offered",
    "untrusted authority",
    "another name",
    "a login where none is taken",
    "a forged certificate",
    "no certificate",
    "plaintext",
    "TLS where there is none",
)
BY_ALL = ("wrong password", "untrusted authority", "another name", "plaintext")  # the others: by the first command
OUTAGES = ("plaintext", "TLS where there is none")  # for a worker: a broker that is stopping closes connections too
EVENT = encoded(extraction(1))
COMMANDS = (
    ("topics", "apply"),
    ("topics", "list"),
    ("publish", "-"),
    ("dlq", "read", "--topic", "extraction"),
    ("dlq", "redrive", "--all", "--yes"),
    ("verify",),
)


@pytest.mark.parametrize("name", NAMES)
async def test_a_mistake_is_named_with_its_remedy(
    migrated_url: str, broker: SecuredKafka, stranger: Authority, ways: dict[str, dict[str, str]], name: str
) -> None:
    """A command, and a worker at its start, ends within seconds, says what to do, and says no password."""
    mistake = mistakes(broker, stranger)[name]
    own = {"DATABASE_URL": migrated_url, "SILTSTONE_HTTP_PORT": "0"}
    environment = os.environ | own | ways[mistake.way] | mistake.wrong
    patience = partial(wait_for_brokers, 1.0)

    def run(*arguments: str) -> commands.Done:
        return commands.run(arguments, environment, EVENT, seconds=MOST_SECONDS, first=patience)

    tried = COMMANDS if name in BY_ALL else COMMANDS[:1]
    worker, *done = await asyncio.gather(*(asyncio.to_thread(run, *c) for c in (("worker",), *tried)))
    for one in (worker, *done):
        said = one.stdout + one.stderr
        assert mistake.says in said, (one.args, said)
        assert CANARY not in said, one.args
    assert [one.returncode for one in done] == [5] * len(tried)
    assert (worker.returncode, "does not answer at" in worker.stderr) == (1, name in OUTAGES), worker.stderr


def wait_for_brokers(seconds: float) -> None:
    """A worker's start waits so long for a broker that may be stopping, or starting."""
    startup.START_SECONDS = seconds
