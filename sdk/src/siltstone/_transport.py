"""From the caller's thread to Kafka, behind its back: a queue, a thread, librdkafka, and the spool for bad times.

The caller only puts a record into a queue. The thread publishes it, idempotent and acknowledged by all; what is not
acknowledged goes to the spool, and while anything is there, whatever follows goes behind it, so that order stays. A
record that was sent twice is the same event twice: it is stored once.
"""

import atexit
import logging
import os
import queue
import sqlite3
import sys
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import Any

import confluent_kafka

from siltstone._spool import FILE, Record, Spool, SpoolFull

MAX_QUEUED = 20_000  # records between the caller and the thread; beyond it the newest are dropped, and counted
IN_FLIGHT = 10_000  # handed to librdkafka and not acknowledged
ACKNOWLEDGED_SECONDS = 10.0  # after it a record goes to the spool
AT_ONCE = 500  # of the spool
RETRY_SECONDS = 2.0
SPOOL_SECONDS = 4.0  # that one part of the spool may take
POLL_SECONDS = 0.05
LINGER_SECONDS = 0.01
EXIT_SECONDS = 3.0  # that the end of a program waits for acknowledgements

log = logging.getLogger("siltstone")
logging.getLogger("siltstone.librdkafka").setLevel(logging.CRITICAL)  # it says of each try that a broker is away


