"""`make bench`: Siltstone, its peers and the limit of this machine, measured in one run.

Every system drains the same events (the naive consumer a share of them) from Kafka into Postgres, in rounds, in an
order drawn anew for each; every run has a fresh database and a new consumer group. Then each system's latency, in
rounds too.
"""

import argparse
import asyncio
import gc
import logging
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg
import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy.engine import make_url

from bench import report
from bench.drain import fresh_database
from bench.latency import latency
from bench.limit import limit_of_bytes, limit_of_rows, rows_of
from bench.peers import install
from bench.peers.publishing import publish as publish_form
from bench.peers.settings import LATENCY_MAX_RATE, LATENCY_ROUNDS, LATENCY_SHARE, NAIVE_LATENCY_RATE, POSTGRES
from bench.peers.systems import SYSTEMS, System, said, topic_of_form
from bench.processes import ROOT, Failed, cpu_seconds
from bench.quick import prepare, publish
from bench.report import BYTES, LIMIT, NAN, ROWS, Result
from bench.trial import Bench, Found, started
from localstack import stack
from persistence import migrate
from workers import kafka
from workers.settings import Settings, load

LIMITS = {BYTES: "limit, from the events' bytes", ROWS: "limit, from ready rows"}
NAMES = (*LIMITS, *(system.name for system in SYSTEMS))
CHART = ROOT / "docs" / "bench.png"

Run = Callable[[], Awaitable[Found]]


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def installed(names: Sequence[str]) -> list[System]:
    """The wanted systems whose programs are here, or could be fetched; says which are not."""
    needed = {"connect": install.connect, "flat": install.venv}
    missing = {}
    for form in {system.form for system in SYSTEMS if system.name in names} & needed.keys():
        try:
            needed[form]()
        except install.NotInstalled as error:
            missing[form] = error
    for system in SYSTEMS:
        if system.name in names and system.form in missing:
            say(f"{system.title} is skipped: {missing[system.form]}")
    return [system for system in SYSTEMS if system.name in names and system.form not in missing]


