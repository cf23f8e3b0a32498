"""One batch into Postgres: tenants checked, bad rows found and set aside, the rest stored in one transaction."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from aiokafka import TopicPartition

from contracts.record import Place, place_of
from contracts.refusal import Reason, Refusal, Stage
from persistence.batch import Arrived, Ledger, Redriven, Stored, Unit
from persistence.database import Database
from persistence.offsets import Spans
from persistence.store import prepare, store
from persistence.tenants import Tenants
from persistence.verdict import Judgement, Verdict
from workers.admission import tenant_refusal
from workers.decoding import Decoded, Refused
from workers.failure import Stop
from workers.judging import BadRow, PartitionMissing, judged
from workers.refusal_guard import RefusalGuard

CANNOT_STORE = "the database cannot take any record"


@dataclass(frozen=True, slots=True)
class Batch:
    """What the writer is given: decoded records, confirmed claims of redriven ones, offsets that hold nothing."""

    decoded: Decoded
    partitions: Collection[TopicPartition]
    claims: Mapping[Place, Redriven]
    invisible: Mapping[TopicPartition, Spans]


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch: counts, and the records that still need a dead letter."""

    stored: Stored
    refused: list[Refused]


class Writer:
    """Stores batches of one consumer. `maintain` makes missing partitions."""

    def __init__(
        self,
        database: Database,
        tenants: Tenants,
        maintain: Callable[[], Awaitable[None]],
        *,
        group: str,
        worker: str,
        max_attempts: int,
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._maintain = maintain
        self._group = group
        self._worker = worker
        self._max_attempts = max_attempts
        self._guard = RefusalGuard()

    async def write(self, batch: Batch) -> Settled:
        """Store what can be stored, and say what cannot; one transaction.

        Raises RetryLater for an outage and Stop for a fault that every record shares: nothing is stored then.
        """
        allowed, refused = await self._check_tenants(batch.decoded.readable)
        refused = [*batch.decoded.refused, *refused]
        for attempt in range(1, self._max_attempts + 1):
            try:
                stored = await self._commit(self._unit(allowed, refused, batch))
            except BadRow as bad:
                if bad.judgement.verdict is Verdict.defect and attempt < self._max_attempts:
                    continue
                return await self._store_others(allowed, refused, batch, bad.judgement)
            self._see(batch.decoded, {})
            return Settled(stored, refused)
        raise AssertionError("a try either returns or raises")

    async def _store_others(
        self, allowed: Sequence[Arrived], refused: list[Refused], batch: Batch, whole: Judgement
    ) -> Settled:
        """Find the bad records by halving, in probes that always roll back; then store the others."""
        bad = dict(await self._find_bad(allowed, batch))
        if not bad:
            raise Stop(f"the batch is refused as a whole ({whole.message}), though none of its records is alone")
        self._see(batch.decoded, bad)
        refused = [
            *refused,
            *(Refused(r.record, _refusal(r, j)) for r in allowed if (j := bad.get(place_of(r.record)))),
        ]
        others = [r for r in allowed if place_of(r.record) not in bad]
        try:
            stored = await self._commit(self._unit(others, refused, batch))
        except BadRow as again:
            raise Stop(
                f"without its {len(bad)} bad records the batch is still refused ({again.judgement.message})"
            ) from None
        return Settled(stored, refused)

    def _see(self, decoded: Decoded, bad: Mapping[Place, Judgement]) -> None:
        """Show the guard every record's outcome, in the order of the topic."""
        if not bad and not decoded.refused:
            self._guard.see_stored(len(decoded.readable))
            return
        outcomes = [(place_of(r.record), bad.get(place_of(r.record)), False) for r in decoded.readable]
        outcomes += [(place_of(r.record), None, r.refusal.reason is Reason.unexpected) for r in decoded.refused]
        outcomes.sort(key=itemgetter(0))
        self._guard.see(
            (j.place if j else None, is_defect or (j is not None and j.verdict is Verdict.defect))
            for _, j, is_defect in outcomes
        )

    async def _check_tenants(self, readable: Sequence[Arrived]) -> tuple[Sequence[Arrived], list[Refused]]:
        wanted = {r.event.tenant_id for r in readable}
        with judged(CANNOT_STORE):
            statuses = await self._tenants.statuses(wanted)
        if all(statuses.get(tenant) == "active" for tenant in wanted):
            return readable, []
        allowed, refused = [], []
        for r in readable:
            refusal = tenant_refusal(r.event, statuses.get(r.event.tenant_id))
            if refusal is None:
                allowed.append(r)
            else:
                refused.append(Refused(r.record, refusal))
        return allowed, refused

    def _unit(self, readable: Sequence[Arrived], refused: Sequence[Refused], batch: Batch) -> Unit:
        ledgers = {(p.topic, p.partition): Ledger(p.topic, p.partition) for p in batch.partitions}
        for partition, spans in batch.invisible.items():
            ledgers[partition.topic, partition.partition].invisible = spans
        for r in refused:
            ledgers[r.record.topic, r.record.partition].refused.append(r.record.offset)
        if batch.claims:
            for a in readable:
                a.letter = batch.claims.get(place_of(a.record))
        return Unit(readable, ledgers, self._group, self._worker)

    async def _commit(self, unit: Unit) -> Stored:
        """One transaction. Raises RetryLater, Stop or BadRow; then nothing was stored."""
        try:
            with judged(CANNOT_STORE, rows=True):
                async with self._database.session() as (connection, info):
                    await prepare(connection, info, {a.event.type.log for a in unit.arrived})
                    async with connection.transaction():
                        return await store(connection, unit)
        except PartitionMissing:
            with judged(CANNOT_STORE):
                await self._maintain()
            raise

    async def _find_bad(self, readable: Sequence[Arrived], batch: Batch) -> list[tuple[Place, Judgement]]:
        """The records that are refused alone, each with its judgement."""
        judgement = await self._probe(self._unit(readable, (), batch))
        if judgement is None or not readable:
            return []
        if len(readable) == 1:
            return [(place_of(readable[0].record), judgement)]
        middle = len(readable) // 2
        return await self._find_bad(readable[:middle], batch) + await self._find_bad(readable[middle:], batch)

    async def _probe(self, unit: Unit) -> Judgement | None:
        """Store and roll back; what the database says of it, None when it would store."""
        with judged(CANNOT_STORE):
            async with self._database.session() as (connection, info):
                await prepare(connection, info, {a.event.type.log for a in unit.arrived})
                probe = connection.transaction()
                await probe.start()
                try:
                    with judged(CANNOT_STORE, rows=True):
                        await store(connection, unit)
                except BadRow as bad:
                    return bad.judgement
                finally:
                    await probe.rollback()
        return None


def _refusal(arrived: Arrived, judgement: Judgement) -> Refusal:
    event = arrived.event
    reason = Reason.unexpected if judgement.verdict is Verdict.defect else judgement.reason
    return Refusal(
        reason,
        Stage.store,
        judgement.message,
        exception=judgement.place if judgement.verdict is Verdict.defect else "BadRow",
        sqlstate=judgement.sqlstate,
        tenant_id=event.tenant_id,
        event_type=event.type_name,
    )
