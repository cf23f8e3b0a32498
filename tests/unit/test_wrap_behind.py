"""What runs behind an agent's back, while the agent needs the processor."""

import os
import sys
import time
from pathlib import Path

import pytest

from producers.wrap.frames import Frame, Kind
from producers.wrap.journal import Journal, Saved, begin
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
    assert int(began.read_text()) == min(19, os.nice(0) + NICENESS)
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
