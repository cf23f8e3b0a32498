"""`make bench-sdk`: what a call of the SDK costs the thread that makes it, beside a bare produce of librdkafka's.

Both in turn, on one thread, with a broker's address that nobody listens on: the caller never waits for one.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import confluent_kafka

import siltstone

CALLS, ROUNDS = 5_000, 7
DEAD = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
VALUE = json.dumps({"data": {"agent_name": "a", "original_line": "x" * 400}}).encode()


def microseconds(call: Callable[[], object]) -> float:
    """Of one call, the mean of many."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


def main() -> None:
    """Print the medians and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        client = siltstone.configure(tenant="bench", kafka=DEAD, spool=Path(folder))
        session = siltstone.Session("a", client=client)
        producer = confluent_kafka.Producer({**DEAD, "queue.buffering.max.messages": 1_000_000})
        found: dict[str, list[float]] = {"sdk": [], "produce": []}
        for number in range(ROUNDS):
            found["sdk"].append(
                microseconds(
                    lambda: session.extraction(
                        event_type="tool",
                        pattern="p",
                        original_line="x" * 400,
                        line_number=7,
                        metadata={"file": "a.py"},
                    )
                )
            )
            client.transport.flush(30)
            found["produce"].append(microseconds(lambda: producer.produce("t", VALUE, b"key")))
            print(f"round {number + 1}: " + ", ".join(f"{name} {times[-1]:.1f} µs" for name, times in found.items()))
        sdk, bare = (statistics.median(times) for times in found.values())
        print(f"a call of the SDK takes {sdk:.1f} µs, a bare produce {bare:.1f}: {sdk / bare:.1f} times")
        producer.purge()
        sys.stdout.flush()


if __name__ == "__main__":
    main()
