"""`make bench-sdk`: what a call of the SDK costs the thread that makes it, beside a bare produce of librdkafka's.

Both in turn, on one thread, with a broker's address that nobody listens on: the caller never waits for one. A call
makes the event, its id, time and JSON, which produce is given ready.
"""

import csv
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import confluent_kafka

import siltstone

RESULTS = Path(__file__).parent / "results_sdk.csv"
COLUMNS = "at,calls,rounds,sdk_us,sdk_cpu_us,produce_us,ratio,cores,python,confluent_kafka"
CALLS, ROUNDS = 5_000, 9
DEAD = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
VALUE = json.dumps({"data": {"agent_name": "a", "original_line": "x" * 400}}).encode()


def microseconds(call: Callable[[], object]) -> tuple[float, float]:
    """Of one call, the mean of many: by the clock, and of the processor in this thread."""
    began, cpu = time.perf_counter(), time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6, (time.thread_time() - cpu) / CALLS * 1e6


def main() -> None:
    """Print the medians and their ratio, and append them to results_sdk.csv."""
    sdk, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        client = siltstone.configure(tenant="bench", kafka=DEAD, spool=Path(folder))
        session = siltstone.Session("a", client=client)
        producer = confluent_kafka.Producer({**DEAD, "queue.buffering.max.messages": 1_000_000})
        for number in range(ROUNDS):
            sdk.append(
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
            bare.append(microseconds(lambda: producer.produce("t", VALUE, b"key")))
            print(
                f"round {number + 1}: sdk {sdk[-1][0]:.1f} µs ({sdk[-1][1]:.1f} of CPU), produce {bare[-1][0]:.1f} µs"
            )
        producer.purge()
    clock, cpu = (statistics.median(times) for times in zip(*sdk, strict=True))
    produce = statistics.median(one for one, _ in bare)
    ratio = statistics.median(one / other for (one, _), (other, _) in zip(sdk, bare, strict=True))
    print(f"a call of the SDK takes {clock:.1f} µs, {cpu:.1f} of CPU; a bare produce {produce:.1f}: {ratio:.0f} times")
    at, machine = datetime.now(UTC).isoformat(timespec="seconds"), (os.cpu_count(), platform.python_version())
    figures = [round(value, 2) for value in (clock, cpu, produce, ratio)]
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS.split(","))
        writer.writerow([at, CALLS, ROUNDS, *figures, *machine, confluent_kafka.__version__])


if __name__ == "__main__":
    main()
