"""`siltstone wrap` as its user runs it: in a terminal, with what goes wrong in one."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.worker import SILTSTONE

pytestmark = pytest.mark.timeout(180)

SHOWN = r"""
printf 'thinking\n```python\nprint(1)\n```\n'; printf 'fatal: it broke\n'; printf '\033[31mred\033[0m\n'; exit 7
"""
DEAD = "127.0.0.1:9"  # a port that nobody listens on


class Terminal:
    """`siltstone wrap` in a terminal of 100 columns and 30 rows; what it showed is in `shown`."""

    def __init__(self, installation: Installation, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.shown = b""
        self.process = subprocess.Popen(
            [SILTSTONE, "wrap", "--tenant", "acme", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=_environment(installation) | (environment or {}),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - nothing else runs there
        )
        self._theirs = theirs

    @property
    def blocks_nobody(self) -> bool:
        """Whether the description that wrap was given has become one that does not block."""
        return bool(fcntl.fcntl(self._theirs, fcntl.F_GETFL) & os.O_NONBLOCK)

    def type(self, text: bytes) -> None:
        os.write(self._own, text)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        os.close(self._theirs)
        os.close(self._own)

    async def see(self, text: bytes, seconds: float = 30) -> None:
        """Wait until it has shown a text."""

        async def seen() -> bool:
            self._read()
            return text in self.shown

        await until(f"the terminal shows {text!r}, after {self.shown[-2000:]!r}", seen, seconds)

    async def ended(self, seconds: float = 60) -> int:
        async def over() -> bool:
            self._read()
            return self.process.poll() is not None

        await until("wrap ends", over, seconds)
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        os.set_blocking(self._own, False)
        with contextlib.suppress(OSError):
            while piece := os.read(self._own, 65_536):
                self.shown += piece


def _environment(installation: Installation) -> dict[str, str]:
    return (
        os.environ | installation.environment | {"SILTSTONE_SPOOL_FOLDER": str(_spool(installation)), "TERM": "xterm"}
    )


def _spool(installation: Installation) -> Path:
    return installation.folder / "sessions"


def _wrap(installation: Installation, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """`siltstone wrap` without a terminal around it."""
    own = _environment(installation) | options.pop("environment", {})
    return subprocess.run(
        [SILTSTONE, "wrap", "--tenant", "acme", *arguments],
        env=own,
        capture_output=True,
        check=False,
        timeout=120,
        **options,
    )


def _shell(installation: Installation, rest: str) -> subprocess.CompletedProcess[bytes]:
    """`siltstone wrap` as a line of a shell."""
    line = f"{SILTSTONE} wrap --tenant acme {rest}"
    own = _environment(installation)
    return subprocess.run(["bash", "-c", line], env=own, capture_output=True, check=False, timeout=60)


async def _ready(installation: Installation) -> None:
    await installation.create_topics()
    await installation.worker("--family", "extraction").ready()


async def _session(installation: Installation, state: str, seconds: float = 60) -> dict[str, Any]:
    """Wait until the one session is in a state; its row."""

    async def found() -> dict[str, Any]:
        rows = await installation.fetch("SELECT * FROM session")
        assert len(rows) <= 1
        return rows[0] if rows and rows[0]["state"] == state else {}

    return await until(f"the session is {state}", found, seconds)


async def _sent(installation: Installation, seconds: float = 60) -> None:
    async def empty() -> bool:
        return not any(_spool(installation).iterdir())

    await until("the spool is empty", empty, seconds)


async def test_a_command_in_a_terminal_is_recorded_by_one_line(installation: Installation) -> None:
    """What it shows is on the terminal as it came, and in Postgres; its exit code is wrap's."""
    await _ready(installation)
    terminal = Terminal(installation, "--", "sh", "-c", SHOWN)
    assert await terminal.ended() == 7
    assert b"\x1b[31mred\x1b[0m\r\n" in terminal.shown
    session = await _session(installation, "completed")
    assert (session["agent_name"], session["exit_code"], session["code_blocks"]) == ("sh", 7, 1)
    assert session["total_lines_processed"] == 6
    assert session["reported_extraction_events"] == session["extractions"] == 1
    assert await installation.value("SELECT content FROM code_block") == "print(1)"
    [row] = await installation.fetch("SELECT * FROM extraction_event")
    assert (row["pattern"], row["original_line"], row["line_number"]) == ("error_message", "fatal: it broke", 5)
    await _sent(installation)


