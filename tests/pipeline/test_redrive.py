"""Redriving dead letters: each once, whoever dies and whenever (docs/dead-letters.md)."""

import asyncio
import json
import os
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts import letter as form
from contracts.event_type import Family
from contracts.registry import EVENT_TYPES
from persistence.states import STATES
from tests.support import commands
from tests.support.events import event, record
from tests.support.faults import administering
from tests.support.installation import Installation
from tests.support.redrive_that_dies import KILLED, STEPS, die_after
from tests.support.waiting import until

LATER = "later"  # a tenant that does not exist yet


def extraction(number: int, tenant: str = LATER, **more: Any) -> dict[str, Any]:
    data = {"agent_name": "a", "event_type": "error", "pattern": "p", "line_number": number} | more
    return event("extraction.recorded", f"s-{number % 3}", data, tenant=tenant)


async def refused(installation: Installation, count: int) -> list[dict[str, Any]]:
    """`count` letters whose tenant does not exist, made by a worker that has stopped since."""
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction").ready()
    await installation.produce(topic, [record(extraction(i)) for i in range(count)])
    letters = await installation.letters(count)
    assert await worker.stop() == 0
    return letters


async def sent_back(installation: Installation) -> Counter[tuple[str, int]]:
    """How often each letter, with each count, was sent back, as a read-committed reader sees it."""
    found: Counter[tuple[str, int]] = Counter()
    for one in await installation.read_all(installation.topic("extraction")):
        headers = dict(one.headers)
        if form.ID in headers:
            found[headers[form.ID].decode(), int(headers[form.REDRIVE_COUNT])] += 1
    return found


async def statuses(installation: Installation) -> Counter[str]:
    rows = await installation.fetch("SELECT status FROM dead_letter")
    return Counter(row["status"] for row in rows)


def dying(installation: Installation, step: str, nth: int, *arguments: str) -> int:
    """The exit code of a redrive that dies after a step."""
    environment = os.environ | installation.environment
    die = partial(die_after, step, nth)
    return commands.run(["dlq", "redrive", *arguments], environment, first=die).returncode


async def test_a_redrive_says_first_and_does_with_yes(installation: Installation) -> None:
    """Without --yes nothing is sent, and the plan says what would land; with it each event resolves its letter."""
    await installation.create_topics(2)
    letters = await refused(installation, 5)
    assert installation.run("dlq", "redrive").returncode == 2
    plan = installation.run("dlq", "redrive", "--all", "-o", "json")
    assert plan.returncode == 0, plan.stderr
    assert [(r["letters"], r["would land"], r["still refused"]) for r in json.loads(plan.stdout)] == [
        (5, 0, "5 tenant_unknown")
    ]
    await installation.create_tenants(LATER)
    plan = installation.run("dlq", "redrive", "--reason", "tenant_unknown", "--limit", "4", "-o", "json")
    assert [(r["letters"], r["would land"]) for r in json.loads(plan.stdout)] == [(4, 4)]
    assert "--yes sends 4 letters" in plan.stderr
    assert (await statuses(installation), await sent_back(installation)) == (Counter(dead=5), Counter())

    worker = await installation.worker("--family", "extraction").ready()
    done = installation.run("dlq", "redrive", "--all", "--yes", "--wait", "-o", "json", "--as", "ada")
    assert done.returncode == 0, done.stderr
    assert {k: v for k, v in json.loads(done.stdout)[0].items() if k != "job"} == {
        "sent": 5, "resolved": 5, "dead": 0, "parked": 0, "redriving": 0, "discarded": 0
    }  # fmt: skip
    rows = await installation.fetch(
        """
        SELECT l.id, l.resolution, l.resolved_log, l.resolved_at IS NOT NULL AS at, e.event_id = l.event_id AS same
        FROM dead_letter AS l LEFT JOIN extraction_event AS e ON e.event_uid = l.event_uid
        """
    )
    assert {r["id"] for r in rows} == {letter["id"] for letter in letters}
    assert {(r["resolution"], r["resolved_log"], r["at"], r["same"]) for r in rows} == {
        ("stored", "extraction_event", True, True)
    }
    actions = await installation.fetch("SELECT actor, action FROM dead_letter_action")
    assert [(a["actor"], a["action"]) for a in actions] == [("ada", "redrive")] * 5
    again = installation.run("dlq", "redrive", "--all", "--yes", "-o", "json")
    assert json.loads(again.stdout)[0]["sent"] == 0
    assert await worker.stop() == 0
    assert installation.run("verify").returncode == 0


