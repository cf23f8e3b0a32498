"""`siltstone spool flush`."""

import asyncio
import os
from collections.abc import Callable

from producers.wrap.journal import Reader
from producers.wrap.patterns import BadPatterns
from workers.settings import Settings
from workers.wrap.recording import Unmaskable, record, sender, session_of
from workers.wrap.spool import NO_SESSION, folder_of, left_behind


def flush(settings: Settings, say: Callable[[str], None]) -> tuple[int, int]:
    """Send every session that waits; how many were sent, and how many could not be. Raises Unsent."""
    sent = failed = 0
    for folder in left_behind(folder_of(settings)):
        try:
            with Reader(folder) as reader:
                session = session_of(reader.saved, dict(os.environ))
                asyncio.run(record(reader, session, sender(settings), give_up_seconds=0))
                reader.remove()
            sent += 1
        except BlockingIOError:
            continue  # another began to send it
        except (Unmaskable, BadPatterns, *NO_SESSION) as error:
            failed += 1
            say(f"{folder.name}: {error}")
    return sent, failed
