"""Sends the events of one session behind its wrapper's back, and ends when all are acknowledged.

    python -m workers.wrap.behind workers.wrap.recording FOLDER

It reads the session's journal from the beginning; while the broker is away the journal is what holds. Started again
it sends everything again: the events are the same, so they are stored once.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from contracts.window import TimeWindow
from producers.event_lines import Defaults, outgoing
from producers.wrap.journal import Reader, Saved, fingerprints
from producers.wrap.masking import Masker, NoMasker
from producers.wrap.patterns import load
from producers.wrap.session import Session
from workers import publisher
from workers.settings import InvalidSettings, Settings
from workers.settings import load as load_settings
from workers.wrap import behind
from workers.wrap.default_patterns import default_patterns
from workers.wrap.flood import LOOK_SECONDS, Flood
from workers.wrap.spool import left_behind

MOST_EVENTS = 2_000  # made and not yet sent; until then no more frames are read
UNDER_WAY_US = 100_000  # that a frame may take from its time to the journal: read again, the session is the same
SEND_SECONDS = 1.0  # between two tries while the program runs
LONGEST_WAIT_SECONDS = 30.0
GIVE_UP_SECONDS = 60.0  # without the broker, once the program has ended

Events = list[dict[str, Any]]
Send = Callable[[Events], Awaitable[None]]
"""Publishes events; raises KafkaError or OSError when the broker is away."""


class Unmaskable(Exception):
    """The secrets of the place where a session was recorded are not those of this one; the message names them."""


class Unsent(Exception):
    """The broker is away; what is in the journal stays there."""


def session_of(saved: Saved, environment: dict[str, str]) -> Session:
    """The session of a journal, at its beginning. Raises Unmaskable."""
    mask: Callable[[str], str] = NoMasker()
    if saved.mask:
        known = fingerprints(environment, list(saved.secrets), saved.id)
        if other := sorted(name for name in saved.secrets if known[name] != saved.secrets[name]):
            raise Unmaskable(
                f"session {saved.id} was recorded where {', '.join(other)} had other values than here: they could not "
                "be masked; send it from there, or delete its folder"
            )
        mask = Masker(environment)
    patterns = load(saved.patterns or default_patterns(), "the session's patterns")
    return Session(saved.about(), patterns, mask)


class Outbox:
    """Events that were made and are not acknowledged yet: sent in order, all of them again after a failure."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._events: Events = []
        self._wait = SEND_SECONDS
        self._next_try = 0.0
        self._trouble_since: float | None = None

    def add(self, events: Events) -> None:
        self._events += events

    @property
    def is_empty(self) -> bool:
        return not self._events

    @property
    def is_full(self) -> bool:
        return len(self._events) >= MOST_EVENTS

    @property
    def trouble_seconds(self) -> float:
        """How long nothing could be sent; 0 when the last try went well."""
        return time.monotonic() - self._trouble_since if self._trouble_since else 0

    async def send_when_due(self) -> None:
        """Try, unless the last try is too short ago."""
        if self.is_empty or time.monotonic() < self._next_try:
            return
        try:
            await self._send(self._events)
        except (KafkaError, OSError) as error:
            self._trouble_since = self._trouble_since or time.monotonic()
            self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)
            log(f"not sent: {type(error).__name__}")
        else:
            self._events, self._wait, self._trouble_since = [], SEND_SECONDS, None
        self._next_try = time.monotonic() + self._wait


async def record(reader: Reader, session: Session, send: Send, *, give_up_seconds: float = GIVE_UP_SECONDS) -> None:
    """Send the session's events until its journal is at its end and all were acknowledged. Raises Unsent."""
    outbox, flood = Outbox(send), Flood(reader)
    outbox.add(session.take())
    while not (reader.is_closed and outbox.is_empty):
        if not reader.is_closed and not outbox.is_full and not flood.is_on():
            _read(reader, session, outbox)
        await outbox.send_when_due()
        if reader.is_closed and outbox.trouble_seconds > give_up_seconds:
            raise Unsent(f"session {session.id}: Kafka cannot be reached; siltstone spool flush sends it later")
        if not reader.is_closed or not outbox.is_empty:
            await asyncio.sleep(LOOK_SECONDS)


def _read(reader: Reader, session: Session, outbox: Outbox) -> None:
    """Feed the session with the frames that have come, until the outbox is full, and with the time that has passed."""
    now_us = (
        _microseconds_since(reader.saved.started) - UNDER_WAY_US
    )  # before reading: nothing that came later is older
    for frame in reader.frames():
        session.feed(frame)
        outbox.add(session.take())
        if outbox.is_full:
            return
    if not session.has_ended:
        if reader.is_closed:
            session.abandon()
        else:
            session.pass_time(now_us)
        outbox.add(session.take())


def _microseconds_since(started: str) -> int:
    return int((datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds() * 1_000_000)


def log(text: str) -> None:
    """A line for whoever looks why something was not sent: the session's reader.log, or flush.log."""
    sys.stderr.write(f"{datetime.now(UTC):%FT%TZ} {text}\n")
    sys.stderr.flush()


def sender(settings: Settings) -> Send:
    """Publishes to Kafka; what the contracts refuse is named in the log, and lost."""
    defaults = Defaults(topic_prefix=settings.topic_prefix)
    window = TimeWindow(settings.oldest_time, settings.retention_months)

    async def send(events: Sequence[dict[str, Any]]) -> None:
        lines = [json.dumps(event, ensure_ascii=False).encode() for event in events]
        report = await publisher.publish(settings, outgoing(lines, defaults, window, check=True))
        for refused in report.refused:
            log(f"refused: {refused.reason}")

    return send


def flush_left_behind(root: Path, brokers: str) -> None:
    """What earlier sessions left for these brokers is sent beside this one."""
    if left_behind(root, brokers):
        with suppress(OSError):  # it is tried again with the next session
            behind.start(root / "flush.log", "workers.wrap.flush")


def main() -> int:
    """Record one session; 0 when all of it was sent."""
    try:
        with behind.reader_of(Path(sys.argv[1])) as reader:
            session, settings = session_of(reader.saved, dict(os.environ)), load_settings()
            flush_left_behind(reader.folder.parent, settings.kafka_bootstrap_servers)
            asyncio.run(record(reader, session, sender(settings)))
            reader.remove()
    except FileNotFoundError:
        return 0  # another has sent it
    except (InvalidSettings, OSError, Unmaskable, Unsent) as error:
        log(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