async def test_a_letter_that_fails_again_is_dead_again_and_at_last_parked(installation: Installation) -> None:
    """Its id stays, its count goes up, each refusal keeps its place; after three redrives only --force sends it."""
    await installation.create_topics(1)
    (letter,) = await refused(installation, 1)
    worker = await installation.worker("--family", "extraction").ready()
    for count in (1, 2, 3):
        done = installation.run("dlq", "redrive", "--id", str(letter["id"]), "--yes", "--wait")
        assert done.returncode == 4, done.stderr
        (row,) = await installation.letters(1)
        assert (row["id"], row["redrive_count"]) == (letter["id"], count)
        assert row["status"] == ("parked" if count == 3 else "dead")
    trips = await installation.fetch('SELECT redrive_count, reason, "offset" FROM dead_letter_trip ORDER BY 1')
    assert [(t["redrive_count"], t["reason"]) for t in trips] == [(n, "tenant_unknown") for n in range(4)]
    assert len({t["offset"] for t in trips}) == 4
    left = installation.run("dlq", "redrive", "--all", "--yes")
    assert (left.returncode, "1 parked; --force sends them" in left.stderr) == (0, True)
    await installation.create_tenants(LATER)
    done = installation.run("dlq", "redrive", "--all", "--force", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert await statuses(installation) == Counter(resolved=1)
    assert await worker.stop() == 0
    assert installation.run("verify").returncode == 0


async def test_a_redriven_record_that_is_delivered_again_makes_no_second_letter(installation: Installation) -> None:
    """Refused again and indexed, then delivered once more, as after a death before the commit: one letter."""
    await installation.create_topics(1)
    await refused(installation, 1)
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction").ready()
    assert installation.run("dlq", "redrive", "--all", "--yes", "--wait").returncode == 4
    await installation.settled("extraction")
    assert await worker.stop() == 0
    (redriven,) = [r for r in await installation.read_all(topic) if form.ID in dict(r.headers)]
    before = await installation.fetch("SELECT * FROM dead_letter")
    member = AIOKafkaConsumer(
        bootstrap_servers=installation.services.kafka,
        group_id=f"{installation.environment['KAFKA_GROUP_ID']}.extraction",
        enable_auto_commit=False,
    )
    await member.start()
    try:
        place = TopicPartition(topic, redriven.partition)
        member.assign([place])
        await member.commit({place: redriven.offset})
    finally:
        await member.stop()
    worker = await installation.worker("--family", "extraction").ready()
    await installation.settled("extraction")
    dlq = installation.dlq("extraction")
    ids = [dict(one.headers)[form.ID] for one in await installation.read_all(dlq)]
    assert (len(ids), len(set(ids))) == (3, 1)
    await until("the copy is indexed", lambda: committed_is(installation, dlq, 3))
    assert await installation.fetch("SELECT * FROM dead_letter") == before
    assert await worker.stop() == 0


async def committed_is(installation: Installation, dlq: str, letters: int) -> bool:
    """Whether the group that indexes letters committed so many, over all partitions."""
    group = f"{installation.environment['KAFKA_GROUP_ID']}.dlq"
    async with administering(installation) as admin:
        offsets = await admin.list_consumer_group_offsets(group)
    return sum(int(known.offset) for place, known in offsets.items() if place.topic == dlq) == letters


async def test_every_kind_of_record_goes_back_as_it_came(installation: Installation) -> None:
    """Key, value and headers go back byte for byte, also null ones; an edited letter goes as edited."""
    await installation.create_topics(2)
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction").ready()
    kinds: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (None, None, [("h", b"1")]),
        (b"k", None, []),
        (None, b"\xff\x00", [("h", None), ("h", b"\xfe"), ("x-dlq-reason", b"forged")]),
        (b"acme/s", b"[]", [("a", b""), ("b", b"2")]),
    ]
    await installation.produce(topic, kinds, partition=1)
    letters = await installation.letters(4)
    await installation.execute(
        """
        UPDATE dead_letter SET is_mended = true, mended_key = 'acme/t', mended_value = '{}',
          mended_header_names = '{c}', mended_header_values = ARRAY['3'::bytea] WHERE id = $1
        """,
        letters[3]["id"],
    )
    assert await worker.stop() == 0
    done = installation.run("dlq", "redrive", "--all", "--yes")
    assert done.returncode == 0, done.stderr
    back = {
        dict(r.headers)[form.ID].decode(): (r.key, r.value, [h for h in r.headers if not form.is_ours(h[0])])
        for r in await installation.read_all(topic)
        if form.REDRIVE_COUNT in dict(r.headers)
    }
    own = [(k, v, [(n, t) for n, t in h if not form.is_ours(n)]) for k, v, h in kinds]
    expected = [*own[:3], (b"acme/t", b"{}", [("c", b"3")])]
    assert back == {str(letter["id"]): said for letter, said in zip(letters, expected, strict=True)}


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_each_letter_goes_once(installation: Installation, step: str) -> None:
    """Killed at a step in its second batch, the same command goes on: every letter is sent once, and none hangs."""
    await installation.create_topics(2)
    await load(installation, 12)
    everything = ("--all", "--yes")
    nth = {"begin": 1, "start": 1, "finish": 1, "send": 7}.get(step, 2)
    assert dying(installation, step, nth, *everything) == KILLED
    done = await asyncio.to_thread(installation.run, "dlq", "redrive", *everything)
    assert done.returncode == 0, done.stderr
    sent = await sent_back(installation)
    assert (len(sent), set(sent.values()), {count for _, count in sent}) == (12, {1}, {1})
    assert await statuses(installation) == Counter(redriving=12)
    assert await installation.value("SELECT count(*) FROM redrive_job WHERE finished_at IS NULL") == 0


