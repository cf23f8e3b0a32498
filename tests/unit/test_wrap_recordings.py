"""Recorded runs of a real agent, printed as a terminal shows them and replayed: the blocks are the importer's."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from producers import swe_agent
from producers.swe_agent_file import Recording, read
from producers.wrap.frames import About, Frame, Kind
from producers.wrap.patterns import load
from producers.wrap.session import Session

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "swe-agent"
PATTERNS = load((Path(__file__).parents[2] / "examples" / "patterns.yaml").read_text(), "examples/patterns.yaml")
ABOUT = About(b"k" * 32, "swe-agent", "acme", "/siltstone/wrap", datetime(2026, 1, 1, tzinfo=UTC), 80, 24, {})
NAMES = sorted(path.stem for path in DATA.glob("*.traj") if path.stem != "history-only")


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


def test_there_are_recorded_runs_with_code_in_them() -> None:
    """Their absence is a failure. No fence in them names its language, so whether code parses is not said."""
    assert len(NAMES) >= 8, f"there are no recorded runs in {DATA}: put SWE-agent's .traj files there"
    contents = [(DATA / f"{name}.traj").read_bytes() for name in NAMES]
    blocks = [_blocks(swe_agent.events(content, name="", tenant="acme")) for content in contents]
    assert sum(map(len, blocks)) == 62
    assert {(language, parseable) for found in blocks for _, language, parseable in found} == {(None, None)}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_is_replayed_has_the_code_blocks_that_its_file_has(name: str) -> None:
    """Content, language and whether it parses, of every block, in a window of 80 columns."""
    content = (DATA / f"{name}.traj").read_bytes()
    imported = swe_agent.events(content, name=name, tenant="acme")
    session = Session(ABOUT, PATTERNS, lambda line: line)
    session.feed(Frame(0, Kind.OUTPUT, _printed(read(content, name=name))))
    session.feed(Frame(1, Kind.ENDED, b"0"))
    assert _blocks(session.take()) == _blocks(imported)
