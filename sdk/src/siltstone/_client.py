"""What every event shares, and the one way by which it leaves."""

import contextvars
import datetime as dt
import decimal
import json
import os
import re
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siltstone._spool import Record
from siltstone._transport import Transport
from siltstone._types import FAMILIES

SPOOL_MAX_BYTES = 1024 * 1024 * 1024
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
KAFKA_VARIABLES = {
    "KAFKA_BOOTSTRAP_SERVERS": "bootstrap.servers",
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_SSL_CA_LOCATION": "ssl.ca.location",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "ssl.certificate.location",
    "KAFKA_SSL_KEY_LOCATION": "ssl.key.location",
}
"""The variables that workers read too, as librdkafka names them."""

traceparent: contextvars.ContextVar[str | None] = contextvars.ContextVar("siltstone_traceparent", default=None)
"""W3C trace context that events of this context carry."""


class NotConfigured(Exception):
    """No tenant is known: the message says how to name one."""


class Client:
    """Makes events and hands them over. Thread-safe; ids and times are made once, when the event is."""

    def __init__(self, tenant: str, source: str, prefix: str, transport: Transport) -> None:
        if not TENANT.fullmatch(tenant):
            raise NotConfigured(f"{tenant!r} is no tenant's id: small letters, digits, - and _ , 63 at most")
        self.tenant, self.source, self.transport = tenant, source, transport
        self._topics = {noun: f"{prefix}siltstone.{family}" for noun, family in FAMILIES.items()}

    def emit(
        self,
        noun_verb: str,
        subject: str,
        data: Mapping[str, Any],
        *,
        time: dt.datetime | None = None,
        id: str | None = None,  # noqa: A002 - the attribute's own name
    ) -> None:
        """One event, such as `session.started`; members of data that are None are left out. Never waits."""
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": id or str(uuid.uuid4()),
            "source": self.source,
            "type": f"siltstone.{noun_verb}.v1",
            "time": (time or dt.datetime.now(dt.UTC)).isoformat(timespec="microseconds"),
            "subject": subject,
            "tenantid": self.tenant,
            "datacontenttype": "application/json",
            "data": {name: value for name, value in data.items() if value is not None},
        }
        if parent := traceparent.get():
            event["traceparent"] = parent
        value = json.dumps(event, ensure_ascii=False, default=_json).encode("utf-8", "replace")
        self.transport.put(Record(self._topics[noun_verb], f"{self.tenant}/{subject}".encode(), value))


def _json(value: object) -> Any:
    """What JSON has for values that it has none for: never an error in the caller's thread."""
    match value:
        case decimal.Decimal():
            return str(value)
        case dt.datetime():
            moment = value if value.tzinfo else value.astimezone()
            return moment.isoformat(timespec="microseconds")
        case Mapping():
            return {str(name): member for name, member in value.items()}
        case set() | frozenset():
            return list(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case _:
            return repr(value)


_client: Client | None = None
_making = threading.Lock()


def configure(
    *,
    tenant: str | None = None,
    source: str | None = None,
    topic_prefix: str | None = None,
    kafka: Mapping[str, Any] | None = None,
    spool: str | os.PathLike[str] | None = None,
    spool_max_bytes: int | None = None,
) -> Client:
    """Say whose events these are, and where they go; what is not named comes from the environment.

    `kafka` are librdkafka's own settings, over those of the variables KAFKA_…. Raises NotConfigured.
    """
    global _client
    environment = os.environ
    named = tenant or environment.get("SILTSTONE_TENANT")
    if not named:
        raise NotConfigured("name the tenant: siltstone.configure(tenant=…), or the variable SILTSTONE_TENANT")
    settings = {name: environment[v] for v, name in KAFKA_VARIABLES.items() if environment.get(v)}
    settings = {"bootstrap.servers": "127.0.0.1:9092"} | settings | dict(kafka or {})
    folder = Path(spool or environment.get("SILTSTONE_SPOOL_FOLDER") or _state_folder())
    most = spool_max_bytes or int(environment.get("SILTSTONE_SPOOL_MAX_BYTES") or SPOOL_MAX_BYTES)
    prefix = environment.get("SILTSTONE_TOPIC_PREFIX", "") if topic_prefix is None else topic_prefix
    made = Client(named, source or "/siltstone/sdk", prefix, Transport(settings, folder, most))
    with _making:
        before, _client = _client, made
    if before:
        before.transport.close()
    return made


def client() -> Client:
    """The one that was configured, else one from the environment. Raises NotConfigured."""
    found = _client
    return found or configure()


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "siltstone" / "events"


def _forget() -> None:
    """In a forked child: the thread and the lines to Kafka are the parent's."""
    global _client  # noqa: PLW0603
    _client = None


os.register_at_fork(after_in_child=_forget)
