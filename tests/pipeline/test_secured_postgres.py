"""TLS to Postgres: sslmode and sslrootcert in DATABASE_URL mean to every command what they mean to libpq."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy.engine import make_url

from localstack.ports import HOST
from tests.support import commands
from tests.support.certificates import Authority
from tests.support.events import extraction, record
from tests.support.installation import Installation
from tests.support.tls_line import tls_line

OTHER_NAME = "localhost"  # the same machine by a name that the certificate does not have
UNTRUSTED = "no safe connection (unable to get local issuer certificate): check sslmode and sslrootcert in DATABASE_URL"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
async def port(installation: Installation, authority: Authority) -> AsyncIterator[int]:
    """Where the installation's Postgres takes TLS alone, with a certificate for 127.0.0.1."""
    direct = make_url(installation.database_url).port
    assert direct is not None
    async with tls_line(direct, authority.issue("postgres", f"IP:{HOST}")) as listening:
        yield listening


def by_line(installation: Installation, port: int, host: str = HOST, **query: object) -> dict[str, str]:
    """The installation's environment, its Postgres reached by the line, as `query` in the URL asks for."""
    url = make_url(installation.database_url).set(host=host, port=port).render_as_string(hide_password=False)
    return installation.environment | {"DATABASE_URL": f"{url}?{urlencode(query)}"}


async def run(environment: dict[str, str], *arguments: str) -> commands.Done:
    """Run a command while the line goes on; it must end in time."""
    return await asyncio.to_thread(commands.run, arguments, {**environment, "SILTSTONE_HTTP_PORT": "0"}, seconds=20)


async def test_verify_full_carries_all_of_it(installation: Installation, authority: Authority, port: int) -> None:
    """Migrations, commands and a worker reach a server whose certificate and name are verified."""
    trusted = by_line(installation, port, sslmode="verify-full", sslrootcert=authority.certificate)
    await installation.create_topics(1)
    await installation.produce(installation.topic("extraction"), [record(extraction(i)) for i in range(20)])
    worker = await installation.worker("--family", "extraction", environment=trusted).ready()
    await installation.settled("extraction")
    assert await worker.stop() == 0
    assert await installation.value("SELECT count(*) FROM extraction_event") == 20
    for arguments in (("db", "upgrade"), ("db", "status"), ("tenants", "create", "late"), ("verify",)):
        done = await run(trusted, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)


@pytest.mark.parametrize("command", ["tenants list", "db upgrade", "worker"])
async def test_a_server_that_is_not_verified_is_refused(
    installation: Installation, authority: Authority, port: int, tmp_path: Path, command: str
) -> None:
    """Another authority, another name and no authority at all each end a command, and a worker at its start."""
    stranger = Authority(tmp_path, "stranger").certificate
    known = authority.certificate
    home = {"HOME": str(tmp_path)}  # where libpq and asyncpg look for an authority that is not named
    tried = {
        UNTRUSTED: by_line(installation, port, sslmode="verify-full", sslrootcert=stranger),
        f"is not valid for '{OTHER_NAME}'": by_line(
            installation, port, OTHER_NAME, sslmode="verify-full", sslrootcert=known
        ),
        "no safe connection (ClientConfigurationError)": by_line(installation, port, sslmode="verify-full") | home,
        "expected a PEM file of certificates (FileNotFoundError)": by_line(
            installation, port, sslmode="verify-full", sslrootcert=tmp_path / "missing"
        ),
    }
    for says, environment in tried.items():
        done = await run(environment, *command.split())
        assert says in done.stderr, done.stderr
        assert done.returncode == (2 if "PEM" in says else 1 if command == "worker" else 5), done.stderr


async def test_require_verifies_nothing_and_disable_is_plain(installation: Installation, port: int) -> None:
    """As with libpq: `require` takes any certificate, and `disable` asks for no TLS, which this server drops."""
    assert (await run(by_line(installation, port, sslmode="require"), "tenants", "list")).returncode == 0
    done = await run(by_line(installation, port, sslmode="disable"), "tenants", "list")
    assert (done.returncode, "the database does not answer" in done.stderr) == (5, True)
