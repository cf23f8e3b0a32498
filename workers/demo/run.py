"""The demonstration itself: the steps in their order, and the counts that must come out."""

import asyncio
import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from persistence import databases, letter_reads, migrate, reads, tenants
from persistence.database import Database
from persistence.letter_search import Selection
from persistence.roles import OPERATOR, READER
from producers.event_lines import Outgoing, RefusedLine
from workers import kafka, publisher, topics
from workers.cli.terminal import printable
from workers.database import database
from workers.demo import events, narration
from workers.demo.lag import caught_up
from workers.demo.narration import Narrator
from workers.demo.place import Place
from workers.demo.processes import PROGRAM, Worker

STEPS = 12
PARTITIONS = 4
BATCH_MAX_ROWS = 200  # small, so that a worker dies between many batches instead of after one
STREAM = 20_000  # events that flow while a worker is killed
FIRST_PART = 12_000  # of those; the rest is published after the kill
KILL_AFTER = 1_500  # of them stored
SETTLE_SECONDS = 120.0  # Kafka gives a killed worker's partitions away after 10 s of silence
VERIFY_SECONDS = 120.0
EVERY_POLLS = 4  # a line of progress every two seconds

VERIFIED = ("topic", "checked", "stored", "duplicate", "refused", "lost", "discrepancies")  # columns that fit

SESSION, RUN, EXCEPTION = "session-2025-09-15-02", "run-graph-004", "exception-7108"


class NotExact(Exception):
    """A count is not what was published."""


