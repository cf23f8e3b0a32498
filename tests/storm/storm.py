"""One storm: traffic published while faults strike, then everything compared with the model."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
from aiokafka import TopicPartition

from contracts.event_type import Family
from tests.storm import faults
from tests.storm.compare import differences
from tests.storm.field import Field
from tests.storm.model import Model
from tests.storm.publishing import Publisher, see_topics
from tests.storm.report import MOST_MEMORY_MB, SAMPLE_SECONDS, Report, Strike, peak
from tests.storm.traffic import Traffic
from tests.support.waiting import until

AHEAD = 0.03  # share of all records that may be published before their share of the faults has struck
RECOVERY_SECONDS = 180.0
SETTLED_SECONDS = 900.0

DEADLOCK = "40P01"
SETTLED = """
SELECT topic, partition, max(greatest(upper(stored), upper(duplicate), upper(refused), upper(invisible))) AS settled
FROM ingest_batch GROUP BY 1, 2
"""

Say = Callable[[str], None]


class Storm:
    """`records` published while `strikes` faults strike, none of which takes longer than `most_seconds`."""

    def __init__(
        self, seed: int, folder: Path, *, records: int, strikes: int, most_seconds: float, say: Say = lambda _: None
    ) -> None:
        self.report = Report(seed, datetime.now(UTC))
        self._folder = folder
        self._records = records
        self._strikes = strikes
        self._most_seconds = most_seconds
        self._say = say
        self._random = random.Random(seed)
        self._traffic = Traffic(seed, self.report.base)
        self._memory: dict[int, list[float]] = {}

    async def run(self) -> Report:
        """The whole; what is wrong at the end is in the report's findings."""
        began = time.monotonic()
        traffic = self._traffic
        field = await Field.open(self._folder, tenants=traffic.tenants, suspended=traffic.suspended, late=traffic.late)
        try:
            topics = {family.value: field.installation.topic(family) for family in Family}
            publisher = Publisher(traffic, topics, field.installation.services.kafka)
            watching = asyncio.create_task(self._watch_memory(field))
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(publisher.run(self._wanted, self._is_over))
                    group.create_task(self._strike_all(field, publisher))
                await self._come_to_rest(field)
            finally:
                watching.cancel()
            await self._judge(field, publisher)
        finally:
            await field.close()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _wanted(self) -> float:
        """Faults and traffic go on side by side: neither ends long before the other."""
        return min(self._records, self._records * (len(self.report.strikes) / self._strikes + AHEAD))

    def _is_over(self) -> bool:
        return len(self.report.strikes) == self._strikes

    async def _strike_all(self, field: Field, publisher: Publisher) -> None:
        report = self.report
        while len(report.strikes) < self._strikes:
            struck = await faults.strike(field, self._random, faults.choose(field, self._random, self._most_seconds))
            began = time.monotonic()
            caught_up = partial(_has_settled, field, await publisher.ends())
            await until(f"all is settled that came before the end of: {struck}", caught_up, RECOVERY_SECONDS)
            recovered = time.monotonic() - began
            report.strikes.append(Strike(struck, recovered))
            self._say(f"{len(report.strikes):>4}/{self._strikes}  {publisher.sent:>9,} records  {struck}; "
                      f"settled after {recovered:.1f} s")  # fmt: skip
            field.check()
            await asyncio.sleep(self._random.uniform(0, 0.5))

    async def _come_to_rest(self, field: Field) -> None:
        """Everything published is settled, every late tenant there, and its letters sent back and stored."""
        installation = field.installation
        self._say("all is published; waiting until it is settled")
        while field.late:
            await installation.create_tenants(field.late.pop())
        if await installation.value("SELECT count(*) FROM dead_letter WHERE status = 'redriving'"):
            done = await asyncio.to_thread(installation.run, "dlq", "redrive", "--all", "--yes")
            self._say(f"what a redrive that was killed had claimed: exit {done.returncode} {done.stderr.strip()}")
        await self._settled(field)
        left = "SELECT count(*) FROM dead_letter WHERE tenant_id = ANY($1) AND status IN ('dead', 'parked')"
        while await installation.value(left, list(self._traffic.late)):
            selection = [part for tenant in self._traffic.late for part in ("--tenant", tenant)]
            done = await asyncio.to_thread(installation.run, "dlq", "redrive", *selection, "--force", "--yes", "--wait")
            self._say(f"redrive of the late tenants' letters: exit {done.returncode} {done.stderr.strip()}")
            await self._settled(field)

    async def _settled(self, field: Field) -> None:
        """Every record of the topics is settled, and every letter indexed."""

        async def is_settled() -> bool:
            field.check()
            return not await field.installation.value("SELECT count(*) FROM dead_letter WHERE status = 'redriving'")

        for family in Family:
            await field.installation.settled(family, SETTLED_SECONDS)
        await until("no letter is on its way", is_settled, SETTLED_SECONDS)

    async def _judge(self, field: Field, publisher: Publisher) -> None:
        report, installation = self.report, field.installation
        model = Model(self._traffic.poison, self._traffic.late)
        await see_topics(model, installation)
        report.records, report.events, report.letters = model.records, model.events, len(model.letters)
        self._say(f"{model.records:,} records in the topics; comparing every row and letter with the model")

        async def indexed() -> bool:
            found: int = await installation.value("SELECT count(*) FROM dead_letter")
            return found >= len(model.letters)

        await until("every letter is indexed", indexed, SETTLED_SECONDS)
        report.findings += await differences(installation.dsn, model)
        if (published := model.records - model.redriven) != publisher.sent:
            report.findings.append(f"{publisher.sent} records were acknowledged, {published} are in the topics")
        verified = await asyncio.to_thread(installation.run, "verify")
        if verified.returncode:
            report.findings.append(f"verify: exit {verified.returncode}: {verified.stdout}{verified.stderr}")
        report.findings += self._deadlocks(field)
        report.memory = list(self._memory.values())
        if (most := peak(report.memory)) > MOST_MEMORY_MB:
            report.findings.append(f"a worker took {most:.0f} MB")

    def _deadlocks(self, field: Field) -> list[str]:
        """The workers' own deadlocks: they take locks in one order, so that only a fault makes one."""
        made = [
            (struck.at, struck.at + timedelta(seconds=struck.seconds + recovered))
            for struck, recovered in self.report.strikes
            if struck.name in ("deadlock", "deadlock said")
        ]
        own = [
            entry["timestamp"]
            for worker in field.installation.workers
            for entry in worker.events("holding")
            if DEADLOCK in entry["error"]
            and not any(a <= datetime.fromisoformat(entry["timestamp"]) <= b for a, b in made)
        ]
        return [f"{len(own)} deadlocks that no fault made, the first at {min(own)}"] if own else []

    async def _watch_memory(self, field: Field) -> None:
        """The resident memory of each worker, in MB, by its process."""
        while True:
            for worker in field.workers:
                try:
                    resident = psutil.Process(worker.process.pid).memory_info().rss / 1e6
                except psutil.NoSuchProcess:
                    continue
                self._memory.setdefault(worker.process.pid, []).append(resident)
            await asyncio.sleep(SAMPLE_SECONDS)


async def _has_settled(field: Field, ends: Mapping[TopicPartition, int]) -> bool:
    """Whether the ledger has everything below these offsets."""
    field.check()
    rows = await field.installation.fetch(SETTLED)
    settled = {TopicPartition(row["topic"], row["partition"]): row["settled"] for row in rows}
    return all(settled.get(place, 0) >= end for place, end in ends.items())
