"""A delayed line to a port of this machine, in a process of its own: no thread of what is measured carries it."""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.processes import ROOT
from tests.storm.proxy import Proxy


@contextmanager
def line(target_port: int, delay_ms: float) -> Iterator[int]:
    """The port of a line that delays each round trip by `delay_ms`, half of it each way."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.growth_line", str(target_port), str(delay_ms)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C ends it by its standard input, as everything else does
    ) as process:
        yield int(process.stdout.readline() if process.stdout else b"")


async def carry(target_port: int, delay_ms: float) -> None:
    """Say the port, and carry until standard input ends: also when the process that started this one was killed."""
    proxy = await Proxy.open(target_port)
    proxy.delay(delay_ms / 2 / 1000)
    print(proxy.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await proxy.close()


def main() -> None:
    """Parse the arguments and carry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target_port", type=int)
    parser.add_argument("delay_ms", type=float)
    options = parser.parse_args()
    asyncio.run(carry(options.target_port, options.delay_ms))


if __name__ == "__main__":
    main()