async def test_reading_the_topic_again_changes_nothing_and_revives_nothing(installation: Installation) -> None:
    """Another group reads every record and letter anew: each letter stays as it is, purged ones stay away."""
    await installation.create_topics(1)
    letters = await refused(installation, 6)
    ids = [str(letter["id"]) for letter in letters]
    assert installation.run("dlq", "park", ids[1]).returncode == 0
    assert installation.run("dlq", "discard", ids[2], "--why", "noise").returncode == 0
    assert installation.run("dlq", "discard", ids[3], "--why", "noise").returncode == 0
    assert installation.run("dlq", "edit", ids[4], "--set-text", "tenantid=acme", "--key-from-event").returncode == 0
    await installation.execute(
        """
        UPDATE dead_letter SET status = 'resolved', phase = 2, resolved_at = now() - interval '2 days' WHERE id = $1
        """,
        letters[5]["id"],
    )
    assert installation.run("dlq", "purge", "--before", "1d", "--yes").returncode == 0
    before = await installation.fetch("SELECT * FROM dead_letter ORDER BY id")
    trips = await installation.fetch("SELECT * FROM dead_letter_trip ORDER BY 1, 2")
    assert (len(before), len(trips)) == (5, 6)
    written = len(await installation.read_all(installation.dlq("extraction")))
    anew = {"KAFKA_GROUP_ID": uuid.uuid4().hex}
    worker = await installation.worker("--family", "extraction", environment=anew).ready()

    async def read_again() -> bool:
        return await worker.metric("siltstone_dead_letters_total") == 6

    await until("every record is refused again", read_again, 60)
    assert len(await installation.read_all(installation.dlq("extraction"))) == written + 6
    await installation.produce(installation.topic("extraction"), [record(extraction(99))])
    await installation.letters(6)  # the last letter of the topic is indexed, so all before it were read
    assert await installation.fetch('SELECT * FROM dead_letter WHERE "offset" < 6 ORDER BY id') == before
    assert await installation.fetch('SELECT * FROM dead_letter_trip WHERE "offset" < 6 ORDER BY 1, 2') == trips
    assert await worker.stop() == 0