async def test_the_command_has_a_terminal_of_its_own(installation: Installation) -> None:
    """Its size is the window's and follows it, keys reach it, and a question it asks is a state of the session."""
    await _ready(installation)
    script = (
        "import os, signal, sys, time\n"
        "print('size', os.get_terminal_size(), os.isatty(0), os.isatty(1), flush=True)\n"
        "signal.signal(signal.SIGWINCH, lambda *_: print('now', os.get_terminal_size(), flush=True))\n"
        "print('got', input('Continue? [y/N] '), flush=True)\n"
        "time.sleep(60)\n"
    )
    terminal = Terminal(installation, "--agent", "asker", "--", sys.executable, "-c", script)
    await terminal.see(b"size os.terminal_size(columns=100, lines=30) True True")
    terminal.resize(90, 20)
    await terminal.see(b"now os.terminal_size(columns=90, lines=20)")
    await _session(installation, "waiting")
    terminal.type(b"yes\r")
    await terminal.see(b"got yes")
    await _session(installation, "running")
    terminal.type(b"\x03")  # Ctrl-C
    assert await terminal.ended() == 130
    session = await _session(installation, "completed")
    assert (session["exit_code"], session["agent_name"]) == (130, "asker")
    assert await installation.value("SELECT matched_value FROM extraction_event WHERE event_type = 'prompt'") == "[y/N]"


