"""What `siltstone wrap` records, and that nothing of it is lost, doubled or told that is secret."""

import asyncio
import json
import os
import resource
import shutil
import signal
import time

import pytest

from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import SILTSTONE
from tests.support.wrapped import (
    DEAD,
    Terminal,
    environment_of,
    folder_without_utf8,
    ready,
    recorders,
    sent,
    session_of,
    shell,
    spool_command,
    spool_of,
    start,
    wrap,
)

pytestmark = pytest.mark.timeout(180)

SHOWN = r"""
printf 'thinking\n```python\nprint(1)\n```\n'; printf 'fatal: it broke\n'; printf '\033[31mred\033[0m\n'; exit 7
"""


async def test_a_command_in_a_terminal_is_recorded_by_one_line(installation: Installation) -> None:
    """What it shows is on the terminal as it came, and in Postgres; its exit code is wrap's."""
    await ready(installation)
    terminal = Terminal(installation, "--", "sh", "-c", SHOWN)
    assert await terminal.ended() == 7
    assert b"\x1b[31mred\x1b[0m\r\n" in terminal.shown
    session = await session_of(installation, "completed")
    assert (session["agent_name"], session["exit_code"], session["code_blocks"]) == ("sh", 7, 1)
    assert session["total_lines_processed"] == 6
    assert session["reported_extraction_events"] == session["extractions"] == 1
    assert await installation.value("SELECT content FROM code_block") == "print(1)"
    [row] = await installation.fetch("SELECT * FROM extraction_event")
    assert (row["pattern"], row["original_line"], row["line_number"]) == ("error_message", "fatal: it broke", 5)
    await sent(installation)


async def test_what_is_no_utf8_is_recorded_as_it_can_be(installation: Installation) -> None:
    """Arguments, the folder and a secret's value; the command gets them as they are."""
    await ready(installation)
    folder = folder_without_utf8(installation)
    secret = {"MY_TOKEN": os.fsdecode(b"abcdefgh\xff\xfe")}
    done = wrap(installation, "--wait", "--", "printf", os.fsdecode(b"%s\\n"), "\udcff", cwd=folder, environment=secret)
    assert (done.returncode, done.stdout) == (0, b"\xff\n")
    metadata = json.loads((await session_of(installation, "completed"))["metadata"])
    assert (metadata["command"][2], metadata["folder"][-2:]) == ("\ufffd", "d\ufffd")


async def test_a_session_that_is_sent_again_is_the_same(installation: Installation) -> None:
    """Whoever sends is killed while the command pauses and asks; the next finds the same pauses and events."""
    await ready(installation)
    script = "".join(
        f"echo fatal: {n}; printf 'Go on? [y/N] '; sleep {0.85 if n % 2 else 1.4}; echo; " for n in range(8)
    )
    process = start(installation, "--", "sh", "-c", script)

    async def half() -> bool:
        return bool(await installation.value("SELECT count(*) >= 6 FROM extraction_event"))

    await until("half of it is stored", half, 60)
    for recorder in recorders(installation):
        os.kill(recorder, signal.SIGKILL)
    assert await asyncio.to_thread(process.wait, 60) == 0
    assert spool_command("flush", environment=environment_of(installation)).returncode == 0
    await session_of(installation, "completed")
    await installation.settled("extraction")
    assert await installation.value(
        "SELECT array_agg(DISTINCT (pattern, counted)::text) FROM "
        "(SELECT pattern, count(*) AS counted FROM extraction_event GROUP BY pattern) AS found"
    ) == ["(error_message,8)", "(yes_or_no,4)"]
    metadata = json.loads(await installation.value("SELECT metadata FROM session"))
    assert metadata.keys() == {"command", "folder", "host"}


async def test_sessions_that_were_left_behind_are_sent_by_one_process(installation: Installation) -> None:
    """However many there are; those that were recorded for other brokers wait for `spool flush`."""
    await ready(installation)
    for port in ("127.0.0.1:9", "127.0.0.1:10"):
        own = {"KAFKA_BOOTSTRAP_SERVERS": port}
        assert wrap(installation, "--", "echo", "fatal: x", environment=own).returncode == 0
        for process in recorders(installation):
            os.kill(process, signal.SIGKILL)
    first, other = sorted(folder for folder in spool_of(installation).iterdir() if folder.is_dir())
    for number in range(6):
        shutil.copytree(first, first.with_name(f"{first.name}-{number}"))
    environment = environment_of(installation) | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    assert wrap(installation, "--", "true", environment=environment).returncode == 0

    async def started() -> list[int]:
        return recorders(installation, "workers.wrap.flush")

    assert len(await until("one process sends them", started, 20)) == 1
    assert len(recorders(installation)) == 1
    for process in [*recorders(installation), *await started()]:
        os.kill(process, signal.SIGKILL)
    assert spool_command("flush", environment=environment_of(installation)).returncode == 0
    assert not other.exists()


