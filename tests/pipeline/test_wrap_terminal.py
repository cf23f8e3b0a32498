"""A command that is wrapped cannot tell: terminal, keys, pipes, signals, exit codes."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from tests.support.installation import Installation
from tests.support.waiting import until
from tests.support.wrapped import (
    Terminal,
    is_stopped,
    ready,
    session_of,
    shell,
    start,
    wrap,
)

pytestmark = pytest.mark.timeout(180)


async def test_the_command_has_a_terminal_of_its_own(installation: Installation) -> None:
    """Its size is the window's and follows it, keys reach it, and a question it asks is a state of the session."""
    await ready(installation)
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
    await session_of(installation, "waiting")
    terminal.type(b"yes\r")
    await terminal.see(b"got yes")
    await session_of(installation, "running")
    terminal.type(b"\x03")  # Ctrl-C
    assert await terminal.ended() == 130
    session = await session_of(installation, "completed")
    assert (session["exit_code"], session["agent_name"]) == (130, "asker")
    assert await installation.value("SELECT matched_value FROM extraction_event WHERE event_type = 'prompt'") == "[y/N]"


async def test_keys_that_were_typed_before_the_command_began_reach_it(installation: Installation) -> None:
    """As a shell's next program has them."""
    terminal = Terminal(installation, "--", "sh", "-c", "read answer; echo got $answer; exit 4")
    terminal.type(b"early\r")
    await terminal.see(b"got early")
    assert await terminal.ended() == 4


async def test_an_end_of_input_that_was_typed_early_is_one_for_the_command(installation: Installation) -> None:
    """A NUL in its place would be shown as ^@, and the command would wait for ever."""
    terminal = Terminal(installation, "--", "cat")
    terminal.type(b"early\r\x04")
    assert await terminal.ended() == 0
    assert terminal.shown.count(b"early") >= 2  # as typed, and as cat printed it
    assert b"^@" not in terminal.shown


async def test_pipes_stay_pipes(installation: Installation) -> None:
    """Without a pseudo-terminal output and errors go their own ways, and input comes in."""
    await ready(installation)
    done = wrap(
        installation, "--no-pty", "--wait", "--", "sh", "-c", "cat; echo bad >&2; test -t 1", input=b"\x00\xffin\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"\x00\xffin\n", b"bad\n")
    assert (await session_of(installation, "completed"))["total_lines_processed"] == 2
    for_itself = wrap(installation, "--", "sh", "-c", "test -t 1")
    assert for_itself.returncode == 1, "output that goes to no terminal comes from none"
    in_terminal = wrap(installation, "--pty", "--", "sh", "-c", "test -t 1 && tty <&1")
    assert (in_terminal.returncode, b"/dev/pts/" in in_terminal.stdout) == (0, True)


INPUT = b"a\x03b\nx\x04y\r\nz\x15w\n" + b"long" * 30_000 + b"\nno end"


async def test_input_from_a_pipe_is_the_commands_own(installation: Installation) -> None:
    """To the byte, to its end, and without waiting for it; also while the command prints more than anybody reads."""
    script = "seq 1 100000; cat > took"
    done = wrap(installation, "--pty", "--", "sh", "-c", script, input=INPUT, cwd=installation.folder)
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 100_000)
    assert (installation.folder / "took").read_bytes() == INPUT


async def test_a_command_that_lets_go_of_its_terminal_runs_on(installation: Installation) -> None:
    """Its end is its own, with its own exit code, however early its streams were closed."""
    script = "exec </dev/null >/dev/null 2>&1; sleep 1; touch marker; exit 3"
    done = wrap(installation, "--pty", "--", "sh", "-c", script, cwd=installation.folder)
    assert (done.returncode, (installation.folder / "marker").exists()) == (3, True)
    for _ in range(5):
        short = wrap(installation, "--pty", "--", "cat", input=b"x\n" * 3_000)
        assert (short.returncode, short.stdout.count(b"x")) == (0, 3_000)


