"""From the caller's thread to Kafka, behind its back: a queue, a thread, librdkafka, and the spool for bad times.

The caller only puts a record into a queue. The thread publishes it, idempotent and acknowledged by all; what is not
acknowledged goes to the spool, and while anything is there, whatever follows goes behind it, so that order stays. A
record that was sent twice is the same event twice: it is stored once.
"""

import atexit
import contextlib
import logging
import math
import os
import queue
import sqlite3
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import confluent_kafka

from siltstone._flight import IN_FLIGHT, Flight
from siltstone._spool import FILE, Record, Spool, whole
from siltstone._worker import Records, Worker

MAX_QUEUED = 50_000  # records between the caller and the thread; beyond it the newest are dropped, and counted
ACKNOWLEDGED_SECONDS = 10.0  # after it librdkafka gives a record up
END_SECONDS = 16.0  # that the thread may take to end: it waits for 3 s at most, the rest is the disk's

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
        self._begin()
        _transports.add(self)

    def _begin(self) -> None:
        """Without a thread yet. In a forked child too: the parent's does not run there, and sends what is queued."""
        self._queue: Records = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting, self._closing, self._dropping = threading.Lock(), threading.Lock(), threading.Lock()
        self.dropped = self._told = 0
        self._told_at, self._why = -math.inf, ""

    def put(self, record: Record) -> None:
        """Hand a record over."""
        if self._queue.qsize() >= MAX_QUEUED:
            self.drop(1, "the program makes events faster than they can be kept")
            return
        self._queue.put(record)
        if self._thread is None:
            self._try_start()

    def flush(self, seconds: float) -> bool:
        """Wait until everything put so far is acknowledged or in the spool; false when that took longer.

        What others left in the spool begins to be sent.
        """
        if self._thread is None and not _is_over.is_set() and (self.folder / FILE).exists():
            self._try_start()
        thread = self._thread
        if thread is None or not thread.is_alive():
            return True
        done, deadline = threading.Event(), time.monotonic() + seconds
        self._queue.put(done)
        while not done.wait(0.1) and thread.is_alive() and time.monotonic() < deadline:
            pass
        return done.is_set()

    def close(self) -> None:
        """Flush, and end the thread."""
        with self._closing:
            thread = self._thread
            if thread is not None:
                self._queue.put(None)
                thread.join(END_SECONDS)
                self._thread = None  # whatever comes even later begins anew
            if not (self._queue.empty() or (thread is not None and thread.is_alive())):  # it came just then
                self._try_start()
            if self.dropped > self._told:
                self._tell()

    def start(self) -> None:
        """Begin to send. Raises RuntimeError when there can be no thread, as when the interpreter is about to end."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="siltstone", daemon=True)
                thread.start()
                self._thread = thread
                if processes := sys.modules.get("multiprocessing.util"):  # whose children end without atexit
                    processes.Finalize(None, self.close, exitpriority=0)
                if signals := sys.modules.get("celery.signals"):  # whose children end by os._exit()
                    signals.worker_process_shutdown.connect(self._child_ends)

    def _child_ends(self, **_: Any) -> None:
        self.close()

    def _try_start(self) -> None:
        """Where there can be no thread, what is queued waits for the next try, or for the end of the program."""
        if not _is_over.is_set():
            with contextlib.suppress(RuntimeError):
                self.start()
        elif self._starting.acquire(blocking=False):  # else who has it takes this record too
            try:
                self._queue.put(None)
                self._run()
            finally:
                self._starting.release()

    def drop(self, count: int, why: str) -> None:
        """Count events that are lost, and say so: at most once a minute, and at the end."""
        with self._dropping:
            self.dropped += count
            self._why = why
            is_due = time.monotonic() - self._told_at > 60  # noqa: PLR2004 - a minute
            if is_due:
                self._told_at = time.monotonic()
        if is_due:
            self._tell()

    def _tell(self) -> None:
        self._told = self.dropped
        log.error("%d events were dropped: %s", self._told, self._why)

    def _run(self) -> None:
        spool = None
        try:
            spool = Spool(self.folder, self._max_bytes)
        except (sqlite3.Error, OSError) as error:
            log.error("%s cannot hold a spool, so what Kafka does not take is lost: %s", self.folder, error)  # noqa: TRY400
        Worker(Flight(self._producer, self.drop, has_spool=spool is not None), spool, self._queue, self.drop).run()

    def _producer(self) -> Any:
        try:
            with whole:
                return confluent_kafka.Producer(self._kafka)
        except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
            log.error("Kafka's settings cannot be used, so everything is kept in the spool: %s", error)  # noqa: TRY400
            return None


def flush_all(seconds: float) -> bool:
    """Flush every way of this process, also one that was replaced and is about to end."""
    deadline = time.monotonic() + seconds
    flushed = [way.flush(max(0.0, deadline - time.monotonic())) for way in list(_transports)]
    return all(flushed)


def _end() -> None:
    """What comes even later, from whoever is told of the program's end after this, is sent in the caller's thread."""
    _is_over.set()
    for transport in list(_transports):
        transport.close()


def _forked() -> None:
    whole.release()
    for transport in _transports:
        transport._begin()  # noqa: SLF001 - this module's


_is_over = threading.Event()
_transports: "weakref.WeakSet[Transport]" = weakref.WeakSet()
atexit.register(_end)  # at import: what the program registers later comes before it
os.register_at_fork(before=whole.acquire, after_in_parent=whole.release, after_in_child=_forked)