def result_of(system: System, count: int) -> Result:
    """Nothing found yet."""
    return Result(system.title, system.family, count // system.share, system.version(), said(system))


async def one_limit(bench: Bench, write: Callable[[str], Awaitable[float]], count: int) -> Found:
    """One run of a limit; Kafka has no part in it."""
    async with fresh_database(bench.url, bench.template) as url:
        own, postgres = time.process_time(), cpu_seconds(bench.postgres_pid)
        rate = await write(url)
        own, postgres = time.process_time() - own, cpu_seconds(bench.postgres_pid) - postgres
    return Found(rate, NAN, own / count * 1e6, postgres / count * 1e6, NAN, NAN)


async def one_drain(bench: Bench, system: System, prefix: str, count: int) -> Found:
    """One run of a system."""
    async with started(bench, system, prefix) as trial:
        return await trial.drain(count // system.share)


async def rounds_of(runs: dict[str, Run], results: dict[str, Result], rounds: int, seed: int) -> None:
    """Run everything in each round, in an order of its own; what fails is noted, and the rest goes on."""
    draw = random.Random(seed)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name in draw.sample(list(runs), len(runs)):
            began, result = time.monotonic(), results[name]
            try:
                found = await runs[name]()
            except Failed as failed:
                result.failures.append(f"round {number + 1} failed: {failed}")
                say(f"  {result.title:34} failed: {str(failed).splitlines()[0]}")
                continue
            result.runs[number] = found
            say(f"  {result.title:34}{found.rate:>10,.0f} rows/s   ({time.monotonic() - began:.0f} s in all)")


async def latencies(
    bench: Bench, systems: Sequence[System], results: dict[str, Result], settings: Settings, draw: random.Random
) -> None:
    """Of each family with its one process or task, at a share of what it drained: in rounds, as the drains."""
    measured = [system for system in systems if results[system.name].runs and not system.name.endswith("-2")]
    for number in range(LATENCY_ROUNDS):
        for system in draw.sample(measured, len(measured)):
            result = results[system.name]
            rate = min(LATENCY_SHARE * result.median, LATENCY_MAX_RATE) if system.share == 1 else NAIVE_LATENCY_RATE
            try:
                found = await latency(bench, system, settings, rate)
            except Failed as failed:
                result.failures.append(f"latency, round {number + 1}, failed: {failed}")
                say(f"latency of {result.title} failed: {str(failed).splitlines()[0]}")
                continue
            result.latencies.append(found)
            say(f"latency of {result.title:34} p50 {found.p50:6.1f}  p99 {found.p99:6.1f} ms at {found.rate:,.0f}/s")


async def measure(options: argparse.Namespace, systems: Sequence[System], folder: Path) -> dict[str, Result]:
    """Bring up the stack, publish, run the rounds and the latencies; print and record."""
    addresses = stack.up(folder, say=say, postgres_settings=POSTGRES)
    parts = stack.status(folder)
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    settings = load(addresses.environment() | {"SILTSTONE_TOPIC_PREFIX": prefix})
    values = await prepare(settings, options.events)
    template = make_url(addresses.database_url).database or ""
    admin = AIOKafkaAdminClient(**kafka.connection(settings))
    await admin.start()
    try:
        bench = Bench(
            addresses.kafka_bootstrap_servers,
            addresses.database_url,
            template,
            admin,
            parts.kafka.pid or 0,
            parts.postgres.pid or 0,
        )
        await publish_all(settings, admin, systems, values)
        rows = rows_of(values)
        gc.freeze()  # the collector does not walk the rows while a limit is measured
        count = len(values)
        runs: dict[str, Run] = {
            BYTES: lambda: one_limit(bench, lambda url: limit_of_bytes(url, values), count),
            ROWS: lambda: one_limit(bench, lambda url: limit_of_rows(url, rows), count),
        }
        runs = {name: run for name, run in runs.items() if not options.only or name in options.only}
        results = {name: Result(LIMITS[name], LIMIT, count) for name in runs}
        for system in systems:
            runs[system.name] = lambda system=system: one_drain(bench, system, prefix, count)  # type: ignore[misc]
            results[system.name] = result_of(system, count)
        await rounds_of(runs, results, options.rounds, options.seed)
        if not options.no_latency:
            await latencies(bench, systems, results, settings, random.Random(options.seed))
    finally:
        await admin.close()
    connection = await asyncpg.connect(migrate.driver_dsn(addresses.database_url))
    version = await connection.fetchval("SHOW server_version")
    await connection.close()
    report.show(results)
    report.record(results, options.rounds, version)
    return results


async def publish_all(
    settings: Settings, admin: AIOKafkaAdminClient, systems: Sequence[System], values: Sequence[bytes]
) -> None:
    """The same events in every form that is read."""
    forms = {system.form: system for system in systems}
    if forms.pop("siltstone", None):
        await publish(settings, values, bare=False)
    events = [msgspec.json.decode(value) for value in values] if forms else []
    for form, system in forms.items():
        part = events[: len(events) // system.share]
        began = time.monotonic()
        size = await publish_form(settings, admin, topic_of_form(form, settings.topic_prefix), form, part)
        say(f"published {len(part)} for {system.family} in {time.monotonic() - began:.1f} s, {size:.0f} bytes each")


def chart() -> None:
    """Draw docs/bench.png from the lines that were just recorded, where matplotlib is."""
    try:
        python = install.venv()
    except install.NotInstalled as error:
        say(f"there is no chart: {error}")
        return
    done = subprocess.run([python, "-m", "bench.chart", report.RESULTS, CHART], cwd=ROOT, check=False)
    say(f"drawn: {CHART.relative_to(ROOT)}" if done.returncode == 0 else "there is no chart: see above")


def positive(text: str) -> int:
    """A number of 1 or more."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Siltstone, its peers and the limit.")
    parser.add_argument("--events", type=positive, default=150_000)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--no-latency", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the order in each round")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the stack, kept running; else a temporary one")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is ended
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # a new topic has no leader at first: it tries again
    say(f"seed {options.seed}")
    systems = installed(options.only or NAMES)
    if options.keep:
        asyncio.run(measure(options, systems, options.keep))
    else:
        with tempfile.TemporaryDirectory(prefix="siltstone-bench-") as folder:
            try:
                asyncio.run(measure(options, systems, Path(folder) / "stack"))
            finally:
                stack.down(Path(folder) / "stack", delete=True)
    if not options.only:
        chart()


if __name__ == "__main__":
    main()
