"""Record what AI agents do: sessions, runs and exceptions, published to Kafka in the background.

    import siltstone

    siltstone.configure(tenant="acme", source="/agents/mine")     # or SILTSTONE_TENANT, KAFKA_BOOTSTRAP_SERVERS

    with siltstone.session("my-agent") as s:
        s.extraction(event_type="error", pattern="timeout", risk_level="high")

    with siltstone.run(kind="graph", definition_id="d-1") as r:
        with r.node("plan"):
            ...

No call waits for Kafka, and none raises because of it: what cannot be sent is kept on disk and sent later, in order.
"""

import asyncio

from siltstone._client import Client, NotConfigured, client, configure, traceparent
from siltstone._decorator import recorded
from siltstone._handles import (
    BusinessException,
    Node,
    Run,
    Session,
    current_run,
    current_session,
    exception,
    run,
    session,
)
from siltstone._transport import flush_all

__all__ = [
    "BusinessException",
    "Client",
    "Node",
    "NotConfigured",
    "Run",
    "Session",
    "client",
    "configure",
    "current_run",
    "current_session",
    "exception",
    "flush",
    "flush_async",
    "recorded",
    "run",
    "session",
    "traceparent",
]


def flush(seconds: float = 10.0) -> bool:
    """Wait until every event so far is acknowledged or kept on disk; false when that took longer."""
    client()
    return flush_all(seconds)


async def flush_async(seconds: float = 10.0) -> bool:
    """The same, while the event loop goes on."""
    return await asyncio.to_thread(flush, seconds)