class Demonstration:
    """One run of it. `logs` is a folder for the workers' logs."""

    def __init__(self, place: Place, narrator: Narrator, logs: Path) -> None:
        self.place = place
        self._narrator = narrator
        self._logs = logs
        self._settings = place.settings
        self._workers: list[Worker] = []
        self._good = events.good()
        self._refused = events.refused(self._settings)
        self._events = len(self._good) + STREAM

    async def run(self) -> None:
        """Every step after the services are up; raises NotExact when a count is wrong. No worker outlives it."""
        async with databases.created(migrate.driver_dsn(self.place.server_url), self.place.database):
            try:
                await self._prepare()
                await self._start_workers()
                await self._publish_examples()
                await self._kill_in_the_middle()
                await self._settle()
                await self._show_stored()
                await self._show_refused()
                await self._verify()
                await self._count()
            finally:
                for worker in self._workers:
                    worker.end()

    async def _prepare(self) -> None:
        self._narrator.step(
            "A database of its own: siltstone db upgrade",
            f"The database {self.place.database} is made and migrated: logs, states, roles,",
            "partitions, row-level security.",
        )
        await migrate.upgrade(self._settings.owner_url)
        self._narrator.step(
            f"Topics: siltstone topics apply --partitions {PARTITIONS}",
            "A topic for each family of events, and one beside it for its dead letters.",
        )
        await topics.apply(self._settings, partitions=PARTITIONS)
        for name in [*kafka.topics(self._settings).values(), *kafka.dlq_topics(self._settings).values()]:
            self._narrator.say(f"  {name}")
        self._narrator.step(
            f"Tenants: siltstone tenants create {events.TENANT}",
            f"{events.TENANT}, whose events are stored; {events.SUSPENDED}, which is suspended. Events of anybody",
            "else are refused.",
        )
        async with self._opened(OPERATOR) as opened, opened.transaction() as connection:
            await tenants.create(connection, events.TENANT, "Acme")
            await tenants.create(connection, events.SUSPENDED, "Globex")
            await tenants.set_status(connection, events.SUSPENDED, "suspended")

    async def _start_workers(self) -> None:
        self._narrator.step(
            "Two workers: siltstone worker",
            "Each reads all families; Kafka shares the partitions out between them.",
        )
        environment = dict(self.place.environment) | {"SILTSTONE_BATCH_MAX_ROWS": str(BATCH_MAX_ROWS)}
        self._workers += [Worker(number, environment, self._logs) for number in (1, 2)]
        await asyncio.gather(*(worker.ready() for worker in self._workers))
        self._narrator.say(*(f"  worker {w.number} is ready (process {w.pid})" for w in self._workers))

    async def _publish_examples(self) -> None:
        repeated = len(events.shuffled(self._good)) - len(self._good)
        self._narrator.step(
            "Events: siltstone publish examples/*.jsonl",
            f"{len(self._good)} events: agent sessions, graph runs and business exceptions, out of order,",
            f"{repeated} of them twice; and {len(self._refused)} that cannot be stored, each wrong in its own way.",
        )
        await self._publish(events.records(self._settings, events.shuffled(self._good)))
        await self._publish(iter([record for record, _ in self._refused]))

    async def _kill_in_the_middle(self) -> None:
        victim = self._workers[0]
        self._narrator.step(
            f"SIGKILL: kill -9 {victim.pid}",
            f"{STREAM:,} more events flow; worker 1 is killed in the middle of them.",
        )
        publishing = asyncio.create_task(self._publish(events.records(self._settings, events.stream(0, FIRST_PART))))
        async with self._opened(READER) as opened:
            while (stored := await self._stored(opened)) < KILL_AFTER:
                self._check_workers()
                if publishing.done():
                    publishing.result()
                await asyncio.sleep(0.02)
            victim.kill()
            stored = await self._stored(opened)
        await publishing
        self._narrator.say(f"killed when {stored:,} of {self._events:,} events were stored")
        await self._publish(events.records(self._settings, events.stream(FIRST_PART, STREAM)))

    async def _settle(self) -> None:
        self._narrator.step(
            "Waiting until nothing is left to read",
            "Kafka misses worker 1 after 10 s, then worker 2 gets its partitions and reads",
            "again what worker 1 had not committed.",
        )
        families = {kafka.group_of(self._settings, f): [t] for f, t in kafka.topics(self._settings).items()}
        await caught_up(self._settings, families, SETTLE_SECONDS, self._watch())
        index = {kafka.dlq_group_of(self._settings): list(kafka.dlq_topics(self._settings).values())}
        await caught_up(self._settings, index, SETTLE_SECONDS, self._watch())
        self._narrator.say("lag is 0: every group has committed the last record of its topics")
        if code := await self._workers[1].stop():
            raise NotExact(f"worker 2 ended with exit code {code} on SIGTERM; its log says why")

    async def _show_stored(self) -> None:
        self._narrator.step("What was stored, as tenant acme reads it")
        async with self._opened(READER) as opened, reads.as_tenant(opened, events.TENANT) as connection:
            self._narrator.say(f"The session {SESSION}, of which every event came out of order:", "")
            rows = await reads.session_timeline(connection, SESSION)
            self._narrator.table(narration.timeline(rows), ["time", "event", "what"])
            run = await reads.run_of(connection, RUN) or {}
            self._narrator.say("", f"The run {RUN}: {run.get('status')}, {run.get('nodes')} nodes:", "")
            rows = await reads.run_nodes(connection, RUN)
            self._narrator.table(narration.nodes(rows), ["time", "node", "status", "ms", "error"])
            self._narrator.say("", f"Every decision about the {EXCEPTION}:", "")
            rows = await reads.exception_history(connection, EXCEPTION)
            self._narrator.table(narration.history(rows), ["time", "event", "who", "set"])

    async def _show_refused(self) -> None:
        found = await self._letters()
        self._narrator.step(
            f"What was refused, and why: {len(found)} dead letters",
            "Each keeps its bytes; the events beside it were stored. siltstone dlq list",
            "",
        )
        self._narrator.table(narration.letters(found), ["reason", "n", "what"])

    async def _verify(self) -> None:
        self._narrator.step(
            "siltstone verify",
            "Every offset in Kafka against the ledger, the rows and the dead letters.",
            "",
        )
        done = await asyncio.to_thread(
            subprocess.run,
            [*PROGRAM, "verify", "-o", "jsonl"],
            env=dict(self.place.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERIFY_SECONDS,
            check=False,
        )
        rows = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
        prefix = self._settings.topic_prefix
        found = [row | {"topic": str(row.get("topic")).removeprefix(prefix)} for row in rows]
        if found:
            self._narrator.table(found, [name for name in VERIFIED if name in found[0]])
        self._narrator.say("", *(printable(line) for line in done.stderr.decode(errors="replace").splitlines()))
        if done.returncode:
            raise NotExact(f"`siltstone verify` ended with exit code {done.returncode}")

    async def _count(self) -> None:
        async with self._opened(READER) as opened:
            async with reads.as_tenant(opened, events.TENANT) as connection:
                rows = sum((await reads.log_rows(connection)).values())
                counted = await reads.events_counted(connection)
            async with reads.as_tenant(opened, events.SUSPENDED) as connection:
                others = sum((await reads.log_rows(connection)).values())
        found = Counter(letter["reason"] for letter in await self._letters())
        wanted = Counter(reason.value for _, reason in self._refused)
        self._narrator.say(
            f"{self._events:,} different events published: {rows:,} rows, {counted:,} counted by the states",
            f"{wanted.total()} bad records published: {found.total()} dead letters",
            f"rows of {events.TENANT} that {events.SUSPENDED} can see: {others}",
        )
        if (rows, counted, others) != (self._events, self._events, 0) or found != wanted:
            raise NotExact(f"the counts above differ; letters by reason: {dict(found)}, expected {dict(wanted)}")
        self._narrator.say("Exact: nothing was lost, nothing is there twice.")

    async def _letters(self) -> list[dict[str, object]]:
        async with self._opened(OPERATOR) as opened, opened.transaction(readonly=True) as connection:
            return await letter_reads.page(connection, Selection(), 10 * len(self._refused))

    async def _publish(self, records: Iterator[Outgoing | RefusedLine]) -> None:
        report = await publisher.publish(self._settings, records, check=False)
        if report.refused:
            raise NotExact(f"the broker refused {len(report.refused)} records: {report.refused[0].reason}")

    async def _stored(self, opened: Database) -> int:
        async with reads.as_tenant(opened, events.TENANT) as connection:
            return sum((await reads.log_rows(connection)).values())

    def _check_workers(self) -> None:
        for worker in self._workers:
            worker.check()

    def _watch(self) -> Callable[[int], None]:
        """Looks after worker 2, and says now and then what is left."""
        polls = 0

        def watch(left: int) -> None:
            nonlocal polls
            self._workers[1].check()
            if polls % EVERY_POLLS == 0:
                self._narrator.say(f"  {left:,} records to go")
            polls += 1

        return watch

    @contextlib.asynccontextmanager
    async def _opened(self, role: str) -> AsyncIterator[Database]:
        opened = database(self._settings, "siltstone-demo", role)
        try:
            yield opened
        finally:
            await opened.close()
