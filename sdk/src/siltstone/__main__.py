"""`python -m siltstone status|flush`: the events that wait on this machine, and their way to Kafka."""

import argparse
import json
import sqlite3
import sys
import time

from siltstone._client import transport
from siltstone._spool import FILE, Spool

PATIENCE_SECONDS = 30.0  # without any progress


def main() -> int:
    """0; 1 when something is left that should have been sent."""
    parser = argparse.ArgumentParser(prog="python -m siltstone", description=__doc__)
    parser.add_argument("command", choices=["status", "flush"])
    wished = parser.parse_args().command
    way = transport({})
    if not (way.folder / FILE).exists():
        sys.stdout.write(f"no event waits in {way.folder}\n")
        return 0
    try:
        spool = Spool(way.folder, 0)
        if wished == "flush":
            way.start()
            _wait(spool)
            way.close()
        return _tell(spool, wished)
    except (sqlite3.Error, OSError) as error:
        sys.stderr.write(f"the spool in {way.folder} cannot be read: {error}\n")
        return 1


def _wait(spool: Spool) -> None:
    left, deadline = spool.count(), time.monotonic() + PATIENCE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        now = spool.count()
        if now < left:
            left, deadline = now, time.monotonic() + PATIENCE_SECONDS


def _tell(spool: Spool, wished: str) -> int:
    count = spool.count()
    since = f", the oldest of {json.loads(spool.first(1)[0][1].value)['time']}" if count else ""
    sys.stdout.write(f"{count} events wait in {spool.folder}{since}\n")
    return int(wished == "flush" and count > 0)


if __name__ == "__main__":
    sys.exit(main())
