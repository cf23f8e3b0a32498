"""Frames of a terminal to the events of a session."""

import itertools
import json
import resource
from collections.abc import Sequence
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from producers.text_findings import code_blocks
from producers.wrap.frames import About, Frame, Kind
from producers.wrap.journal import Journal, Reader, Saved, begin, fingerprints, saved_in
from producers.wrap.masking import Masker
from producers.wrap.patterns import load
from producers.wrap.session import MAX_OF_A_PATTERN, Session
from workers.wrap.flood import FLOOD_BYTES, Flood

EXAMPLES = Path(__file__).parents[2] / "examples"
PATTERNS = load((EXAMPLES / "patterns.yaml").read_text(), "examples/patterns.yaml")
STARTED = datetime(2026, 11, 28, 12, tzinfo=UTC)
ABOUT = About(b"k" * 32, "bash", "acme", "/siltstone/wrap", STARTED, 80, 24, {"command": ["bash"]})
SECOND = 1_000_000


def _events(*frames: Frame, mask: Any = lambda line: line, about: About = ABOUT) -> list[dict[str, Any]]:
    session = Session(about, PATTERNS, mask)
    for frame in frames:
        session.feed(frame)
    return session.take()


def _output(at_seconds: float, text: str) -> Frame:
    return Frame(int(at_seconds * SECOND), Kind.OUTPUT, text.encode())


