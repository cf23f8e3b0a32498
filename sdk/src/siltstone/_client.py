"""What every event shares, and the one way by which it leaves."""

import contextlib
import contextvars
import datetime as dt
import functools
import os
import re
import stat
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from time import time_ns
from typing import Any

from siltstone._json import as_json, text_as_json, text_of
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
        shared = f'"specversion":"1.0","source":{text_as_json(source)},"tenantid":"{tenant}"'
        shared += ',"datacontenttype":"application/json"'
        self._shared = {noun: f'{shared},"type":"siltstone.{noun}.v1"' for noun in FAMILIES}

    def emit(
        self,
        noun_verb: str,
        subject: str,
        data: Mapping[str, Any],
        *,
        time: dt.datetime | None = None,
        id: str | None = None,  # noqa: A002 - the attribute's own name
        parent: str | None = None,
    ) -> None:
        """One event, such as `session.started`; members of data that are None are left out. Never waits or raises.

        `parent` is its traceparent; else it is that of the context, or of OpenTelemetry's current span. What cannot be
        made an event, also one of an unknown type, is counted as dropped.
        """
        if noun_verb not in self._topics:
            self.transport.drop(1, f"there is no event {noun_verb!r}")
            return
        try:
            self.transport.put(self._record(noun_verb, text_of(subject), data, time, id, parent))
        except Exception as error:  # noqa: BLE001 - it is the agent's thread
            self.transport.drop(1, f"{noun_verb} cannot be made: {text_of(error)}")

    def _record(
        self,
        noun_verb: str,
        subject: str,
        data: Mapping[str, Any],
        time: dt.datetime | None,
        id: str | None,  # noqa: A002
        parent: str | None,
    ) -> Record:
        own = text_as_json(id) if id else f'"{new_id()}"'
        at = time.isoformat(timespec="microseconds") if time else _now()
        parent = parent or traceparent.get() or _current_span()
        within = f',"traceparent":{text_as_json(parent)}' if parent else ""
        content = as_json({name: value for name, value in data.items() if value is not None})
        # What all events of a type share is JSON already: made by each call, it would be a third of its time.
        head = f'"id":{own},"time":"{at}","subject":{text_as_json(subject)}{within},{self._shared[noun_verb]}'
        event = f'{{{head},"data":{content}}}'
        key = f"{self.tenant}/{subject}".encode("utf-8", "replace")
        return Record(self._topics[noun_verb], key, event.encode("utf-8", "replace"))


def new_id() -> str:
    """A UUIDv7 (RFC 9562): ids of a table's rows then follow their time, and its indexes stay small."""
    time, random = f"{time_ns() // 1_000_000:012x}", os.urandom(10)
    variant, rest = "89ab"[random[0] & 0b11], random[1:].hex()
    return f"{time[:8]}-{time[8:]}-7{rest[:3]}-{variant}{rest[3:6]}-{rest[6:]}"


def _now() -> str:
    seconds, microseconds = divmod(time_ns() // 1_000, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}+00:00"


@functools.lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """To the second; most events come in the same one as the event before."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%FT%T")


def trace_parent(trace: int, span: int, flags: int) -> str:
    """W3C's traceparent."""
    return f"00-{trace:032x}-{span:016x}-{flags:02x}"


def _current_span() -> str | None:
    """OpenTelemetry's, where the program has it."""
    current = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    if current is None:
        return None
    context = current().get_span_context()
    return trace_parent(context.trace_id, context.span_id, context.trace_flags) if context.is_valid else None


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
    prefix = environment.get("SILTSTONE_TOPIC_PREFIX", "") if topic_prefix is None else topic_prefix
    made = Client(named, source or "/siltstone/sdk", prefix, transport(kafka or {}, spool, spool_max_bytes))
    with _making:
        before, _client = _client, made
    if before:  # what it has left is sent behind the caller's back; the end of the program waits for it
        threading.Thread(target=before.transport.close, name="siltstone-close", daemon=True).start()
    return made


def transport(
    kafka: Mapping[str, Any], spool: str | os.PathLike[str] | None = None, spool_max_bytes: int | None = None
) -> Transport:
    """A way to Kafka; what is not named comes from the environment."""
    environment = os.environ
    settings = {name: environment[v] for v, name in KAFKA_VARIABLES.items() if environment.get(v)}
    settings = {"bootstrap.servers": "127.0.0.1:9092"} | settings | dict(kafka)
    folder = Path(spool or environment.get("SILTSTONE_SPOOL_FOLDER") or _state_folder())
    most = spool_max_bytes or int(environment.get("SILTSTONE_SPOOL_MAX_BYTES") or SPOOL_MAX_BYTES)
    return Transport(settings, folder, most)


def client() -> Client:
    """The one that was configured, else one from the environment. Raises NotConfigured."""
    found = _client
    return found or configure()


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "siltstone" / "events"
    except RuntimeError:  # neither HOME nor an entry of passwd
        return _temporary_folder()


def _temporary_folder() -> Path:
    """For a user without a home: theirs alone, whatever somebody else put in its place."""
    try:
        folder = Path(tempfile.gettempdir()) / f"siltstone-{os.getuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
        return Path(tempfile.mkdtemp(prefix="siltstone-"))
    except OSError:
        return Path(os.devnull) / "siltstone"  # none can be made there: an error is logged, and there is no spool
