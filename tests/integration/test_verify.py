"""The snapshot's SQL against Python's sets; what `siltstone verify` says when it cannot check, or is asked for ids."""

import json
import random
from collections import defaultdict

import asyncpg

from persistence import migrate
from persistence.accounting import Bounds, Member, snapshot
from persistence.database import Database
from persistence.offsets import spans_of, to_ranges
from persistence.roles import WORKER
from tests.support.installation import Installation

OURS, FOREIGN = "x.siltstone.extraction", "y.siltstone.extraction"
LEDGER = (Member.STORED, Member.DUPLICATE, Member.REFUSED, Member.INVISIBLE)
INSERT_ROWS = """
INSERT INTO {log} (event_uid, tenant_id, {subject}, event_time, ce_type, event_id, event_source,
                   kafka_topic, kafka_partition, kafka_offset)
SELECT coalesce($5::uuid, ('00000000' || substr(gen_random_uuid()::text, 9))::uuid), 'acme', 's', now(), 't', $4,
       '/tests', $1, $2, o
FROM unnest($3::bigint[]) AS o
"""


async def insert_rows(
    connection: asyncpg.Connection, log: str, topic: str, partition: int, offsets: set[int], **event: str
) -> None:
    """Rows of a log at these offsets, in its oldest partition; `id` and `uid` are of a single one."""
    subject = "run_id" if log == "run_event" else "session_id"
    statement = INSERT_ROWS.format(log=log, subject=subject)
    await connection.execute(statement, topic, partition, list(offsets), event.get("id", "e"), event.get("uid"))


async def test_segments_are_what_python_sets_say(database_url: str) -> None:
    """Rows of any log, overlapping ledger rows of two groups, letters and retired offsets: each offset has its sets."""
    draw = random.Random(20)
    expected: dict[tuple[str, int, int], int] = defaultdict(int)
    connection = await asyncpg.connect(migrate.driver_dsn(database_url))

    def some(topic: str, partition: int, member: Member, share: float) -> set[int]:
        # Around the bounds of the numbers that rows are folded into, dense and sparse, and one far away.
        start = draw.choice((0, 50, 64, 127))
        offsets = {o for o in range(start, start + draw.randrange(1, 300)) if draw.random() < share} | {7_000_000_063}
        for offset in offsets:
            expected[topic, partition, offset] |= member
        return offsets

    try:
        for topic, partition in ((OURS, 0), (OURS, 1), (FOREIGN, 0)):
            for log in ("extraction_event", "session_event", "run_event"):
                offsets = some(topic, partition, Member.ROW, draw.choice((0.5, 0.97, 1.0)))
                await insert_rows(connection, log, topic, partition, offsets)
            for group in ("g.extraction", "g.extraction", "old.extraction"):
                own = group == "g.extraction" and topic == OURS
                others = (Member.OTHER_STORED, Member.OTHER, Member.OTHER, Member.OTHER)
                sets = [some(topic, partition, m, 0.8) for m in (LEDGER if own else others)]
                await connection.execute(
                    "INSERT INTO ingest_batch (consumer_group, topic, partition, stored, duplicate, refused, invisible,"
                    " worker) VALUES ($1, $2, $3, $4, $5, $6, $7, 'w')",
                    group, topic, partition, *(to_ranges(spans_of(s)) for s in sets),
                )  # fmt: skip
            await connection.execute(
                "INSERT INTO ingest_retired (log, topic, partition, offsets) VALUES ('run_event', $1, $2, $3)",
                topic, partition, to_ranges(spans_of(some(topic, partition, Member.RETIRED, 0.9))),
            )  # fmt: skip
            await connection.execute(
                """
                INSERT INTO dead_letter_trip (dead_letter_id, redrive_count, topic, partition, "offset", reason, stage,
                  error, failed_at)
                SELECT gen_random_uuid(), 0, $1, $2, o, 'bad_json', 'decode', '', now() FROM unnest($3::bigint[]) AS o
                """,
                topic, partition, list(some(topic, partition, Member.LETTER, 0.1)),
            )  # fmt: skip
    finally:
        await connection.close()
    bounds = [Bounds(OURS, 0, "g.extraction", 70, 200), Bounds(OURS, 1, "g.extraction", 0, 0)]
    for offset in range(200):
        expected[OURS, 0, offset] |= Member.SETTLED | (Member.REMOVED if offset < 70 else 0)

    database = Database(database_url, WORKER)
    try:
        found: dict[tuple[str, int, int], int] = {}
        async with snapshot(database, None) as moment:
            await moment.scan(await moment.pages(), lambda _: None)
            async for s in moment.segments(bounds):
                found |= {(s.topic, s.partition, offset): s.members for offset in range(s.first, s.after)}
        assert found == expected
        async with snapshot(database, [OURS]) as moment:
            await moment.scan(await moment.pages(), lambda _: None)
            topics = {s.topic async for s in moment.segments(bounds)}
        assert topics == {OURS}
    finally:
        await database.close()


async def test_ids_with_more_than_one_time_are_listed(installation: Installation) -> None:
    """--identities names each id of one tenant and source that has more than one identity, and ends well."""
    connection = await asyncpg.connect(installation.dsn)
    try:
        for log, name, uid in (
            ("extraction_event", "twice", "00000000-0001-8000-8000-000000000001"),
            ("run_event", "twice", "00000000-0002-8000-8000-000000000002"),
            ("extraction_event", "once", "00000000-0003-8000-8000-000000000003"),
        ):
            await insert_rows(connection, log, installation.topic("extraction"), 0, {1}, id=name, uid=uid)
    finally:
        await connection.close()
    done = installation.run("verify", "--identities", "-o", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [(r["tenant_id"], r["event_source"], r["event_id"], r["identities"]) for r in rows] == [
        ("acme", "/tests", "twice", 2)
    ]


async def test_what_verify_says_when_it_cannot_check(installation: Installation) -> None:
    """3 without topics, 5 without Kafka or Postgres, 6 when a topic ends below what its ledger settled."""
    topic = installation.topic("extraction")
    missing = installation.run("verify")
    assert missing.returncode == 3
    assert "topics apply" in missing.stderr
    await installation.create_topics(partitions=1)
    await installation.execute(
        "INSERT INTO ingest_batch (consumer_group, topic, partition, stored, duplicate, refused, invisible, worker)"
        " VALUES ($1, $2, 0, '{}', '{[2,9)}', '{}', '{}', 'w')",
        f"{installation.environment['KAFKA_GROUP_ID']}.extraction",
        topic,
    )
    made_anew = installation.run("verify", "--family", "extraction", "-o", "json")
    assert made_anew.returncode == 6
    first, totals = json.loads(made_anew.stdout)
    assert first == {"topic": topic, "partition": 0, "first": 0, "last": 8, "offsets": 9, "kind": "beyond_end"}
    assert (totals["duplicate"], totals["discrepancies"]) == (7, 9)
    for variable, value, said in (
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "Kafka at 127.0.0.1:1"),
        ("DATABASE_URL", "postgresql+asyncpg://u:p@127.0.0.1:1/none", "the database does not answer"),
    ):
        kept = installation.environment[variable]
        installation.environment[variable] = value
        away = installation.run("verify")
        installation.environment[variable] = kept
        assert away.returncode == 5, away.stderr
        assert said in away.stderr
