"""`make storm`: a million events, two hundred faults, then every row and letter compared with the model."""

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.storm.storm import Storm


def main() -> int:
    """Parse the options and let it rage; exit 1 when anything differs from the model."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="repeats a storm's draws")
    parser.add_argument("--events", type=int, default=1_050_000, help="records to publish, some of them repeats")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--most-seconds", type=float, default=60, help="no fault that takes longer")
    parser.add_argument("--report", type=Path, help="write the report to this file")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the storm's own clients, while Kafka is away
    print(f"seed {options.seed}", flush=True)  # noqa: T201 - a program for a terminal
    folder = Path(tempfile.mkdtemp(prefix="siltstone-storm-"))
    print(f"logs of the workers: {folder}; deleted when all is well", flush=True)  # noqa: T201
    storm = Storm(
        options.seed,
        folder,
        records=options.events,
        strikes=options.faults,
        most_seconds=options.most_seconds,
        say=lambda text: print(text, flush=True),  # noqa: T201
    )
    report = asyncio.run(storm.run())
    if not report.findings:
        shutil.rmtree(folder)
    page = report.page()
    print(f"\n{page}")  # noqa: T201
    if options.report:
        options.report.write_text(page, encoding="utf-8")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