class Transport:
    """One process's way to Kafka. `put` never waits and never raises; everything else is the thread's."""

    def __init__(self, kafka: dict[str, Any], spool: Path, spool_max_bytes: int) -> None:
        self._kafka = {
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "zstd",
            "linger.ms": 5,
            "partitioner": "murmur2_random",  # the partition that other clients choose
            "message.timeout.ms": int(ACKNOWLEDGED_SECONDS * 1000),
            "queue.buffering.max.messages": IN_FLIGHT * 2,
            "reconnect.backoff.max.ms": 1_000,
            "message.max.bytes": 2 * 1024 * 1024,  # as the topics take; a value is at most half of it
            **kafka,
            "logger": logging.getLogger("siltstone.librdkafka"),
        }
        self.folder, self._max_bytes = spool, spool_max_bytes
        self._told = 0.0
        self.dropped = 0
        self._begin()
        _transports.add(self)

    def _begin(self) -> None:
        """Without a thread yet. In a forked child too: the parent's does not run there, and sends what is queued."""
        self._queue: queue.SimpleQueue[Record | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def put(self, record: Record) -> None:
        """Hand a record over."""
        if self._queue.qsize() >= MAX_QUEUED:
            self._drop(1, "the program makes events faster than they can be kept")
            return
        self._queue.put(record)
        if self._thread is None:
            try:
                self.start()
            except RuntimeError as error:  # the interpreter is about to end
                self._drop(1, f"nothing can be sent any more: {error}")

    def flush(self, seconds: float) -> bool:
        """Wait until everything put so far is acknowledged or in the spool; false when that took longer.

        What others left in the spool begins to be sent.
        """
        if self._thread is None and (self.folder / FILE).exists():
            self.start()
        if self._thread is None or not self._thread.is_alive():
            return True
        done = threading.Event()
        self._queue.put(done)
        return done.wait(seconds)

    def close(self) -> None:
        """Flush, and end the thread."""
        thread = self._thread
        if thread is None:
            return
        self._queue.put(None)
        thread.join(ACKNOWLEDGED_SECONDS + 2 * EXIT_SECONDS)
        self._thread = None  # whatever comes even later begins anew

    def start(self) -> None:
        """Begin to send. Raises RuntimeError when the interpreter is about to end."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="siltstone", daemon=True)
                self._thread.start()
                atexit.register(self.close)
                if processes := sys.modules.get("multiprocessing.util"):  # whose children end without atexit
                    processes.Finalize(None, self.close, exitpriority=0)

    def _drop(self, count: int, why: str) -> None:
        """Say that events are lost, at most once in a while."""
        self.dropped += count
        if time.monotonic() - self._told > 60:  # noqa: PLR2004 - a minute
            self._told = time.monotonic()
            log.error("%d events were dropped: %s", self.dropped, why)

    def _run(self) -> None:
        spool = producer = None
        try:
            spool = Spool(self.folder, self._max_bytes)
        except (sqlite3.Error, OSError) as error:
            log.error("%s cannot hold a spool, so what Kafka does not take is lost: %s", self.folder, error)  # noqa: TRY400
        try:
            producer = confluent_kafka.Producer(self._kafka)
        except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
            log.error("Kafka's settings cannot be used, so everything is kept in the spool: %s", error)  # noqa: TRY400
        Worker(producer, spool, self._queue, self._drop).run()


def _forked() -> None:
    for transport in _transports:
        transport._begin()  # noqa: SLF001 - this module's


_transports: "weakref.WeakSet[Transport]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_forked)


class Worker:
    """The thread's work."""

    def __init__(self, producer: Any, spool: Spool | None, records: "queue.SimpleQueue[Any]", drop: Any) -> None:
        self._producer, self._spool, self._queue, self._drop = producer, spool, records, drop
        self._in_flight = 0
        self._failed: deque[Record] = deque()  # in the order in which they were sent
        self._waiting: list[threading.Event] = []
        self._spooled = spool.count() if spool else 0
        self._next_try = 0.0

    def run(self) -> None:
        """Until the process ends."""
        while self._take():
            self._settle()
        self._end()

    def _end(self) -> None:
        """Send what can be sent in a few seconds; the rest is the spool's."""
        self._keep()  # what came behind the spool
        deadline = time.monotonic() + EXIT_SECONDS
        is_there = self._producer is not None and not self._producer.flush(EXIT_SECONDS)
        if self._producer and not is_there:
            self._producer.purge()  # what is not acknowledged by now goes to the spool, though it may have arrived
            self._producer.flush(1)
        is_there = is_there and not self._failed
        self._keep()
        if self._spool is None:
            return
        while is_there and self._spooled and time.monotonic() < deadline:
            is_there = self._send_spooled(self._spool, deadline - time.monotonic())
        self._spool.close()

    def _take(self) -> bool:
        """What the caller put, until nothing is there; false when this was the last."""
        wait = POLL_SECONDS if self._in_flight or self._spooled or self._waiting else None
        try:
            taken = self._queue.get(timeout=wait)
        except queue.Empty:
            return True
        if isinstance(taken, Record):
            time.sleep(LINGER_SECONDS)  # what follows meanwhile wakes nobody: the caller's call is shorter by that
        while True:
            if taken is None:
                return False
            if isinstance(taken, threading.Event):
                self._waiting.append(taken)
            elif self._spooled or self._failed:
                self._failed.append(taken)
            else:
                self._send(taken)
            try:
                taken = self._queue.get_nowait()
            except queue.Empty:
                return True

    def _send(self, record: Record) -> None:
        if self._producer is None:
            self._failed.append(record)
            return
        while self._in_flight >= IN_FLIGHT:
            self._producer.poll(POLL_SECONDS)
        try:
            self._producer.produce(
                record.topic, record.value, record.key, on_delivery=lambda e, _: self._told(record, e)
            )
            self._in_flight += 1
        except BufferError:
            self._failed.append(record)
        except confluent_kafka.KafkaException as error:
            self._drop(1, f"librdkafka refuses it: {error}")

    def _told(self, record: Record, error: Any) -> None:
        self._in_flight -= 1
        if error is None:
            return
        if error.code() in (confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE, confluent_kafka.KafkaError.INVALID_MSG):
            self._drop(1, f"the broker refuses it: {error.str()}")
        else:
            self._failed.append(record)

    def _settle(self) -> None:
        """What failed goes to the spool; the spool goes to Kafka when it is time; who waits is told."""
        if self._producer:
            self._producer.poll(0)
        self._keep()
        is_due = self._spooled and not self._in_flight and time.monotonic() >= self._next_try
        if self._producer and self._spool and is_due:
            self._next_try = time.monotonic() + RETRY_SECONDS
            if self._send_spooled(self._spool, SPOOL_SECONDS):
                self._next_try = 0.0
        if not (self._in_flight or self._failed):
            for waiting in self._waiting:
                waiting.set()
            self._waiting.clear()

    def _keep(self) -> None:
        """What failed goes behind what is in the spool."""
        if not self._failed:
            return
        records = list(self._failed)
        self._failed.clear()
        if self._spool is None:
            self._drop(len(records), "Kafka does not take them, and there is no spool")
            return
        try:
            self._spool.put(records)
            self._spooled += len(records)
        except SpoolFull:
            self._drop(len(records), "the spool is full; its limit is SILTSTONE_SPOOL_MAX_BYTES")
        except (sqlite3.Error, OSError) as error:
            self._drop(len(records), f"the spool cannot be written: {error}")

    def _send_spooled(self, spool: Spool, seconds: float) -> bool:
        """Send the first of the spool, in order; they are removed when all of them were acknowledged in time."""
        if not spool.may_send():
            return False
        found = spool.first(AT_ONCE)
        missed: list[Any] = []
        for _, record in found:
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, on_delivery=lambda e, _: missed.append(e) if e else None
                )
            except confluent_kafka.KafkaException as error:
                self._drop(1, f"librdkafka refuses it: {error}")
        if self._producer.flush(seconds) or missed:
            self._producer.purge()
            return False
        spool.remove([number for number, _ in found])
        self._spooled = spool.count()
        return True