async def test_an_agent_that_is_killed_ends_its_session_with_the_signal(installation: Installation) -> None:
    """128 and the signal's number, as a shell has it."""
    await ready(installation)
    done = wrap(installation, "--wait", "--", "sh", "-c", "echo on; kill -9 $$")
    assert done.returncode == 137
    assert (await session_of(installation, "completed"))["exit_code"] == 137


async def test_a_wrapper_that_is_killed_loses_nothing_that_was_printed(installation: Installation) -> None:
    """Everything on the terminal is recorded, the session is abandoned, and the spool is empty."""
    await ready(installation)
    terminal = Terminal(installation, "--", "sh", "-c", "for i in 1 2 3; do echo fatal: $i; done; sleep 100")
    await terminal.see(b"fatal: 3")
    terminal.process.kill()
    terminal.process.wait()
    await session_of(installation, "abandoned")
    assert await installation.value("SELECT array_agg(matched_value ORDER BY line_number) FROM extraction_event") == [
        "fatal: 1", "fatal: 2", "fatal: 3"
    ]  # fmt: skip
    await sent(installation)


async def test_while_the_broker_is_away_nothing_is_lost_and_nobody_waits(installation: Installation) -> None:
    """Sessions are kept, listed, and sent once by `spool flush`, whose exit code says when that is not possible."""
    await ready(installation)
    away = {"KAFKA_BOOTSTRAP_SERVERS": DEAD}
    for _ in range(2):
        began = time.monotonic()
        assert wrap(installation, "--", "sh", "-c", SHOWN, environment=away).returncode == 7
        assert time.monotonic() - began < 10
    environment = environment_of(installation)
    for process in recorders(installation):
        os.kill(process, signal.SIGKILL)
    status = spool_command("status", "-o", "jsonl", environment=environment)
    assert status.stdout.count(b'"state": "waiting"') == 2
    kept = {json.loads(line)["session"] for line in status.stdout.splitlines()}
    missed = spool_command("flush", environment=environment | away)
    assert (missed.returncode, b"Kafka cannot be reached" in missed.stderr) == (5, True)
    for said in (b"2 sessions were sent", b"0 sessions were sent"):
        done = spool_command("flush", environment=environment)
        assert (done.returncode, said in done.stderr) == (0, True), done.stderr
    await installation.settled("extraction")
    assert kept == {row["id"] for row in await installation.fetch("SELECT id FROM session")}
    counted = await installation.fetch("SELECT state, events::int, extractions::int, code_blocks::int FROM session")
    assert [tuple(row.values()) for row in counted] == [("completed", 5, 1, 1)] * 2
    assert await installation.value("SELECT count(*) FROM ingest_batch, unnest(duplicate)") == 0


async def test_a_session_whose_journal_is_full_says_so_in_its_row(installation: Installation) -> None:
    """The agent runs on, its output is whole, and so is how it ended; nobody takes the session for all of it."""
    await ready(installation)
    small = {"SILTSTONE_SPOOL_MAX_BYTES": "4096"}
    until_it_is_kept = "until [ -s $SILTSTONE_SPOOL_FOLDER/*/frames ]; do sleep 0.01; done"
    script = f"echo fatal: first; {until_it_is_kept}; head -c 9000 /dev/zero; echo fatal: last; exit 3"
    done = wrap(installation, "--wait", "--", "sh", "-c", script, environment=small)
    assert (done.returncode, done.stdout[-12:]) == (3, b"fatal: last\n")
    session = await session_of(installation, "completed")
    assert (session["exit_code"], session["extractions"]) == (3, 1)
    incomplete = json.loads(session["metadata"])["incomplete"]
    assert incomplete == "the session's output is above the limit of its journal"


async def test_two_agents_in_one_folder_are_two_sessions(installation: Installation) -> None:
    """Wrapped at the same time, neither knows of the other."""
    await ready(installation)
    done = await asyncio.gather(
        *(asyncio.to_thread(wrap, installation, "--wait", "--", "sh", "-c", SHOWN) for _ in range(3))
    )
    assert [one.returncode for one in done] == [7, 7, 7]
    await installation.settled("extraction")
    assert await installation.value("SELECT array_agg(events::int) FROM session") == [5, 5, 5]


