"""The questions that `make bench-growth` answers, each with what it compares and its goal."""

import base64
import random
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from bench.drain import fresh_database
from bench.events import encoded, extractions
from bench.families import FAMILIES, padded
from bench.growth_drain import Drained, Published, Rig, drained, in_turn
from bench.growth_line import line
from bench.growth_rows import fill
from persistence import migrate

COPIED_ROWS = 1_000_000  # above it a copy for each round takes longer than the round
TENANTS = (1, 100, 10_000)
SESSIONS = 10_000  # of all tenants together, so that there are as many states however many tenants
PARTITIONS = (1, 12)
WORKERS = (1, 2, 4)
DELAY_MS = 5.0
PART_AT_WORK = 0.6  # of the rows: beyond it the consumers that have fewer partitions than others run out of them
SMALL_BATCH = 100
BATCHES = (500, 2_000, None, 8_000)
ORDINARY_BYTES = 700
KIB, MIB = 1024, 1024 * 1024
SIZES = {"1 KB": KIB, "10 KB": 10 * KIB, "100 KB": 100 * KIB, "1 MiB": MIB - 2 * KIB}
MESSAGES_MIB, MESSAGES_LEAST = 256, 300  # together, and at least so many: a worker cannot hold more than there is
PEAK_MB = 300
FAMILY_NAMES = ("extraction", "execution", "exception")

Measure = Callable[[Drained], float]


@dataclass(frozen=True)
class Answer:
    """What was found in each round of each setting; `ratio` is of `measure` to that of the first setting."""

    what: str
    found: Mapping[str, Sequence[Drained]]
    compared: str
    measure: Measure
    goal: str = ""
    is_met: bool | None = None

    def ratio(self, name: str) -> float:
        """The median of the ratios to the first setting, each of one round."""
        return ratio(self.found, name, self.measure)

    def cpu_ratio(self, name: str) -> float:
        """The same of the CPU of workers and Postgres together, which others on the machine change less."""
        return ratio(self.found, name, cpu)


def ratio(found: Mapping[str, Sequence[Drained]], name: str, measure: Measure) -> float:
    first = next(iter(found.values()))
    pairs = zip(found[name], first, strict=True)
    return statistics.median(measure(one) / measure(base) for one, base in pairs)


def cost(drain: Drained) -> float:
    return drain.us


def cpu(drain: Drained) -> float:
    return drain.worker_us + drain.postgres_us


def speed(drain: Drained) -> float:
    return drain.rate


def peak(drain: Drained) -> float:
    return drain.peak_mb


async def rows(rig: Rig) -> list[Answer]:
    """The same new events into databases that hold more and more rows."""
    published = [
        await rig.publish([encoded(event) for event in extractions(rig.events, seed=number + 1)])
        for number in range(rig.rounds)
    ]
    until = min(one.since for one in published)
    async with AsyncExitStack() as filled:
        settings: dict[str, Callable[[int], Awaitable[Drained]]] = {}
        for size in rig.sizes:
            url = await filled.enter_async_context(rig.fresh())
            await fill(url, size, until)
            settings[f"{size:,} rows"] = partial(_drained_into, rig, url, published, is_copied=size <= COPIED_ROWS)
        found = await in_turn("rows", rig.rounds, settings)
    return [_at_most("rows", found, "the last costs at most 1.2 times the first", 1.2)]


async def _drained_into(rig: Rig, url: str, published: Sequence[Published], number: int, *, is_copied: bool) -> Drained:
    """Into a copy of a filled database; or into itself, with the rows of the rounds before."""
    if is_copied:
        async with fresh_database(rig.url, make_url(url).database or "", "FILE_COPY") as copy:
            return await drained(rig, copy, published[number])
    connection = await asyncpg.connect(migrate.driver_dsn(url))
    await connection.execute("CHECKPOINT")
    await connection.close()
    return await drained(rig, url, published[number])


async def tenants(rig: Rig) -> list[Answer]:
    """The same number of events and sessions, of more and more tenants."""
    settings = {}
    for count in TENANTS:
        published = await rig.publish([encoded(event) for event in _of_tenants(rig.events, count)])
        settings[_many(count, "tenant")] = partial(_drained_with_tenants, rig, published, count)
    found = await in_turn("tenants", rig.rounds, settings)
    return [Answer("tenants", found, "cost", cost)]