async def test_letters_of_another_installation_are_imported_and_sent(
    installation: Installation, another: Installation, tmp_path: Path
) -> None:
    """Exported here and imported there, letters keep bytes, edits and status, and land there; twice changes nothing."""
    await installation.create_topics(1)
    await another.create_topics(2)
    letters = await refused(installation, 3)
    ids = [str(letter["id"]) for letter in letters]
    assert installation.run("dlq", "park", ids[1]).returncode == 0
    assert installation.run("dlq", "edit", ids[2], "--set-text", "tenantid=acme", "--key-from-event").returncode == 0
    file = str(tmp_path / "letters.jsonl")
    assert installation.run("dlq", "export", "--all", "--to", file).returncode == 0
    for said in ("3 letters imported", "0 letters imported; 3 are or were here already"):
        done = another.run("dlq", "import", file)
        assert (done.returncode, done.stderr.strip()) == (0, said)
    same = """
    SELECT id, status, key, value, header_names, header_values, is_mended, mended_key, mended_value
    FROM dead_letter ORDER BY id
    """
    assert await another.fetch(same) == await installation.fetch(same)
    await another.create_tenants(LATER)
    worker = await another.worker("--family", "extraction").ready()
    done = await asyncio.to_thread(another.run, "dlq", "redrive", "--all", "--force", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    rows = await another.fetch("SELECT tenant_id, count(*)::int AS n FROM extraction_event GROUP BY 1 ORDER BY 1")
    assert [(r["tenant_id"], r["n"]) for r in rows] == [("acme", 1), (LATER, 2)]
    assert await worker.stop() == 0
    assert another.run("verify").returncode == 0


OLDER: dict[str, tuple[str, dict[str, Any]]] = {
    "session": ("session.started", {"agent_name": "old", "environment": "old"}),
    "code_block": ("code_block.captured", {"agent_name": "a", "content": "x", "language": "old", "parseable": True}),
    "definition": ("definition.saved", {"kind": "test", "name": "old", "spec": {}, "description": "old"}),
    "run": ("run.started", {"kind": "test", "model": "old", "source": "old"}),
    "exception": (
        "exception.created",
        {"actor_type": "user", "set": {"domain": "old", "type": "t", "severity": "low", "source_system": "s"}},
    ),
}
NEWER: dict[str, tuple[str, dict[str, Any]]] = {
    "session": ("session.updated", {"agent_name": "new"}),
    "code_block": ("code_block.captured", {"agent_name": "a", "content": "x", "language": "new"}),
    "definition": ("definition.updated", {"name": "new"}),
    "run": ("run.updated", {"model": "new"}),
    "exception": ("exception.updated", {"actor_type": "user", "set": {"severity": "high"}}),
}
KEPT: dict[str, dict[str, Any]] = {
    "session": {"agent_name": "new", "environment": "old", "state": "started"},
    "code_block": {"language": "new", "parseable": True},
    "definition": {"name": "new", "description": "old", "is_active": True},
    "run": {"model": "new", "source": "old", "status": "running"},
    "exception": {"severity": "high", "domain": "old", "status": "open"},
}


async def test_a_letter_redriven_a_week_late_fills_and_overwrites_nothing(installation: Installation) -> None:
    """In every state, what the late event alone says is there, and what a newer one said stays (G3)."""
    assert set(OLDER) == {state.name for state in STATES}
    await installation.create_topics(2)
    now = datetime.now(UTC)

    async def send(said: dict[str, tuple[str, dict[str, Any]]], time: datetime, *tenants: str) -> None:
        for state, (kind, data) in said.items():
            one = [event(kind, "one", data, tenant=t, time=time.isoformat(), id=f"{kind}-{state}") for t in tenants]
            family = EVENT_TYPES[one[0]["type"]].family
            await installation.produce(installation.topic(family), [record(e) for e in one])

    worker = await installation.worker().ready()
    await send(OLDER, now - timedelta(days=7), "acme", LATER)
    await installation.letters(5)
    await installation.create_tenants(LATER)
    await send(NEWER, now, "acme", LATER)
    for family in Family:
        await installation.settled(family)
    done = await asyncio.to_thread(installation.run, "dlq", "redrive", "--all", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    for state in STATES:
        rows = await installation.fetch(f"SELECT * FROM {state.name} ORDER BY tenant_id")  # noqa: S608
        in_time, late = rows
        kept = KEPT[state.name]
        assert {name: late[name] for name in kept} == kept
        for apart in ("tenant_id", "clock"):  # the clock's keys hold the events' identities, and so the tenant
            del in_time[apart], late[apart]
        assert late == in_time
    assert await worker.stop() == 0
    assert installation.run("verify").returncode == 0


async def load(installation: Installation, count: int) -> None:
    """Letters in the index alone, of a tenant that exists."""
    await installation.create_tenants(LATER)
    topic = installation.topic("extraction")
    records = [record(extraction(i)) for i in range(count)]
    await installation.execute(
        """
        INSERT INTO dead_letter (id, tenant_id, topic, partition, "offset", consumer_group, reason, stage, error, key,
          value, header_names, header_values, record_timestamp, letter_topic, letter_partition, letter_offset,
          first_failed_at, last_failed_at, status)
        SELECT id, $5, $1, 0, number, 'g', 'tenant_unknown', 'tenant', 'e', key, value, '{}', '{}', 0, 'd', 0, number,
          now(), now(), 'dead'
        FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) WITH ORDINALITY AS l(id, key, value, number)
        """,
        topic,
        [uuid.uuid4() for _ in records],
        [key for key, _, _ in records],
        [value for _, value, _ in records],
        LATER,
    )


async def test_operators_at_once_send_each_letter_once(installation: Installation) -> None:
    """Three redrives of overlapping selections at one time claim different letters; limits add up."""
    await installation.create_topics(2)
    await load(installation, 600)
    selections = [("--all",), ("--reason", "tenant_unknown"), ("--tenant", LATER)]
    runs = [
        asyncio.to_thread(installation.run, "dlq", "redrive", *selection, "--yes", "--rate", "100", "-o", "json")
        for selection in selections
    ]
    done = await asyncio.gather(*runs)
    assert [d.returncode for d in done] == [0, 0, 0], [d.stderr for d in done]
    sent = await sent_back(installation)
    assert (len(sent), set(sent.values())) == (600, {1})
    assert sum(json.loads(d.stdout)[0]["sent"] for d in done) == 600


async def test_a_letter_that_another_claims_is_left_to_it(installation: Installation) -> None:
    """A redrive neither sends nor waits for a letter whose row another command has locked."""
    await installation.create_topics(1)
    await load(installation, 3)
    other = await asyncpg.connect(installation.dsn)
    try:
        claim = other.transaction()
        await claim.start()
        taken = await other.fetchval("SELECT id::text FROM dead_letter ORDER BY id LIMIT 1 FOR UPDATE")
        done = installation.run("dlq", "redrive", "--all", "--yes", "-o", "json")
        assert (done.returncode, json.loads(done.stdout)[0]["sent"]) == (0, 2), done.stderr
        assert taken not in {letter for letter, _ in await sent_back(installation)}
        await claim.rollback()
    finally:
        await other.close()
    again = installation.run("dlq", "redrive", "--all", "--yes", "-o", "json")
    assert (again.returncode, json.loads(again.stdout)[0]["sent"]) == (0, 1), again.stderr


async def test_a_letter_that_never_came_back_is_sent_again_by_force(installation: Installation) -> None:
    """What Kafka lost leaves its letter on its way: --status redriving --force sends it with the next count."""
    await installation.create_topics(1)
    await load(installation, 1)
    assert installation.run("dlq", "redrive", "--all", "--yes").returncode == 0
    assert installation.run("dlq", "redrive", "--status", "redriving", "--yes").returncode == 2
    assert installation.run("dlq", "redrive", "--status", "redriving", "--force", "--yes").returncode == 0
    assert sorted(count for _, count in await sent_back(installation)) == [1, 2]
    worker = await installation.worker("--family", "extraction").ready()

    async def resolved() -> bool:
        return await statuses(installation) == Counter(resolved=1)

    await until("the letter is resolved", resolved, 30)
    await installation.settled("extraction")
    assert await installation.value("SELECT count(*) FROM extraction_event") == 1
    assert await worker.stop() == 0
