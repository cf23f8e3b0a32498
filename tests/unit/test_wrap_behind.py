"""What runs behind an agent's back, while the agent needs the processor."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from producers.wrap.frames import Frame, Kind
from producers.wrap.journal import Journal, Reader, Saved, begin
from workers.wrap import behind
from workers.wrap.behind import NICENESS
from workers.wrap.flood import FLOOD_BYTES

SAVED = Saved("s", "bash", "acme", "/siltstone/wrap", "2026-11-28T12:00:00+00:00", 80, 24, {}, False, None, {})
WRITES = "import os, sys; open(sys.argv[1] + '.began', 'w').write(str(os.nice(0)))"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that leaves beside its folder that it began, and how nice it is."""
    (tmp_path / "begins.py").write_text(WRITES)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    return "begins"


def test_nothing_is_loaded_while_a_program_prints_in_floods(tmp_path: Path, module: str) -> None:
    """Then the module begins, after the agent in the line for the processor."""
    journal, began = Journal(begin(tmp_path / "s", SAVED), 1_000 * FLOOD_BYTES), tmp_path / "s.began"
    process = behind.start(tmp_path / "log", module, tmp_path / "s")
    until = time.monotonic() + 3
    while time.monotonic() < until:
        journal.add(Frame(0, Kind.OUTPUT, b"a" * FLOOD_BYTES))
        time.sleep(0.05)
    assert not began.exists()
    assert process.wait(20) == 0, (tmp_path / "log").read_text()
    assert int(began.read_text()) == max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
    journal.close()


def test_it_begins_once_a_session_has_ended(tmp_path: Path, module: str) -> None:
    """However much was printed; and when the session is gone."""
    journal = Journal(begin(tmp_path / "s", SAVED), 10 * FLOOD_BYTES)
    journal.add(Frame(0, Kind.OUTPUT, b"a" * 2 * FLOOD_BYTES))
    journal.close()
    for folder in ("s", "gone"):
        process = behind.start(tmp_path / "log", module, tmp_path / folder)
        assert process.wait(20) == 0, (tmp_path / "log").read_text()
        assert (tmp_path / f"{folder}.began").exists()


def test_what_it_starts_itself_steps_back_no_further(tmp_path: Path, module: str) -> None:
    """The process that sends starts the one that sends what was left behind."""
    program = (
        f"from pathlib import Path; from workers.wrap import behind; behind.step_back(); p = Path({str(tmp_path)!r});"
    )
    program += f"behind.start(p / 'log', {module!r}, p / 'gone').wait()"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert int((tmp_path / "gone.began").read_text()) == max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0))


def test_who_else_reads_the_session_is_waited_for(tmp_path: Path, module: str) -> None:
    """A look at the spool in the middle of a flood is no reason to load."""
    journal, began = Journal(begin(tmp_path / "s", SAVED), 1_000 * FLOOD_BYTES), tmp_path / "s.began"
    with Reader(tmp_path / "s"):
        process = behind.start(tmp_path / "log", module, tmp_path / "s")
        time.sleep(1.5)
        assert not began.exists()
    assert process.wait(20) == 0, (tmp_path / "log").read_text()
    assert began.exists()
    journal.close()