async def test_signals_reach_the_command_where_no_keyboard_does(installation: Installation) -> None:
    """Ctrl-C without a terminal for input: it ends, and says with which signal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(installation, "--pty", "--", "sh", "-c", "echo on; exec sleep 60", stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline() == b"on\r\n"
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        process.stdout.close()


async def test_a_command_that_stops_itself_stops_wrap_until_both_go_on(installation: Installation) -> None:
    """So that a shell has its prompt back, and `fg` continues both."""
    terminal = Terminal(installation, "--", "sh", "-c", "echo on; kill -STOP $$; echo again; exit 4")
    await terminal.see(b"on")

    async def stopped() -> bool:
        return is_stopped(terminal.process)

    await until("wrap is stopped", stopped, 20)
    assert b"again" not in terminal.shown
    terminal.process.send_signal(signal.SIGCONT)
    await terminal.see(b"again")
    assert await terminal.ended() == 4


async def test_ctrl_z_stops_the_command_and_wrap_until_both_go_on(installation: Installation) -> None:
    """Also a command that leaves to its terminal what Ctrl-Z does."""
    terminal = Terminal(installation, "--", "sh", "-c", "echo on; read answer; echo got $answer; exit 4")
    await terminal.see(b"on")
    terminal.type(b"\x1a")

    async def stopped() -> bool:
        return is_stopped(terminal.process)

    await until("wrap is stopped", stopped, 20)
    terminal.process.send_signal(signal.SIGCONT)
    terminal.type(b"yes\r")
    await terminal.see(b"got yes")
    assert await terminal.ended() == 4


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
    await ready(installation)
    done = shell(installation, f"{how} --wait -- yes | head -1; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.split() == [b"y", b"141"]
    assert (await session_of(installation, "completed"))["exit_code"] == 141
    inside = wrap(installation, how, "--", "bash", "-c", "yes | head -1; exit ${PIPESTATUS[0]}")
    assert inside.returncode == 141, "signals that Python ignores are not ignored in the program"


@pytest.mark.parametrize("how", ["--pty", "--no-pty"])
async def test_streams_that_are_closed_harm_nobody(installation: Installation, how: str) -> None:
    """`<&- >&-`, as some that start programs do."""
    await ready(installation)
    done = shell(installation, f"{how} --wait -- sh -c 'cat; echo fatal: here' <&- >&- 2>&-")
    assert done.returncode == 0
    assert (await session_of(installation, "completed"))["extractions"] == 1


@pytest.mark.parametrize(("command", "code"), [(["/no/such/program"], 127), (["/etc/passwd"], 126)])
async def test_a_command_that_cannot_be_run_is_said_as_a_shell_says_it(
    installation: Installation, command: Sequence[str], code: int
) -> None:
    """With the shell's exit codes, and the session has them too."""
    await ready(installation)
    done = wrap(installation, "--wait", "--", *command)
    assert done.returncode == code
    assert b"cannot be run" in done.stderr
    assert (await session_of(installation, "completed"))["exit_code"] == code


@pytest.mark.parametrize("how", ["--pty", "--no-pty"])
async def test_what_the_command_leaves_running_is_not_waited_for(installation: Installation, how: str) -> None:
    """A daemon that keeps the terminal open holds nobody up, and what was printed before is whole."""
    await ready(installation)
    began = time.monotonic()
    done = wrap(installation, how, "--wait", "--", "sh", "-c", "sleep 100 & seq 5000; echo fatal: last")
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 5001)
    assert time.monotonic() - began < 60
    assert (await session_of(installation, "completed"))["total_lines_processed"] == 5001


async def test_a_terminal_that_goes_away_hangs_the_agent_up(installation: Installation) -> None:
    """The agent gets the signal that a closed window is, and the session ends with it."""
    await ready(installation)
    terminal = Terminal(installation, "--", "sh", "-c", "echo fatal: here; sleep 100")
    await terminal.see(b"fatal: here")
    terminal.hang_up()
    assert (await session_of(installation, "completed"))["exit_code"] == 128 + signal.SIGHUP
