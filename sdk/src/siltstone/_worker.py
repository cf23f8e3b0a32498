"""The thread behind the caller: from the queue to Kafka, and by way of the spool in bad times."""

import contextlib
import logging
import math
import queue
import sqlite3
import threading
import time
from collections.abc import Callable

from siltstone._flight import Flight
from siltstone._spool import Record, Spool, SpoolFull

MAX_TAKEN = 5_000  # records of the queue, before what is in flight is looked after
AT_ONCE = 1_000  # of the spool
STALLED_SECONDS = 2.0  # without any acknowledgement: then what is in flight is better on disk
FULL_SECONDS = 0.5  # the same, while no more can be handed over
PRESSED_SECONDS = 0.1  # the same, while the caller's queue grows besides
PRESSED = 10_000  # records in the queue
RETRY_SECONDS = 2.0
BROKEN_SECONDS = 60.0  # until a spool that cannot be read is tried again
POLL_SECONDS = 0.05
LINGER_SECONDS = 0.01
LOOK_SECONDS = 60.0  # between looks for what other processes left in the spool
LAST_SECONDS = 1.0  # that the end of a program tries a broker which has just been found away
EXIT_SECONDS = 3.0  # that the end of a program waits for acknowledgements

log = logging.getLogger("siltstone")

Records = queue.SimpleQueue[Record | threading.Event | None]
"""What the caller puts: records, who waits for those before, and None for the end."""


class Worker:
    """What is in flight is either from the queue, while the spool is empty, or a part of the spool: so order stays."""

    def __init__(self, flight: Flight, spool: Spool | None, records: Records, drop: Callable[[int, str], None]) -> None:
        self._flight, self._spool, self._queue, self._drop = flight, spool, records, drop
        self._sent = 0
        self._part: list[int] = []  # the spool's numbers that are in flight, or were
        self._failed: list[Record] = []  # for the spool, in order
        self._waiting: list[threading.Event] = []
        self._spooled = False
        self._looked = -math.inf
        self._next_try = 0.0

    def run(self) -> None:
        """Until the process ends."""
        self._settle()
        while self._take():
            self._settle()
        self._end()

    def _take(self) -> bool:
        """What the caller put, up to MAX_TAKEN; false when this was the last."""
        if self._flight:
            self._flight.poll(0 if self._queue.qsize() else POLL_SECONDS)
        try:
            taken = self._queue.get(timeout=self._pause())
        except queue.Empty:
            return True
        if isinstance(taken, Record) and self._queue.qsize() < MAX_TAKEN:
            time.sleep(LINGER_SECONDS)  # what follows meanwhile wakes nobody: the caller's call is shorter by that
        count = 0
        while taken is not None:
            self._accept(taken)
            count += 1
            if count >= MAX_TAKEN or self._queue.empty():
                return True
            taken = self._queue.get()
        return False

    def _pause(self) -> float | None:
        if self._flight or self._part or self._waiting:
            return 0
        return max(0.0, self._next_try - time.monotonic()) if self._spooled else None

    def _accept(self, taken: Record | threading.Event) -> None:
        if isinstance(taken, threading.Event):
            self._waiting.append(taken)
            return
        if not (self._spooled or self._failed or self._part):
            self._sent += 1
            while not self._is_stalled():
                if self._flight.send(self._sent, taken):
                    return
                self._flight.poll(POLL_SECONDS)
            self._recall()
        self._failed.append(taken)

    def _settle(self) -> None:
        """What failed goes to the spool; the spool goes to Kafka when it is time; who waits is told."""
        self._flight.poll(0)
        if self._flight and not self._part and self._is_stalled():
            self._recall()
        self._keep()
        self._send_spooled()
        if self._part or not self._flight:
            for waiting in self._waiting:
                waiting.set()
            self._waiting.clear()

    def _is_stalled(self) -> bool:
        patience = STALLED_SECONDS
        if self._flight.is_full:
            patience = FULL_SECONDS if self._queue.qsize() < PRESSED else PRESSED_SECONDS
        return self._flight.is_stalled(patience)

    def _recall(self) -> None:
        """What the queue had sent goes before whatever comes now."""
        self._failed = [*self._flight.recall().values(), *self._failed]
        self._next_try = time.monotonic() + RETRY_SECONDS

    def _keep(self) -> None:
        """What failed goes behind what is in the spool."""
        records, self._failed = self._failed, []
        if not records:
            return
        if self._spool is None:
            self._drop(len(records), "Kafka does not take them, and there is no spool")
            return
        try:
            self._spool.put(records)
            self._spooled = True
        except SpoolFull:
            self._drop(len(records), "the spool is full; its limit is SILTSTONE_SPOOL_MAX_BYTES")
        except (sqlite3.Error, OSError) as error:
            self._drop(len(records), f"the spool cannot be written: {error}")

    def _send_spooled(self) -> None:
        """Send the spool part by part, in order; what is acknowledged is removed."""
        if self._spool is None:
            return
        try:
            if not self._spooled and time.monotonic() - self._looked > LOOK_SECONDS:
                self._looked = time.monotonic()
                self._spooled = not self._spool.is_empty()
            if self._part and (self._flight.has_failed() or not self._flight):
                self._end_part(self._spool)
            if self._spooled and not self._flight and time.monotonic() >= self._next_try:
                self._begin_part(self._spool)
        except (sqlite3.Error, OSError) as error:
            log.error("the spool cannot be read: %s", error)  # noqa: TRY400
            self._next_try = time.monotonic() + BROKEN_SECONDS

    def _begin_part(self, spool: Spool) -> None:
        self._next_try = time.monotonic() + RETRY_SECONDS
        if not spool.may_send():
            self._spooled = not spool.is_empty()  # another process sends them
            return
        for number, record in spool.first(AT_ONCE):
            if not self._flight.send(number, record):
                break
            self._part.append(number)

    def _end_part(self, spool: Spool) -> None:
        left = self._flight.recall() if self._flight else {}
        part, self._part = self._part, []
        spool.remove([number for number in part if number not in left])
        self._spooled = not spool.is_empty()
        self._next_try = time.monotonic() + RETRY_SECONDS if left else 0.0
        if not self._spooled:
            spool.let_others_send()

    def _end(self) -> None:
        """Send what can be sent in a few seconds; the rest is the spool's."""
        deadline = time.monotonic() + EXIT_SECONDS
        while self._flight and not (self._part or self._flight.has_failed()) and time.monotonic() < deadline:
            self._flight.poll(POLL_SECONDS)
        if self._flight and not self._part:
            self._recall()
        self._keep()
        self._next_try = self._looked = -math.inf
        while not self._flight.is_away(LAST_SECONDS) and time.monotonic() < deadline:
            self._send_spooled()
            if not self._part:
                break
            self._flight.poll(POLL_SECONDS)
        self._leave()

    def _leave(self) -> None:
        """Keep what was put since the end began."""
        while not self._queue.empty():
            taken = self._queue.get()
            if isinstance(taken, threading.Event):
                self._waiting.append(taken)
            elif taken is not None:
                self._failed.append(taken)
        self._keep()
        for waiting in self._waiting:
            waiting.set()
        if self._spool is None:
            return
        with contextlib.suppress(sqlite3.Error, OSError):
            self._end_part(self._spool)
        self._spool.close()
