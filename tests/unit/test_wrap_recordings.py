"""Recorded runs printed as a terminal shows them and replayed: the blocks are the importer's.

Ours, and real ones where a folder of them is named.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from producers import swe_agent
from producers.swe_agent_file import Recording, read
from producers.wrap.frames import About, Frame, Kind
from producers.wrap.patterns import load
from producers.wrap.session import Session
from tests.support import recordings

PATTERNS = load((Path(__file__).parents[2] / "examples" / "patterns.yaml").read_text(), "examples/patterns.yaml")
ABOUT = About(b"k" * 32, "swe-agent", "acme", "/siltstone/wrap", datetime(2026, 1, 1, tzinfo=UTC), 80, 24, {})
PATHS = recordings.paths()


def _printed(recorded: Recording) -> bytes:
    """What the agent's terminal showed: each text below a line that begins it."""
    shown = []
    for number, step in enumerate(recorded.steps, 1):
        shown.append(f"========================= STEP {number} =========================")
        texts = {"MODEL INPUT": "", "THOUGHT": "" if step.thought.strip() in step.response else step.thought}
        for title, text in {**texts, "RESPONSE": step.response, "OBSERVATION": step.observation}.items():
            shown.append(f"\x1b[33m🤖 {title}\x1b[0m")
            shown.append(text)
    return "\n".join(shown).replace("\n", "\r\n").encode(errors="replace")


def _blocks(events: list[dict[str, Any]]) -> list[tuple[str, str | None, bool | None]]:
    captured = [event["data"] for event in events if event["type"] == "siltstone.code_block.captured.v1"]
    return sorted((data["content"], data.get("language"), data.get("parseable")) for data in captured)


BLOCKS = {"fences": 6, "stopped-by-cost": 2, "submitted-for-it": 1, "thoughts": 2, "unicode": 3}
"""How many each of ours has."""


def test_our_recordings_have_code_in_them() -> None:
    """A fence that names no language says nothing of whether its code parses."""
    ours = [path for path in PATHS if path.parent == recordings.FOLDER]
    blocks = {path.stem: _blocks(swe_agent.events(path.read_bytes(), name="", tenant="acme")) for path in ours}
    assert {name: len(found) for name, found in blocks.items() if found} == BLOCKS
    assert {(language, parseable) for found in blocks.values() for _, language, parseable in found} == {(None, None)}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_run_that_is_replayed_has_the_code_blocks_that_its_file_has(path: Path) -> None:
    """Content, language and whether it parses, of every block, in a window of 80 columns."""
    content = path.read_bytes()
    imported = swe_agent.events(content, name="x", tenant="acme")
    session = Session(ABOUT, PATTERNS, lambda line: line)
    session.feed(Frame(0, Kind.OUTPUT, _printed(read(content, name="x"))))
    session.feed(Frame(1, Kind.ENDED, b"0"))
    assert _blocks(session.take()) == _blocks(imported)