def _short(events: Sequence[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Each event's noun, and what tells it from others."""
    telling = {"session.state_changed": "state", "extraction.recorded": "pattern", "code_block.captured": "content"}
    nouns = [(event["type"].removeprefix("siltstone.").removesuffix(".v1"), event["data"]) for event in events]
    return [(noun, data.get(telling.get(noun, ""))) for noun, data in nouns]


def test_a_session_is_what_its_output_shows() -> None:
    """A block, an error and a test's result, in the order of the lines; then the totals and the exit code."""
    text = "hello\n```python\na = 1\n```\nValueError: no\n=== 3 passed in 0.1s ===\n"
    events = _events(_output(0.5, text), Frame(2 * SECOND, Kind.ENDED, b"3"))
    assert _short(events) == [
        ("session.started", None),
        ("session.updated", None),
        ("code_block.captured", "a = 1"),
        ("extraction.recorded", "python_exception"),
        ("extraction.recorded", "pytest_summary"),
        ("session.completed", None),
    ]
    block, error, completed = events[2]["data"], events[3]["data"], events[-1]["data"]
    assert (block["language"], block["parseable"], block["line_start"]) == ("python", True, 3)
    assert (error["risk_level"], error["line_number"], error["original_line"]) == ("high", 5, "ValueError: no")
    assert completed == {"exit_code": 3, "total_lines_processed": 6, "total_extraction_events": 2}
    assert events[-1]["time"] == "2026-11-28T12:00:02.003Z"
    assert len({event["subject"] for event in events}) == 1


def test_the_same_frames_make_the_same_events_and_any_pieces_the_same_ids() -> None:
    """What was sent in part can be sent again; where a read ended changes no id."""
    text = "```sh\nls\n```\nfatal: no\n" * 40
    whole = _events(_output(0, text), Frame(SECOND, Kind.ENDED, b"0"))
    assert whole == _events(_output(0, text), Frame(SECOND, Kind.ENDED, b"0"))
    pieces = [_output(0, text[at : at + 7]) for at in range(0, len(text), 7)]
    assert [event["id"] for event in _events(*pieces, Frame(SECOND, Kind.ENDED, b"0"))] == [
        event["id"] for event in whole
    ]
    assert len({event["id"] for event in whole}) == len(whole)


def test_a_question_that_gets_no_answer_for_a_second_makes_the_session_wait() -> None:
    """It runs again with the next output; a question that is answered at once is nothing."""
    events = _events(
        _output(1, "Overwrite? [y/N] "),
        _output(1.4, "n\r\nOverwrite b? [y/N] "),
        _output(9, "y\r\n"),
        Frame(30 * SECOND, Kind.ENDED, b"0"),
    )
    assert _short(events)[2:-1] == [
        ("extraction.recorded", "yes_or_no"),
        ("session.state_changed", "waiting"),
        ("session.state_changed", "running"),
    ]
    assert [event["time"][17:22] for event in events[2:-1]] == ["02.40", "02.40", "09.00"]
    assert events[2]["data"]["original_line"] == "Overwrite b? [y/N] "


def test_looking_early_changes_nothing() -> None:
    """Whoever reads while the program runs looks at pauses as they pass, and finds the same."""
    frames = [_output(1, "Continue? [y/n] "), _output(60, "y\n"), Frame(90 * SECOND, Kind.ENDED, b"0")]
    session = Session(ABOUT, PATTERNS, lambda line: line)
    for frame, then in itertools.pairwise([*frames, Frame(200 * SECOND, Kind.ENDED, b"")]):
        session.feed(frame)
        if frame.kind is Kind.OUTPUT:
            for second in range(frame.at_us // SECOND, then.at_us // SECOND):
                session.pass_time(second * SECOND)
    assert session.take() == _events(*frames)


def test_a_flood_of_one_pattern_is_counted() -> None:
    """A thousand are recorded, the others are a number."""
    events = _events(_output(0, "fatal: x\n" * (MAX_OF_A_PATTERN + 5)), Frame(SECOND, Kind.ENDED, b"0"))
    assert sum(event["type"] == "siltstone.extraction.recorded.v1" for event in events) == MAX_OF_A_PATTERN
    assert events[-2]["data"]["metadata"]["counted_only"] == {"error_message": 5}


def test_no_secret_is_in_any_event() -> None:
    """Not in a line, a block, a traceback, a prompt, nor where colours or a redrawing cut it."""
    canary = "canary-0123456789"
    text = (
        f"```sh\nexport A={canary}\n```\nValueError: {canary}\nfatal: cana\x1b[31mry-0123\x1b[0m456789\r\n"
        f"xx\rfatal: {canary}\r\nTraceback (most recent call last):\n  File {canary}\nKeyError: {canary}\n"
        f"{canary}? [y/n] "
    )
    about = Masker({"MY_TOKEN": canary})
    events = _events(_output(0, text), _output(5, "y\n"), Frame(6 * SECOND, Kind.ENDED, b"0"), mask=about)
    assert canary not in json.dumps(events)
    assert json.dumps(events).count("[masked: MY_TOKEN]") >= 6


def test_a_recording_without_an_end_is_abandoned() -> None:
    """The lines on the screen are read, and the session's state says that nobody knows how it ended."""
    session = Session(ABOUT, PATTERNS, lambda line: line)
    session.feed(_output(0, "fatal: x\n"))
    session.abandon()
    assert _short(session.take())[2:] == [
        ("extraction.recorded", "error_message"),
        ("session.updated", None),
        ("session.state_changed", "abandoned"),
    ]


def test_what_is_known_of_a_session_stays_known() -> None:
    """Each event that has metadata has all of it: the row's is replaced as a whole."""
    events = _events(
        _output(0, "fatal: x\n" * (MAX_OF_A_PATTERN + 1) + "Go on? [y/N] "),
        _output(9, "y\n"),
        Frame(30 * SECOND, Kind.ENDED, b"0"),
    )
    told = [
        event["data"]["metadata"]
        for event in events
        if "extraction" not in event["type"] and "metadata" in event["data"]
    ]
    assert told == [{"command": ["bash"]}, {"command": ["bash"], "counted_only": {"error_message": 1}}]


def _saved(**changes: Any) -> Saved:
    known: dict[str, Any] = {
        "id": "s-1", "agent": "bash", "tenant": "acme", "source": "/x", "started": STARTED.isoformat(), "columns": 80,
        "rows": 24, "metadata": {}, "mask": True, "patterns": None, "secrets": {},
    }  # fmt: skip
    return Saved(**(known | changes))


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    """Frames come out as they went in; the end is known once the writer has let go, and not before."""
    saved, frames = _saved(), [_output(0, "a"), Frame(1, Kind.RESIZE, b"100 30"), Frame(2, Kind.ENDED, b"0")]
    journal = Journal(begin(tmp_path / "s", saved), 10_000)
    with Reader(tmp_path / "s") as reader:
        assert saved_in(tmp_path / "s") == saved
        journal.add(frames[0])
        assert (list(reader.frames()), reader.is_closed) == ([frames[0]], False)
        journal.add(frames[1])
        journal.add(frames[2])
        journal.close()
        assert (list(reader.frames()), reader.is_closed) == (frames[1:], True)
        with pytest.raises(BlockingIOError):
            Reader(tmp_path / "s")
        reader.remove()
    assert not (tmp_path / "s").exists()


def test_a_journal_keeps_no_more_than_its_limit_and_no_half_frame(tmp_path: Path) -> None:
    """Beyond it only its last words: that it was cut, and how the program ended. A half frame is left out."""
    journal = Journal(begin(tmp_path / "s", _saved()), 100)
    journal.add(_output(0, "a" * 50))
    journal.add(_output(1, "b" * 50))
    journal.add(_output(2, "c"))
    assert journal.trouble == "the session's output is above the limit of its journal"
    last_words = [Frame(3 * SECOND, Kind.CUT, b"too much"), Frame(3 * SECOND, Kind.ENDED, b"4")]
    for frame in last_words:
        journal.add(frame)
    journal.close()
    with (tmp_path / "s" / "frames").open("ab") as file:
        file.write(b"\0\0\0\0\0\0\0\1\1\0\0\0\xffcut")
    with Reader(tmp_path / "s") as reader:
        assert (list(reader.frames()), reader.is_closed) == ([_output(0, "a" * 50), *last_words], True)


def test_a_flood_is_read_when_it_is_over(tmp_path: Path) -> None:
    """While more comes than FLOOD_BYTES between two looks it waits, until it ebbs or whoever prints has ended."""
    journal = Journal(begin(tmp_path / "s", _saved()), 10 * FLOOD_BYTES)
    much = _output(0, "a" * FLOOD_BYTES)
    with Reader(tmp_path / "s") as reader:
        flood = Flood(reader)
        assert not flood.is_on()
        journal.add(much)
        assert flood.is_on()
        journal.add(_output(0, "b"))
        assert not flood.is_on()
        journal.add(much)
        assert flood.is_on()
        journal.add(much)
        journal.close()
        assert not flood.is_on()
        assert len(list(reader.frames())) == 4


def test_a_journal_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Output is kept as it came: nobody else may read it."""
    begin(tmp_path / "s", _saved()).close()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "s").iterdir()} == {0o600}
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


def test_a_disk_that_is_full_harms_nobody() -> None:
    """The trouble is kept to be said once, and frames are dropped without an error."""
    journal = Journal(FileIO("/dev/full", "wb"), 10_000)  # a device that is always full
    journal.add(_output(0, "a"))
    journal.add(_output(0, "b"))
    assert journal.trouble == "its journal cannot be written: No space left on device"
    journal.close()


def test_a_disk_that_fills_in_the_middle_takes_no_whole_frame_and_not_the_end(tmp_path: Path) -> None:
    """Half a frame is taken back; how the program ended needs a few bytes, and has them."""
    opened = begin(tmp_path / "s", _saved())
    journal = Journal(opened, 1_000_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, hard))  # in the place of a disk: Python ignores its signal
    try:
        frames = [_output(second, "a" * 1_000) for second in range(10)]
        for frame in frames:
            journal.add(frame)
        journal.add(Frame(11 * SECOND, Kind.ENDED, b"4"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.trouble == "its journal cannot be written: File too large"
    journal.close()
    with Reader(tmp_path / "s") as reader:
        assert list(reader.frames()) == [*frames[:8], Frame(11 * SECOND, Kind.ENDED, b"4")]


def test_secrets_are_known_again_by_a_salted_digest() -> None:
    """The same value in the same session alone; the value itself is not kept."""
    known = fingerprints({"A_TOKEN": "secret-value"}, ["A_TOKEN"], "s-1")
    assert known == fingerprints({"A_TOKEN": "secret-value"}, ["A_TOKEN"], "s-1")
    assert known != fingerprints({"A_TOKEN": "secret-value"}, ["A_TOKEN"], "s-2")
    assert known != fingerprints({}, ["A_TOKEN"], "s-1")
    assert "secret-value" not in str(known)


def test_blocks_are_those_of_the_text() -> None:
    """A log that is replayed has the code blocks that its text has, in any window."""
    text = "say\n```python\n" + "x = '" + "y" * 200 + "'\n```\n  ~~~\n  a\n  ~~~\n```\nopen\n"
    found = [(b.content, b.language) for b in code_blocks(text)]
    events = _events(_output(0, text), Frame(1, Kind.ENDED, b"0"))
    blocks = [e["data"] for e in events if e["type"] == "siltstone.code_block.captured.v1"]
    assert [(b["content"], b.get("language")) for b in blocks] == found
