"""FastStream's subscriber with every default set that at-least-once delivery needs.

Its batch parser decodes each header before any code of ours, and an error there loses the batch: so the parser is
replaced as well as the decoder, and neither looks into a record. Its acknowledgements commit positions: so they are
manual, and never used.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaRouter
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from contracts.record import Record
from contracts.text import MAX_VALUE_BYTES
from workers.assignment import Assignment
from workers.failure import GivenUp, Stop
from workers.kafka import ssl_context
from workers.settings import Settings

MAX_POLL_INTERVAL_MS = 2_147_483_647  # used on the client only; liveness by progress is our own
SESSION_TIMEOUT_MS = 10_000  # how long a killed worker's partitions wait for another
HEARTBEAT_MS = 1_000  # how soon a member hears of a rebalance
FETCH_BYTES = 4 * 1024 * 1024  # as compressed; each consumer holds so much beside what was polled
PARTITION_FETCH_BYTES = 1024 * 1024
FETCH_WAIT_MS = 250

Settle = Callable[[Sequence[Record]], Awaitable[None]]

log = structlog.get_logger("siltstone.subscriber")


def security(settings: Settings) -> BaseSecurity | None:
    """The same security, as FastStream takes it."""
    protocol = settings.kafka_security_protocol
    context = ssl_context(settings) if protocol in ("SSL", "SASL_SSL") else None
    if not protocol.startswith("SASL"):
        return BaseSecurity(context, use_ssl=True) if context else None
    made = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
    password = settings.kafka_sasl_password.get_secret_value() if settings.kafka_sasl_password else ""
    return made[settings.kafka_sasl_mechanism](
        username=settings.kafka_sasl_username or "", password=password, ssl_context=context, use_ssl=context is not None
    )


class Broker(KafkaBroker):
    """FastStream's broker, whose consumers join their groups at once instead of one after another."""

    async def start(self) -> None:
        await self.connect()
        await asyncio.gather(*(subscriber.start() for subscriber in self.subscribers))
        self.running = True


async def parse(records: tuple[Record, ...]) -> KafkaMessage:
    """The polled records, untouched."""
    return KafkaMessage(raw_message=records, body=b"", headers={}, consumer=FAKE_CONSUMER)


async def give_records(message: KafkaMessage) -> Any:
    """In the place of a decoder: the handler gets the records themselves."""
    return message.raw_message


def subscribe(
    router: KafkaRouter,
    topics: Sequence[str],
    group: str,
    assignment: Assignment,
    settle: Settle,
    stop: Callable[[str], None],
    *,
    rebalance_timeout_seconds: float,
    max_records: int,
    max_bytes: int,
    wait_ms: int,
    instance_id: str | None,
) -> Any:
    """One consumer of `group` that hands every poll to `settle`, one at a time.

    A poll knows no limit in bytes: its number of records follows the size of those of the poll before.

    A Stop ends the process through `stop`, and the consumer never polls again: FastStream would log the error, go
    on with the next batch, and so commit over this one.
    """

    async def handle(records: Any) -> None:  # FastStream models it with pydantic, which knows no protocol
        subscriber.max_records = next_poll(records, max_records, max_bytes)
        try:
            await settle(records)
        except GivenUp as error:
            if not assignment.closed.is_set():
                log.info("batch given up", topics=list(topics), because=str(error))
        except Stop as error:
            stop(str(error))
            await assignment.closed.wait()
        except Exception as error:
            log.exception("unexpected", error=type(error).__name__)
            stop(f"unexpected {type(error).__name__} while settling a batch; nothing of it was committed")
            await assignment.closed.wait()

    # aiokafka's sticky assignor keeps its state on the class: consumers of one process need a class each.
    own_assignor = type("StickyAssignor", (StickyPartitionAssignor,), {})
    subscriber = router.subscriber(
        *topics,
        batch=True,
        max_records=min(max_records, max(max_bytes // MAX_VALUE_BYTES, 1)),
        batch_timeout_ms=wait_ms,
        group_id=group,
        group_instance_id=instance_id,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        parser=parse,
        decoder=give_records,
        listener=assignment,
        partition_assignment_strategy=(own_assignor,),
        max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
        rebalance_timeout_ms=int(rebalance_timeout_seconds * 1000),
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        isolation_level="read_committed",
        no_reply=True,
    )
    subscriber(handle)
    return subscriber


def next_poll(records: Sequence[Record], max_records: int, max_bytes: int) -> int:
    """How many records to poll next: as many of the mean size of these as `max_bytes` hold, one at least."""
    size = sum(len(record.value or b"") for record in records)
    return max(1, min(max_records, max_bytes * len(records) // max(size, 1)))