def _of_tenants(events: int, count: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(1)
    for event in extractions(events):
        session = draw.randrange(SESSIONS)
        yield event | {"subject": f"sess-{session}", "tenantid": f"of-{session % count}"}


async def _drained_with_tenants(rig: Rig, published: Published, count: int, _number: int) -> Drained:
    async with rig.fresh() as url:
        connection = await asyncpg.connect(migrate.driver_dsn(url))
        await connection.execute(
            "INSERT INTO tenant (tenant_id, name) SELECT 'of-' || n, n FROM generate_series(0, $1::int - 1) AS n", count
        )
        await connection.close()
        return await drained(rig, url, published)


async def partitions(rig: Rig) -> list[Answer]:
    """The same events in topics of one partition and of more."""
    values = [encoded(event) for event in extractions(rig.events)]
    settings = {
        _many(count, "partition"): partial(_drained_fresh, rig, await rig.publish(values, partitions=count))
        for count in PARTITIONS
    }
    return [Answer("partitions", await in_turn("partitions", rig.rounds, settings), "cost", cost)]


async def _drained_fresh(rig: Rig, published: Published, _number: int, **options: Any) -> Drained:
    async with rig.fresh() as url:
        return await drained(rig, url, published, **options)


async def workers(rig: Rig) -> list[Answer]:
    """More and more processes: beside Postgres, and behind a line that is slow to answer."""
    values = [encoded(event) for event in extractions(rig.events)]
    answers = await _workers(rig, values, "workers", {}, None, 1)
    port = make_url(rig.url).port or 0
    with line(port, DELAY_MS) as delayed:
        near, far = await _round_trip_ms(rig.url, port), await _round_trip_ms(rig.url, delayed)
        print(f"an empty statement takes {near:.1f} ms, by the delayed line {far:.1f} ms", flush=True)
        away = f"workers, Postgres {DELAY_MS:g} ms away"
        answers += await _workers(rig, values, away, {}, delayed, 3)
        small = {"SILTSTONE_BATCH_MAX_ROWS": str(SMALL_BATCH)}
        answers += await _workers(rig, values, f"{away}, batches of {SMALL_BATCH}", small, delayed, 3)
    return answers


async def _workers(
    rig: Rig, values: Sequence[bytes], what: str, own: Mapping[str, str], port: int | None, goal: float
) -> list[Answer]:
    async def measure(count: int, _number: int) -> Drained:
        async with rig.fresh() as url, rig.withheld(values) as published:
            by_line = {"DATABASE_URL": _by(url, port)} if port else {}
            return await drained(rig, url, published, workers=count, settings={**own, **by_line}, part=PART_AT_WORK)

    names = {count: _many(count, "worker") for count in WORKERS}
    found = await in_turn(what, rig.rounds, {name: partial(measure, count) for count, name in names.items()})
    last = ratio(found, names[WORKERS[-1]], speed)
    said = f"{WORKERS[-1]} workers are at least {goal:g} times as fast as one"
    ended = {name: [one._replace(rate=one.rate_to_the_end) for one in drains] for name, drains in found.items()}
    return [
        Answer(what, found, "speed", speed, said, last >= goal),
        Answer(f"{what}, to the last row", ended, "speed", speed),
    ]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("s" if count > 1 else "")


def _by(url: str, port: int) -> str:
    return make_url(url).set(port=port).render_as_string(hide_password=False)


async def _round_trip_ms(url: str, port: int) -> float:
    """The median time of a statement that does nothing, by the line."""
    connection = await asyncpg.connect(migrate.driver_dsn(_by(url, port)))
    found = []
    for _ in range(100):
        began = time.perf_counter()
        await connection.fetchval("SELECT 1")
        found.append(time.perf_counter() - began)
    await connection.close()
    return statistics.median(found) * 1000


async def memory(rig: Rig) -> list[Answer]:
    """One worker of all families: larger and larger batches, then messages."""
    ordinary = await rig.publish([padded(event, ORDINARY_BYTES) for event in FAMILIES["mix"](rig.events)])
    settings = {
        f"{rows or 'default'} rows a batch": partial(
            _peak, rig, ordinary, {"SILTSTONE_BATCH_MAX_ROWS": str(rows)} if rows else {}
        )
        for rows in BATCHES
    }
    answers = [_peaks("memory, batch", await in_turn("memory", rig.rounds, settings))]
    settings = {}
    for name, size in SIZES.items():
        count = max(MESSAGES_LEAST, min(rig.events, MESSAGES_MIB * MIB // size))
        values = [padded(event, size) for event in FAMILIES["mix"](count)]
        settings[f"{name}, one letter"] = partial(_peak, rig, await rig.publish(values), {})
        values = [incompressible(value, seed) for seed, value in enumerate(values)]
        settings[f"{name}, random"] = partial(_peak, rig, await rig.publish(values), {})
    return [*answers, _peaks(f"memory, {MESSAGES_MIB} MiB of messages", await in_turn("memory", rig.rounds, settings))]


def incompressible(value: bytes, seed: int) -> bytes:
    """The same with random letters where one is repeated: what `padded` adds hardly takes room once compressed."""
    draw = random.Random(seed)
    return re.sub(rb"x{200,}", lambda found: base64.b64encode(draw.randbytes(len(found[0])))[: len(found[0])], value)


async def _peak(rig: Rig, published: Published, own: Mapping[str, str], number: int) -> Drained:
    return await _drained_fresh(rig, published, number, families=FAMILY_NAMES, settings=own, part=None)


def _peaks(what: str, found: Mapping[str, Sequence[Drained]]) -> Answer:
    highest = max(one.peak_mb for drains in found.values() for one in drains)
    return Answer(what, found, "peak", peak, f"at most {PEAK_MB} MB everywhere", highest <= PEAK_MB)


def _at_most(what: str, found: Mapping[str, Sequence[Drained]], goal: str, most: float) -> Answer:
    return Answer(what, found, "cost", cost, goal, ratio(found, list(found)[-1], cost) <= most)


QUESTIONS: Mapping[str, Callable[[Rig], Awaitable[list[Answer]]]] = {
    "rows": rows,
    "tenants": tenants,
    "partitions": partitions,
    "workers": workers,
    "memory": memory,
}
