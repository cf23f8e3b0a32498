"""What comes again, comes for whom, and comes back from the dead letters."""

import json
import uuid
from typing import Any

from contracts import letter as form
from tests.support.events import NOW, event, extraction, record
from tests.support.faults import account, counts
from tests.support.installation import Header, Installation
from tests.support.waiting import until

NO_MORE = {"stored": 0, "duplicate": 0, "refused": 0, "invisible": 0}


async def test_an_event_counts_once_however_often_and_wherever_it_comes(installation: Installation) -> None:
    """Repeats in a batch, across batches and workers, with other content: the first counts, in log and state (G2)."""
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    started = event("session.started", "s", {"agent_name": "first"}, id="one")
    repeat = started | {"data": {"agent_name": "second"}}
    other_tenant = started | {"tenantid": "globex", "data": {"agent_name": "globex's"}}
    other_source = started | {"source": "/another", "data": {"agent_name": "another's"}, "subject": "s2"}
    found = [extraction(1, sessions=1, id="x"), extraction(2, sessions=1, id="y")]
    await installation.produce(topic, [record(e) for e in (started, repeat, *found, *found, other_tenant)])
    worker = installation.worker("--family", "extraction")
    await installation.settled("extraction")
    await installation.produce(topic, [record(e) for e in (repeat, found[1], started, other_source)])
    await installation.settled("extraction")
    assert await worker.stop() == 0
    worker = installation.worker("--family", "extraction")
    await installation.produce(topic, [record(e) for e in (repeat, *found)])
    await installation.settled("extraction")
    assert await worker.stop() == 0
    assert await installation.fetch(
        "SELECT tenant_id, id, agent_name, events::int FROM session ORDER BY tenant_id, id"
    ) == [
        {"tenant_id": "acme", "id": "s", "agent_name": "first", "events": 1},
        {"tenant_id": "acme", "id": "s2", "agent_name": "another's", "events": 1},
        {"tenant_id": "acme", "id": "session-0", "agent_name": "agent-2", "events": 2},
        {"tenant_id": "globex", "id": "s", "agent_name": "globex's", "events": 1},
    ]
    assert await installation.value("SELECT count(*) FROM session_event") == 3
    assert await counts(installation) == {"rows": 2, "counted": 2, "letters": 0}
    assert await account(installation, "extraction") == NO_MORE | {"stored": 5, "duplicate": 9}


async def test_a_tenant_is_let_in_and_shut_out_in_time(installation: Installation) -> None:
    """Suspended is refused, active again is stored, and a tenant made just before its event is never refused (G7)."""
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction").ready()
    await installation.produce(topic, [record(extraction(0))])
    await installation.settled("extraction")  # what is known of tenants is now in the worker's cache
    await installation.create_tenants("fresh")
    await installation.produce(topic, [record(extraction(1, tenant=t)) for t in ("fresh", "nobody", "acme")])
    await installation.execute("UPDATE tenant SET status = 'suspended' WHERE tenant_id = 'globex'")
    await installation.settled("extraction")
    await worker.stop()  # another worker has nothing in its cache
    worker = await installation.worker("--family", "extraction").ready()
    await installation.produce(topic, [record(extraction(2, tenant=t)) for t in ("globex", "acme")])
    await installation.letters(2)
    await installation.execute("UPDATE tenant SET status = 'active' WHERE tenant_id = 'globex'")
    await installation.produce(topic, [record(extraction(3, tenant="globex"))])
    await installation.settled("extraction")
    letters = await installation.letters(2)
    assert [(r["tenant_id"], r["reason"], r["stage"]) for r in letters] == [
        ("nobody", "tenant_unknown", "tenant"),
        ("globex", "tenant_suspended", "tenant"),
    ]
    rows = await installation.fetch("SELECT tenant_id, count(*)::int AS n FROM extraction_event GROUP BY 1 ORDER BY 1")
    assert [(r["tenant_id"], r["n"]) for r in rows] == [("acme", 3), ("fresh", 1), ("globex", 1)]
    assert await worker.stop() == 0


def redriven(one: dict[str, Any], letter: uuid.UUID, count: int) -> tuple[bytes, bytes, list[Header]]:
    """The record as a redrive sends it."""
    key, value, headers = record(one)
    sent: list[Header] = [*headers, (form.ID, str(letter).encode()), (form.REDRIVE_COUNT, str(count).encode())]
    return key, value, sent