async def test_pipes_stay_pipes(installation: Installation) -> None:
    """Without a pseudo-terminal output and errors go their own ways, and input comes in."""
    await _ready(installation)
    done = _wrap(
        installation, "--no-pty", "--wait", "--", "sh", "-c", "cat; echo bad >&2; test -t 1", input=b"\x00\xffin\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"\x00\xffin\n", b"bad\n")
    assert (await _session(installation, "completed"))["total_lines_processed"] == 2
    piped = _wrap(installation, "--wait", "--", "sh", "-c", "read x; echo got $x", input=b"a line\n")
    assert (piped.returncode, b"got a line" in piped.stdout) == (0, True)


async def test_keys_pass_while_the_terminal_takes_nothing(installation: Installation) -> None:
    """Ctrl-C reaches a program that floods a terminal which shows nothing; others who write to that wait, as before."""
    told = installation.folder / "told"
    script = f"trap 'touch {told}; exit 5' INT; echo begun; while :; do echo yyyyyyyy; done"
    terminal = Terminal(installation, "--agent", "flood", "--", "sh", "-c", script)
    await terminal.see(b"begun")
    await asyncio.sleep(1)  # nobody reads: every buffer is full
    assert not terminal.blocks_nobody
    terminal.type(b"\x03")

    async def interrupted() -> bool:
        return told.exists()

    await until("the program is interrupted", interrupted, 20)
    assert await terminal.ended() == 5


@pytest.mark.parametrize("how", ["--pty", "--no-pty"])
async def test_a_program_whose_output_nobody_reads_any_more_ends(installation: Installation, how: str) -> None:
    """As in a pipeline without us: of `yes | head -1`, `yes` ends with the signal of a pipe."""
    await _ready(installation)
    done = _shell(installation, f"{how} --wait -- yes | head -1; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.split() == [b"y", b"141"]
    assert (await _session(installation, "completed"))["exit_code"] == 141
    inside = _wrap(installation, how, "--", "bash", "-c", "yes | head -1; exit ${PIPESTATUS[0]}")
    assert inside.returncode == 141, "signals that Python ignores are not ignored in the program"


@pytest.mark.parametrize("how", ["--pty", "--no-pty"])
async def test_streams_that_are_closed_harm_nobody(installation: Installation, how: str) -> None:
    """`<&- >&-`, as some that start programs do."""
    await _ready(installation)
    done = _shell(installation, f"{how} --wait -- sh -c 'cat; echo fatal: here' <&- >&- 2>&-")
    assert done.returncode == 0
    assert (await _session(installation, "completed"))["extractions"] == 1


@pytest.mark.parametrize(("command", "code"), [(["/no/such/program"], 127), (["/etc/passwd"], 126)])
async def test_a_command_that_cannot_be_run_is_said_as_a_shell_says_it(
    installation: Installation, command: Sequence[str], code: int
) -> None:
    """With the shell's exit codes, and the session has them too."""
    await _ready(installation)
    done = _wrap(installation, "--wait", "--", *command)
    assert done.returncode == code
    assert b"cannot be run" in done.stdout
    assert (await _session(installation, "completed"))["exit_code"] == code


@pytest.mark.parametrize("how", ["--pty", "--no-pty"])
async def test_what_the_command_leaves_running_is_not_waited_for(installation: Installation, how: str) -> None:
    """A daemon that keeps the terminal open holds nobody up, and what was printed before is whole."""
    await _ready(installation)
    began = time.monotonic()
    done = _wrap(installation, how, "--wait", "--", "sh", "-c", "sleep 100 & seq 5000; echo fatal: last")
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 5001)
    assert time.monotonic() - began < 60
    assert (await _session(installation, "completed"))["total_lines_processed"] == 5001


async def test_an_agent_that_is_killed_ends_its_session_with_the_signal(installation: Installation) -> None:
    """128 and the signal's number, as a shell has it."""
    await _ready(installation)
    done = _wrap(installation, "--wait", "--", "sh", "-c", "echo on; kill -9 $$")
    assert done.returncode == 137
    assert (await _session(installation, "completed"))["exit_code"] == 137


async def test_a_wrapper_that_is_killed_loses_nothing_that_was_printed(installation: Installation) -> None:
    """Everything on the terminal is recorded, the session is abandoned, and the spool is empty."""
    await _ready(installation)
    terminal = Terminal(installation, "--", "sh", "-c", "for i in 1 2 3; do echo fatal: $i; done; sleep 100")
    await terminal.see(b"fatal: 3")
    terminal.process.kill()
    terminal.process.wait()
    await _session(installation, "abandoned")
    assert await installation.value("SELECT array_agg(matched_value ORDER BY line_number) FROM extraction_event") == [
        "fatal: 1", "fatal: 2", "fatal: 3"
    ]  # fmt: skip
    await _sent(installation)


async def test_a_terminal_that_goes_away_hangs_the_agent_up(installation: Installation) -> None:
    """The agent gets the signal that a closed window is, and the session ends with it."""
    await _ready(installation)
    terminal = Terminal(installation, "--", "sh", "-c", "echo fatal: here; sleep 100")
    await terminal.see(b"fatal: here")
    terminal.hang_up()
    assert (await _session(installation, "completed"))["exit_code"] == 128 + signal.SIGHUP


async def test_while_the_broker_is_away_nothing_is_lost_and_nobody_waits(installation: Installation) -> None:
    """Sessions are kept, listed, and sent once by `spool flush`, whose exit code says when that is not possible."""
    await _ready(installation)
    away = {"KAFKA_BOOTSTRAP_SERVERS": DEAD}
    for _ in range(2):
        began = time.monotonic()
        assert _wrap(installation, "--", "sh", "-c", SHOWN, environment=away).returncode == 7
        assert time.monotonic() - began < 10
    environment = _environment(installation)
    for process in _recorders(installation):
        os.kill(process, signal.SIGKILL)
    status = _spool_command("status", "-o", "jsonl", environment=environment)
    assert status.stdout.count(b'"state": "waiting"') == 2
    kept = {json.loads(line)["session"] for line in status.stdout.splitlines()}
    missed = _spool_command("flush", environment=environment | away)
    assert (missed.returncode, b"Kafka cannot be reached" in missed.stderr) == (5, True)
    for sent in (b"2 sessions were sent", b"0 sessions were sent"):
        done = _spool_command("flush", environment=environment)
        assert (done.returncode, sent in done.stderr) == (0, True), done.stderr
    await installation.settled("extraction")
    assert kept == {row["id"] for row in await installation.fetch("SELECT id FROM session")}
    counted = await installation.fetch("SELECT state, events::int, extractions::int, code_blocks::int FROM session")
    assert [tuple(row.values()) for row in counted] == [("completed", 5, 1, 1)] * 2
    assert await installation.value("SELECT count(*) FROM ingest_batch, unnest(duplicate)") == 0


async def test_two_agents_in_one_folder_are_two_sessions(installation: Installation) -> None:
    """Wrapped at the same time, neither knows of the other."""
    await _ready(installation)
    done = await asyncio.gather(
        *(asyncio.to_thread(_wrap, installation, "--wait", "--", "sh", "-c", SHOWN) for _ in range(3))
    )
    assert [one.returncode for one in done] == [7, 7, 7]
    await installation.settled("extraction")
    assert await installation.value("SELECT array_agg(events::int) FROM session") == [5, 5, 5]


async def test_no_secret_reaches_the_topic_or_a_table(installation: Installation) -> None:
    """A canary that the agent prints, and has in its command, is in no record and in no row."""
    await _ready(installation)
    canary = "canary-8d1f77-not-for-anyone"
    shown = r"echo fatal: $MY_TOKEN; printf '```sh\nx=%s\n```\n' $MY_TOKEN; printf 'a%s? [y/n] ' $MY_TOKEN; sleep 2"
    script = f"{shown}; : {canary}"
    done = _wrap(installation, "--wait", "--", "sh", "-c", script, environment={"MY_TOKEN": canary})
    assert canary.encode() in done.stdout
    await _session(installation, "completed")
    records = await installation.read_all(installation.topic("extraction"))
    assert len(records) >= 6
    assert not [record for record in records if canary.encode() in record.value]
    assert sum(b"[masked: MY_TOKEN]" in record.value for record in records) >= 4
    assert canary not in str(await installation.tables())


async def test_a_replayed_log_is_stored_once(installation: Installation) -> None:
    """The same file twice changes nothing; a cast keeps its times; --dry-run sends nothing."""
    await _ready(installation)
    cast = installation.folder / "agent.cast"
    cast.write_text(
        '{"version": 2, "width": 80, "height": 24, "timestamp": 1790000000, '
        '"title": "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}\n'
        '[1.5, "o", "fatal: a\\r\\n"]\n[2.5, "o", "```sh\\r\\nls\\r\\n```\\r\\n"]\n'
    )
    dry = _wrap(installation, "--replay", str(cast), "--dry-run")
    assert (dry.returncode, dry.stdout.count(b"\n")) == (0, 5)
    assert (b"ghp_" in dry.stdout, b'"title": "[masked: github_token]"' in dry.stdout) == (False, True)
    for _ in range(2):
        done = _wrap(installation, "--replay", str(cast), "--agent", "codex")
        assert done.returncode == 0, done.stderr
    session = await _session(installation, "completed")
    assert (session["events"], session["agent_name"], session["started_at"].timestamp()) == (5, "codex", 1790000000)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, b"give the command to run"),
        (["--replay", "x.cast", "--", "ls"], 2, b"give the command to run"),
        (["--replay", "/no/such/file"], 2, b"/no/such/file cannot be read: No such file or directory"),
        (["--patterns", "bad.yaml", "--", "ls"], 2, b"bad.yaml, line 2"),
        (["--source", "x" * 300, "--", "ls"], 2, b"no session can be recorded so"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    installation: Installation, arguments: list[str], code: int, said: bytes
) -> None:
    """Each with its reason, and nothing was started or kept."""
    (installation.folder / "bad.yaml").write_text("patterns:\n  - {name: a, event_type: b, match: '('}\n")
    done = _wrap(installation, *arguments, cwd=installation.folder)
    assert (done.returncode, said in done.stderr.replace(b"\n", b" ")) == (code, True), done.stderr
    assert done.stdout == b""
    assert not _spool(installation).exists()


def _spool_command(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([SILTSTONE, "spool", *arguments], env=environment, capture_output=True, check=False)


def _recorders(installation: Installation) -> list[int]:
    pattern = f"workers.wrap.recording {_spool(installation)}"
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, check=False)
    return [int(number) for number in found.stdout.split()]
