"""The composition root of a worker: everything is built here, started in order and stopped in the reverse."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Container, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiokafka.errors import KafkaError
from faststream import FastStream
from faststream.kafka import KafkaRouter

from contracts.event_type import Family
from contracts.window import TimeWindow
from persistence.tenants import Tenants
from workers import kafka
from workers.assignment import Assignment
from workers.claims import Claims
from workers.continuity import Gaps
from workers.database import database
from workers.dead_letters import BATCH_BYTES, DeadLetters
from workers.failure import GivenUp, Stop
from workers.health import Health, Stream
from workers.hold import Hold
from workers.http import HttpServer
from workers.letter_gauges import LetterGauges
from workers.letter_index import LetterIndex
from workers.maintenance import Maintenance
from workers.metrics import Metrics
from workers.pipeline import Pipeline
from workers.settings import Settings
from workers.starts import Starts
from workers.startup import check_schema, check_topics
from workers.subscriber import Broker, Settle, security, subscribe
from workers.writer import Writer

DRAIN_MARGIN_SECONDS = 10.0  # between giving up a batch and the end of the rebalance
REBALANCE_SECONDS = 60.0
METADATA_MAX_AGE_MS = 10_000  # how soon added partitions, and a topic made anew, are seen; 5 minutes by default

log = structlog.get_logger("siltstone.worker")


class Worker:
    """One process: for each family its consumers, and one consumer that indexes dead letters."""

    def __init__(self, settings: Settings, families: Sequence[Family], consumers: int) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._stopped_because: str | None = None
        self._stopping = asyncio.Event()
        self._metrics = Metrics()
        self._database = database(settings, self._name)
        self._reader = kafka.reader(settings)
        self._gaps = Gaps(self._reader, self._metrics)
        self._maintenance = Maintenance(self._database, settings.retention_months)
        self._tenants = Tenants(self._database)
        self._streams: list[Stream] = []
        self._letters = LetterIndex(self._database, settings.max_redrives, kafka.dlq_topics(settings).values())
        self._letter_gauges = LetterGauges(self._database, self._metrics)
        self._dead_letters = DeadLetters(
            lambda: kafka.producer(settings, max_bytes=kafka.DLQ_MESSAGE_MAX_BYTES, max_batch_size=BATCH_BYTES),
            self._letters.keep,
            self._metrics,
        )
        self._broker = Broker(
            settings.kafka_bootstrap_servers.split(","),
            security=security(settings),
            routers=[self._family(family, consumers) for family in families],
            apply_types=False,
            allow_auto_create_topics=False,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            graceful_timeout=settings.shutdown_timeout_seconds,
            logger=None,
        )
        self._app = FastStream(self._broker, lifespan=self._lifespan, on_shutdown=[self._drain], logger=None)
        self._http = HttpServer(Health(self._streams, self._metrics), self._metrics, settings.http_port)

    async def run(self) -> str | None:
        """Run until a signal, or until something says stop: then the reason is returned."""
        try:
            await self._app.run()
        except GivenUp:
            return None
        except Stop as stop:
            return str(stop)
        except KafkaError as error:
            servers = self._settings.kafka_bootstrap_servers
            return f"Kafka at {servers} went away during start-up: {type(error).__name__}; start the worker again"
        return self._stopped_because

    def _family(self, family: Family, consumers: int) -> KafkaRouter:
        """The consumers of one family, each with a pipeline of its own."""
        settings, router, group = self._settings, KafkaRouter(), kafka.group_of(self._settings, family)
        for number in range(1, consumers + 1):
            stream = Stream(f"{family.value}-{number}", self._assignment())
            pipeline = Pipeline(
                family,
                group,
                consumer=stream.consumer,
                assignment=stream.assignment,
                starts=Starts(self._database, self._reader, group),
                gaps=self._gaps,
                claims=Claims(self._database),
                writer=Writer(
                    self._database,
                    self._tenants,
                    self._maintenance.now,
                    group=group,
                    worker=self._name,
                    max_attempts=settings.max_attempts,
                ),
                dead_letters=self._dead_letters,
                window=TimeWindow(settings.oldest_time, settings.retention_months),
                batch_max_bytes=settings.batch_max_bytes,
                metrics=self._metrics,
            )
            self._subscribe(router, stream, [kafka.topics(settings)[family]], group, pipeline.settle)
        return router

    def _letter_index(self, present: Container[str]) -> KafkaRouter:
        """The one consumer that indexes dead letters; it would not start with a topic that is not there."""
        router = KafkaRouter()
        stream = Stream("dead-letter index", self._assignment(), lambda: self._letters.stopped)
        self._letters.watch(stream)
        topics = list(kafka.dlq_topics(self._settings).values())
        extra = [topic for topic in self._settings.dlq_extra_topic_names if topic not in topics]
        if events := sorted(set(extra) & set(kafka.topics(self._settings).values())):
            raise Stop(f"SILTSTONE_DLQ_EXTRA_TOPICS names {', '.join(events)}, which holds events, not dead letters")
        if missing := [topic for topic in extra if topic not in present]:
            mend = "create them, or mend SILTSTONE_DLQ_EXTRA_TOPICS, and start the worker again"
            log.warning("extra topics are not read: they are missing", topics=missing, mend=mend)
        topics += [topic for topic in extra if topic in present]
        self._subscribe(router, stream, topics, kafka.dlq_group_of(self._settings), self._letters.settle)
        return router

    def _assignment(self) -> Assignment:
        return Assignment(Hold(self._metrics), REBALANCE_SECONDS - DRAIN_MARGIN_SECONDS)

    def _subscribe(self, router: KafkaRouter, stream: Stream, topics: list[str], group: str, settle: Settle) -> None:
        settings = self._settings
        instance = settings.kafka_group_instance_id
        stream.subscriber = subscribe(
            router,
            topics,
            group,
            stream.assignment,
            settle,
            self._stop,
            rebalance_timeout_seconds=REBALANCE_SECONDS,
            max_records=settings.batch_max_rows,
            max_bytes=settings.batch_max_bytes,
            wait_ms=settings.batch_wait_ms,
            instance_id=f"{instance}-{stream.name}".replace(" ", "-") if instance else None,
        )
        self._streams.append(stream)

    def _stop(self, because: str) -> None:
        """End the process, with this as its last word; the first reason counts."""
        self._stopped_because = self._stopped_because or because
        self._signalled()

    def _signalled(self) -> None:
        """Stop in order, also while start-up still waits for a database or a broker."""
        self._stopping.set()
        self._app.exit()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as closing:  # closed in the reverse, also when a check says stop
            closing.push_async_callback(self._database.close)
            closing.push_async_callback(self._dead_letters.close)
            closing.push_async_callback(self._reader.stop)
            closing.push_async_callback(self._http.stop)
            port = await self._http.start()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._signalled)
            await check_schema(self._database, self._stopping)
            present = await check_topics(self._settings, self._stopping)
            self._broker.include_router(self._letter_index(present))
            await self._reader.start()
            closing.callback(asyncio.create_task(self._maintenance.hourly()).cancel)
            closing.callback(asyncio.create_task(self._letter_gauges.periodically()).cancel)
            log.info("started", worker=self._name, http_port=port, consumers=[s.name for s in self._streams])
            gc.collect()
            gc.freeze()  # what start-up made stays: the collector need not walk it with every batch
            gc.set_threshold(50_000, 20, 20)
            yield
        log.info("stopped", because=self._stopped_because or "signal")

    async def _drain(self) -> None:
        """On SIGTERM: take nothing new, finish and commit what is in flight; FastStream then leaves the groups."""
        seconds = self._settings.shutdown_timeout_seconds
        await asyncio.gather(*(stream.assignment.close(seconds) for stream in self._streams))