async def test_only_a_letter_that_is_being_redriven_is_resolved_by_its_event(installation: Installation) -> None:
    """A forged id resolves nothing; a redriven event resolves its letter, or makes it dead again under its id (G7)."""
    await installation.create_topics(1)
    topic = installation.topic("extraction")
    worker = await installation.worker("--family", "extraction").ready()
    late = [extraction(i, tenant="later") for i in range(5)]
    await installation.produce(topic, [record(e) for e in late])
    ids = [letter["id"] for letter in await installation.letters(5)]
    await installation.create_tenants("later")

    async def status() -> list[tuple[str, int]]:
        rows = await installation.fetch("SELECT id, status, redrive_count FROM dead_letter")
        found = {row["id"]: (row["status"], row["redrive_count"]) for row in rows}
        return [found[letter] for letter in ids]

    await installation.execute(
        """
        UPDATE dead_letter SET status = 'redriving', phase = 0, redrive_count = 1 WHERE "offset" IN (1, 2, 3);
        UPDATE dead_letter SET status = 'redriving', phase = 0, redrive_count = 2 WHERE "offset" = 4;
        UPDATE dead_letter SET sent_tenant_id = tenant_id
        """
    )
    by_globex = extraction(9, tenant="globex")
    still_bad = late[2] | {"data": {"agent_name": "a"}}
    bad_too = late[0] | {"data": {"agent_name": "a"}}
    await installation.produce(
        topic,
        [
            redriven(late[0], ids[0], 0),  # the letter is dead: nobody sent it back
            redriven(late[1], ids[1], 1),
            redriven(still_bad, ids[2], 1),
            redriven(by_globex, ids[3], 1),  # another tenant's event
            redriven(late[4], ids[4], 1),  # a count that is not its own
            record(extraction(10)),
            redriven(bad_too, ids[0], 0),  # refused under an id that is not its own: another letter
        ],
    )
    await installation.settled("extraction")

    async def settled_status() -> list[tuple[str, int]]:
        return [s for s in await status() if s == ("dead", 1)]

    await until("the letter that failed again is dead", settled_status, 20)
    assert await status() == [("dead", 0), ("resolved", 1), ("dead", 1), ("redriving", 1), ("redriving", 2)]
    again = (await installation.fetch("SELECT * FROM dead_letter WHERE id = $1", ids[2]))[0]
    assert (again["reason"], again["offset"]) == ("schema_invalid", 7)
    assert again["last_failed_at"] > again["first_failed_at"]
    assert (again["header_names"], json.loads(again["value"])) == (["content-type"], late[2])
    forged = [letter for letter in await installation.letters(6) if letter["id"] not in ids]
    assert [(letter["offset"], letter["reason"], letter["redrive_count"]) for letter in forged] == [
        (11, "schema_invalid", 0)
    ]
    assert await counts(installation) == {"rows": 5, "counted": 5, "letters": 6}
    assert await worker.stop() == 0


async def test_one_row_that_the_database_refuses_harms_only_itself(installation: Installation) -> None:
    """What a constraint of one's own refuses is a letter; its neighbours and its run are as without it (G4)."""
    await installation.create_topics(1)
    topic = installation.topic("execution")
    worker = await installation.worker("--family", "execution").ready()
    await installation.execute("ALTER TABLE run_event ADD CONSTRAINT ours CHECK (external_ref <> 'not wanted')")
    runs = [event("run.started", f"run-{i}", {"kind": "test", "external_ref": f"r{i}"}, seconds=i) for i in range(20)]
    bad = event("run.updated", "run-3", {"external_ref": "not wanted"}, seconds=50)
    await installation.produce(topic, [record(e) for e in (*runs[:9], bad, *runs[9:])])
    await installation.settled("execution")
    (letter,) = await installation.letters(1)
    assert (letter["offset"], letter["reason"], letter["stage"], letter["sqlstate"], letter["subject"]) == (
        9, "constraint_violation", "store", "23514", "run-3",
    )  # fmt: skip
    assert "ours" in letter["error"]
    assert "not wanted" not in letter["error"]
    rows = await installation.fetch("SELECT id, external_ref, events::int FROM run ORDER BY started_at")
    assert [tuple(r.values()) for r in rows] == [(f"run-{i}", f"r{i}", 1) for i in range(20)]
    assert await installation.value("SELECT count(*) FROM run_event") == 20
    assert await account(installation, "execution") == NO_MORE | {"stored": 20, "refused": 1}
    assert await worker.stop() == 0


async def test_a_month_without_a_partition_is_made_and_its_rows_stored(installation: Installation) -> None:
    """A row that no partition holds is no bad row: the worker makes the months, and stores it (G5)."""
    await installation.create_topics(1)
    worker = await installation.worker("--family", "extraction").ready()
    months = await installation.fetch("SELECT part FROM siltstone_months('extraction_event') ORDER BY starts")
    for month in months:
        if str(month["part"]) >= f"extraction_event_{NOW:%Y_%m}":
            await installation.execute(f"DROP TABLE {month['part']}")
    left = await installation.fetch("SELECT part FROM siltstone_months('extraction_event')")
    assert len(left) < len(months)
    await installation.produce(installation.topic("extraction"), [record(extraction(i)) for i in range(10)])
    await installation.settled("extraction")
    assert await installation.fetch("SELECT part FROM siltstone_months('extraction_event') ORDER BY starts") == months
    assert await counts(installation) == {"rows": 10, "counted": 10, "letters": 0}
    assert await worker.stop() == 0