async def test_a_command_runs_in_a_folder_that_was_deleted(installation: Installation) -> None:
    """As it does from a shell; the session says which folder it was."""
    await ready(installation)
    gone = installation.folder / "gone"
    gone.mkdir()
    line = f"cd {gone}; rmdir {gone}; {SILTSTONE} wrap --tenant acme --wait -- echo hi"
    done = shell(installation, f"--wait -- sh -c '{line}'")
    assert (done.returncode, done.stdout) == (0, b"hi\n"), done.stderr
    await installation.settled("extraction")
    folder = "SELECT metadata ->> 'folder' FROM session WHERE agent_name = 'echo'"
    assert await installation.value(folder) == str(gone)


async def test_no_secret_reaches_the_topic_or_a_table(installation: Installation) -> None:
    """A canary that the agent prints, and has in its command, is in no record and in no row."""
    await ready(installation)
    canary = "canary-8d1f77-not-for-anyone"
    shown = r"echo fatal: $MY_TOKEN; printf '```sh\nx=%s\n```\n' $MY_TOKEN; printf 'a%s? [y/n] ' $MY_TOKEN; sleep 2"
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIICcanaryMIICcanaryMIICcanaryMIICcanary\n-----END RSA PRIVATE KEY-----"
    script = f"{shown}; : {canary}; : '{key}'"
    done = wrap(installation, "--wait", "--", "sh", "-c", script, environment={"MY_TOKEN": canary})
    assert canary.encode() in done.stdout
    await session_of(installation, "completed")
    records = await installation.read_all(installation.topic("extraction"))
    assert len(records) >= 6
    assert not [record for record in records if canary.encode() in record.value or b"MIICcanary" in record.value]
    assert sum(b"[masked: MY_TOKEN]" in record.value for record in records) >= 4
    assert canary not in str(await installation.tables())


async def test_a_replayed_log_is_stored_once(installation: Installation) -> None:
    """The same file twice changes nothing; a cast keeps its times, and has no exit code; --dry-run sends nothing."""
    await ready(installation)
    cast = installation.folder / "agent.cast"
    cast.write_text(
        '{"version": 2, "width": 80, "height": 24, "timestamp": 1790000000, '
        '"title": "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}\n'
        '[1.5, "o", "fatal: a\\r\\n"]\n[2.5, "o", "```sh\\r\\nls\\r\\n```\\r\\n"]\n'
    )
    dry = wrap(installation, "--replay", str(cast), "--dry-run")
    assert (dry.returncode, dry.stdout.count(b"\n")) == (0, 5)
    assert (b"ghp_" in dry.stdout, b'"title": "[masked: github_token]"' in dry.stdout) == (False, True)
    broken = installation.folder / "broken.cast"
    broken.write_text(cast.read_text() + '[3, "o", 7]\n')
    assert wrap(installation, "--replay", str(broken), "--dry-run").returncode == 4
    for _ in range(2):
        done = wrap(installation, "--replay", str(cast), "--agent", "codex")
        assert done.returncode == 0, done.stderr
    session = await session_of(installation, "ended")
    assert (session["exit_code"], session["ended_at"].timestamp()) == (None, pytest.approx(1790000002.5, abs=0.005))
    assert (session["events"], session["agent_name"], session["started_at"].timestamp()) == (5, "codex", 1790000000)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, b"give the command to run"),
        (["--replay", "x.cast", "--", "ls"], 2, b"give the command to run"),
        (["--replay", "/no/such/file"], 2, b"/no/such/file cannot be read: No such file or directory"),
        (["--patterns", "bad.yaml", "--", "ls"], 2, b"bad.yaml, line 2"),
        (["--source", "x" * 300, "--", "ls"], 2, b"no session can be recorded so"),
        (["--tenant", "ACME!", "--", "ls"], 2, b"'ACME!' is no tenant's id"),
        (["--dry-run", "--", "ls"], 2, b"--dry-run is for --replay"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    installation: Installation, arguments: list[str], code: int, said: bytes
) -> None:
    """Each with its reason, and nothing was started or kept."""
    (installation.folder / "bad.yaml").write_text("patterns:\n  - {name: a, event_type: b, match: '('}\n")
    done = wrap(installation, *arguments, cwd=installation.folder)
    assert (done.returncode, said in done.stderr.replace(b"\n", b" ")) == (code, True), done.stderr
    assert done.stdout == b""
    assert not spool_of(installation).exists()


@pytest.mark.parametrize("size", [0, 100])
def test_a_session_that_cannot_be_kept_runs_nothing_and_leaves_nothing(installation: Installation, size: int) -> None:
    """As on a disk that is full: here no file may be larger."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = wrap(installation, "--", "echo", "hi", preexec_fn=limit)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"a session cannot be kept in" in done.stderr
    assert list(spool_of(installation).iterdir()) == []
