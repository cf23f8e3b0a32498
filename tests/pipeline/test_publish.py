"""`siltstone publish` as an agent's developer uses it."""

import json

from tests.support.events import event, extraction
from tests.support.installation import Installation


async def test_good_lines_are_acknowledged_and_bad_ones_named(installation: Installation) -> None:
    """Counts by topic on stdout; each refused line by number and reason; exit 4."""
    await installation.create_topics()
    lines = [
        json.dumps(extraction(1)),
        '{"type": "run.started", "subject": "r1", "data": {"kind": "graph"}}',
        "",
        '{"type": "run.started"',
        json.dumps(event("run.started", "r2", {})),
        json.dumps(extraction(2, id=None)),
    ]
    done = installation.run("publish", "-", "--tenant", "acme", "-o", "jsonl", stdin="\n".join(lines).encode())
    assert done.returncode == 4
    acknowledged = {row["topic"]: row["acknowledged"] for row in map(json.loads, done.stdout.splitlines())}
    assert acknowledged == {installation.topic("extraction"): 1, installation.topic("execution"): 1}
    refused = [line for line in done.stderr.splitlines() if line.startswith("line ")]
    assert [line.split(":")[:2] for line in refused] == [
        ["line 4", " bad_json"],
        ["line 5", " schema_invalid"],
        ["line 6", " missing_id"],
    ]


async def test_a_whole_event_goes_out_byte_for_byte_and_a_short_one_keeps_its_numbers(
    installation: Installation,
) -> None:
    """An id is made for a short form alone; no number passes through a float."""
    await installation.create_topics()
    whole = json.dumps(extraction(1), indent=None, separators=(" , ", " : ")).encode()
    amount = b'{"domain":"d","type":"t","severity":"low","source_system":"s","amount":0.10000000000000000000001}'
    short = b'{"type":"exception.created","subject":"e","data":{"actor_type":"user","set":' + amount + b"}}"
    done = installation.run("publish", "-", "--tenant", "acme", stdin=whole + b"\n" + short)
    assert done.returncode == 0, done.stderr
    (sent,) = await installation.read_all(installation.topic("extraction"))
    assert sent.value == whole
    assert sent.key == b"acme/session-1"
    assert dict(sent.headers)["ce_id"].decode() == json.loads(whole)["id"]
    (completed,) = await installation.read_all(installation.topic("exception"))
    assert amount in completed.value
    assert json.loads(completed.value)["id"]


async def test_unchecked_lines_go_out_as_they_are(installation: Installation) -> None:
    """`--no-check` sends what no worker will store."""
    await installation.create_topics()
    done = installation.run("publish", "-", "--no-check", stdin=b'[1]\n{"a": 1}\nno json\n')
    assert done.returncode == 0, done.stderr
    sent = [record.value for record in await installation.read_all(installation.topic("extraction"))]
    assert sorted(sent) == sorted([b"[1]", b'{"a": 1}', b"no json"])


async def test_a_broker_that_is_away_is_said_and_not_waited_for(installation: Installation) -> None:
    """Exit 5, with the address and what to do."""
    installation.environment["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    done = installation.run("publish", "--type", "session.deleted", "--subject", "s", "--tenant", "acme")
    assert done.returncode == 5
    assert "127.0.0.1:1" in done.stderr
    assert "siltstone stack up" in done.stderr
