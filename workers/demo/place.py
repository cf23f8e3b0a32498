"""Where the demonstration works: a database, topics and groups of its own, on the local stack unless told otherwise."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy.engine import make_url

from persistence import databases, migrate
from workers import kafka
from workers.settings import Settings, load, variable_names

USE_EXTERNAL = "SILTSTONE_USE_EXTERNAL"
DATABASE_PREFIX = "siltstone_demo_"
_TOPIC = re.compile(r"^(?:dlq\.)?demo-([0-9a-f]{6})\.siltstone\.")
_CONNECTION = ("KAFKA_BOOTSTRAP_", "KAFKA_SECURITY_", "KAFKA_SASL_", "KAFKA_SSL_", "DB_", "DATABASE_URL")


@dataclass(frozen=True)
class Place:
    """`environment` is the whole environment of the demonstration's processes; `server_url` may make databases."""

    number: str
    environment: Mapping[str, str]
    server_url: str

    @property
    def settings(self) -> Settings:
        """The settings of its processes."""
        return load(self.environment)

    @property
    def database(self) -> str:
        """The name of its database."""
        return DATABASE_PREFIX + self.number

    @property
    def own_variables(self) -> dict[str, str]:
        """What sets it apart: the rest of a shell's environment may stay as it is."""
        return {name: self.environment[name] for name in ("SILTSTONE_TOPIC_PREFIX", "KAFKA_GROUP_ID")}


def uses_external(environ: Mapping[str, str]) -> bool:
    """Whether the addresses in the environment may be used: an exported one of production never is by accident."""
    return environ.get(USE_EXTERNAL) == "1"


def place_at(addresses: Mapping[str, str] | None, environ: Mapping[str, str] = os.environ) -> Place:
    """A new place on the local stack at `addresses`, or, when None, on the services that `environ` names.

    Of the settings in `environ` only those that say how to connect are kept, and those only when it is used.
    """
    number = secrets.token_hex(3)
    ours = variable_names()
    base = {name: value for name, value in environ.items() if name not in ours}
    if addresses is None:
        base |= {name: value for name, value in environ.items() if name in ours and name.startswith(_CONNECTION)}
        server_url = load(environ).owner_url
        worker_url = load(environ).database_url.get_secret_value()
    else:
        base |= addresses
        server_url = worker_url = addresses["DATABASE_URL"]
    return Place(
        number,
        base
        | {
            "DATABASE_URL": _in_database(worker_url, DATABASE_PREFIX + number),
            "SILTSTONE_MIGRATION_DATABASE_URL": _in_database(server_url, DATABASE_PREFIX + number),
            "SILTSTONE_TOPIC_PREFIX": f"demo-{number}.",
            "KAFKA_GROUP_ID": f"demo-{number}",
        },
        server_url,
    )


def _in_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def clean(place: Place) -> tuple[list[str], list[str]]:
    """Remove what former demonstrations left there: databases nobody uses, then topics whose database is gone.

    Returns the databases dropped, and those left because somebody is connected.
    """
    admin = AIOKafkaAdminClient(**kafka.connection(place.settings))
    try:
        await admin.start()
        topics = {name: found.group(1) for name in await admin.list_topics() if (found := _TOPIC.match(name))}
        dropped, left = await databases.drop_unused(migrate.driver_dsn(place.server_url), DATABASE_PREFIX)
        kept = {name.removeprefix(DATABASE_PREFIX) for name in left} | {place.number}
        if gone := sorted(name for name, number in topics.items() if number not in kept):
            await admin.delete_topics(gone)
    finally:
        await admin.close()
    return dropped, left
