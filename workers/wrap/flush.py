"""Sends the sessions that were left behind, one after the other.

    python -m workers.wrap.behind workers.wrap.flush

The process that sends a session starts it for what was recorded for the brokers that are set now, and
`siltstone spool flush` does it for everything.
"""

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable

from producers.wrap.journal import Reader
from producers.wrap.patterns import BadPatterns
from workers.settings import InvalidSettings, Settings, load
from workers.wrap.recording import GIVE_UP_SECONDS, Unmaskable, Unsent, log, record, sender, session_of
from workers.wrap.spool import NO_SESSION, folder_of, left_behind


def flush(
    settings: Settings, say: Callable[[str], None], *, brokers: str | None = None, give_up_seconds: float = 0
) -> tuple[int, int]:
    """Send every session that waits; how many were sent, and how many could not be. Raises Unsent."""
    sent = failed = 0
    for folder in left_behind(folder_of(settings), brokers):
        try:
            with Reader(folder) as reader:
                session = session_of(reader.saved, dict(os.environ))
                asyncio.run(record(reader, session, sender(settings), give_up_seconds=give_up_seconds))
                reader.remove()
            sent += 1
        except BlockingIOError:
            continue  # another began to send it
        except (Unmaskable, BadPatterns, *NO_SESSION) as error:
            failed += 1
            say(f"{folder.name}: {error}")
    return sent, failed


def main() -> int:
    """Flush, unless another does; 0 when nothing was left that could be sent."""
    try:
        settings = load()
        with (folder_of(settings) / "flush.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            flush(settings, log, brokers=settings.kafka_bootstrap_servers, give_up_seconds=GIVE_UP_SECONDS)
    except BlockingIOError:
        return 0
    except (InvalidSettings, OSError, Unsent) as error:
        log(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
