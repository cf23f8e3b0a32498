"""Recorded terminals, read to be replayed: casts of three versions and many recorders, logs of script, plain logs."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from producers.account import LeftOut, Refused, Remark, Word
from producers.imports import junit, otel, promptfoo, runs_json, swe_agent
from producers.imports.imported import Importer, Unreadable
from producers.recognised import known, otherwise
from producers.wrap.frames import Frame, Kind
from producers.wrap.recorded import UnreadableRecording
from producers.wrap.recordings import Recording, recording
from tests.support.imported import CASES, case
from workers.wrap.command import Wish, replayed

CASTS = CASES / "asciicast"
WISH = Wish("acme", None, "/siltstone/wrap", None, None, mask=True, wait=False)
SECOND = 1_000_000
ENDED = Frame(0, Kind.ENDED, b"")


def output(at_seconds: float, text: str) -> Frame:
    return Frame(round(at_seconds * SECOND), Kind.OUTPUT, text.encode())


def ended(at_seconds: float, code: str = "") -> Frame:
    return Frame(round(at_seconds * SECOND), Kind.ENDED, code.encode())


def read(path: Path, start: datetime | None = None) -> tuple[Recording, list[Frame]]:
    """A recording, and all of its frames."""
    found = recording(path, start)
    return found, list(found.frames)


def written(folder: Path, content: str | bytes, name: str = "x.cast") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def replay(path: Path) -> tuple[list[dict[str, Any]], list[Word]]:
    """The events of a file that is replayed, and what is said of the rest."""
    found = replayed(path, WISH)
    return list(found.events), found.words


def data_of(events: Sequence[dict[str, Any]], noun: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["type"] == f"siltstone.{noun}.v1"]


class Told(NamedTuple):
    """What a recorder's file holds: the error that it shows, how it ended, and what is said of the rest."""

    error: str
    exit_code: int | None
    seconds: float
    words: list[Word]
    metadata: set[str]


RECORDERS = {
    "asciinema-1.json": Told(
        "fatal: no rule",
        None,
        3.25,
        [Refused("stdout 3", "it is not an interval and a text")],
        {"duration", "command", "title", "env"},
    ),
    "asciinema-2.cast": Told(
        "fatal: not a repository",
        None,
        2.0,
        [LeftOut("keys that were typed", 2), LeftOut("markers")],
        {"idle_time_limit", "command", "title", "env"},
    ),
    "asciinema-3.cast": Told("fatal: it failed", 2, 2.0, [LeftOut("markers")], {"command", "tags", "env", "term"}),
    "asciinema-edited.cast": Told("fatal: broken", None, 2.0, [], set()),
    "termtosvg.cast": Told("fatal: x", None, 0.1, [], {"theme"}),
    "powersession.cast": Told("fatal: C:\\x", None, 0.6, [], {"env"}),
    "timestamp-as-text.cast": Told(
        "fatal: y", None, 0.7, [Remark("line 3", "size", "wide", "is not understood")], set()
    ),
    "out-of-order.cast": Told(
        "fatal: a",
        None,
        2.0,
        [Remark("line 3", "time", "0.4", "is before the event above; it counts as the same moment")],
        set(),
    ),
    "split-characters.cast": Told("fatal: red", None, 0.4, [Refused("line 5", "its output is not a text")], set()),
    "killed.cast": Told(
        "fatal: z",
        137,
        1.5,
        [
            Remark("line 3", "time", "-3", "is before the event above; it counts as the same moment"),
            LeftOut("events after the end"),
        ],
        set(),
    ),
    "live-stream.cast": Told(
        "fatal: w",
        None,
        0.7,
        [
            Remark("the header", "cols", "0", "is not the size of a window"),
            Remark("line 4", "exit status", "killed", "is not understood"),
            LeftOut("events of code 'e'"),
        ],
        {"not_understood"},
    ),
}


def test_every_recorders_file_is_tried() -> None:
    """Those of the folder, and no others."""
    assert {path.name for path in (CASTS / "recorders").iterdir()} == set(RECORDERS)


@pytest.mark.parametrize("name", RECORDERS)
def test_a_recorders_cast_is_replayed(name: str) -> None:
    """Its error is found, its end is what it says of it, and every part of it is accounted for."""
    told = RECORDERS[name]
    events, words = replay(CASTS / "recorders" / name)
    assert words == told.words
    [error] = data_of(events, "extraction.recorded")
    assert error["original_line"] == told.error
    metadata = data_of(events, "session.updated")[0]["metadata"]
    assert set(metadata) == told.metadata | {"replayed"}
    completed = data_of(events, "session.completed")
    assert [data["exit_code"] for data in completed] == ([] if told.exit_code is None else [told.exit_code])
    began, over = (datetime.fromisoformat(events[at]["time"]) for at in (0, -1))
    assert (over - began).total_seconds() == pytest.approx(told.seconds, abs=0.005)
    if not completed:
        last = data_of(events, "session.updated")[-1]
        assert (last["state"], last["ended_at"]) == ("ended", events[-1]["time"])


def test_a_character_in_two_halves_is_one() -> None:
    """As recorders in JavaScript write it; a half alone is U+FFFD."""
    _, frames = read(CASTS / "recorders" / "split-characters.cast")
    shown = b"".join(frame.data for frame in frames if frame.kind is Kind.OUTPUT).decode()
    assert shown == "🪨 ok\r\n\x1b[31mfatal: red\x1b[0m\r\n"


def test_version_1() -> None:
    """Also written over many lines: its texts are the screen, and its header is not."""
    found, frames = read(CASTS / "version-1.json")
    assert frames == [output(0.5, "$ run\r\n"), output(1.5, "Error: boom\r\n"), ended(1.5)]
    assert (found.columns, found.rows, found.words) == (80, 24, [])
    assert found.metadata["command"] == "/bin/sh"


def test_no_exit_event() -> None:
    """Nobody knows the exit code: the session ended, and did not complete."""
    events, words = replay(CASTS / "no-exit-event.cast")
    assert words == []
    assert data_of(events, "session.completed") == []
    last = data_of(events, "session.updated")[-1]
    assert (last["state"], "exit_code" in last) == ("ended", False)


def test_exit_code_1() -> None:
    """What script says in its first and last line is no output; the exit code, start and end are its own."""
    events, words = replay(CASES / "script" / "exit-code-1.log")
    [completed] = data_of(events, "session.completed")
    assert (completed["exit_code"], completed["total_lines_processed"], words) == (1, 4, [])
    [error] = data_of(events, "extraction.recorded")
    assert error["matched_value"] == "ZeroDivisionError: division by zero"
    assert (events[0]["time"], events[-1]["time"][:19]) == ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:05")


@pytest.mark.parametrize(
    ("first", "last", "started", "seconds", "code"),
    [
        ("Sat Jan 31 12:00:00 2026", "\nScript done on Sat Jan 31 12:01:00 2026\n", "2026-01-31T12:00:00", 60, ""),
        (
            "Sat Jan 31 12:00:00 2026",
            "\nCommand exit status: 3\nScript done on Sat Jan 31 12:01:00 2026\n",
            "2026-01-31T12:00:00",
            60,
            "3",
        ),
        (
            'Sat 31 Jan 2026 12:00:00 PM UTC [COMMAND="make" <not executed on terminal>]',
            '\r\n\r\nScript done on Sat 31 Jan 2026 12:00:09 PM UTC [COMMAND_EXIT_CODE="130"]\n',
            "2026-01-31T12:00:00",
            9,
            "130",
        ),
        ("2026-01-31 12:00:00+02:00", "", "2026-01-31T10:00:00", 0, ""),
        ("2026-01-31 12:00:00+00:00", "\nScript done, file is typescript\n", "2026-01-31T12:00:00", 0, ""),
    ],
)
def test_logs_of_script(tmp_path: Path, first: str, last: str, started: str, seconds: int, code: str) -> None:
    """Of util-linux, old and new, and of BSD; one whose end is missing was killed."""
    path = written(tmp_path, f"Script started on {first}\nhello\n{last}", "typescript")
    found, frames = read(path)
    assert found.started == datetime.fromisoformat(started).replace(tzinfo=UTC)
    assert frames[-1] == ended(seconds, code)
    shown = b"".join(frame.data for frame in frames[:-1]).decode()
    assert shown.startswith("hello")
    assert "Script started" not in shown
    assert ("Script done" in shown) == ("file is" in last)


def test_a_long_log_of_script_is_cut_where_its_output_ends(tmp_path: Path) -> None:
    """Its last line lies in no frame, however large the log is."""
    text = "".join(f"line {n}\n" for n in range(30_000))
    around = [f"Script {what} on 2026-01-31 12:00:0{n}+00:00\n" for n, what in enumerate(("started", "done"))]
    path = written(tmp_path, f"{around[0]}{text}\n{around[1]}")
    _, frames = read(path)
    assert b"".join(frame.data for frame in frames[:-1]).decode() == text
    assert len(frames) > 3


def test_casts_of_both_versions_and_plain_logs_are_read(tmp_path: Path) -> None:
    """Version 3 has intervals for times; a plain log has neither times nor a window, and no end."""
    two = written(
        tmp_path,
        '{"version": 2, "width": 100, "height": 30, "timestamp": 1700000000}\n'
        '[0.5, "o", "a\\r\\n"]\n[2.5, "r", "90x20"]\n[3, "i", "x"]\n',
        "2.cast",
    )
    three = written(
        tmp_path,
        '{"version": 3, "term": {"cols": 70, "rows": 20}}\n# a comment\n'
        '[0.5, "o", "a"]\n[2.0, "o", "b"]\n[1, "x", "2"]\n',
        "3.cast",
    )
    plain = written(tmp_path, b"a\nb", "x.log")
    second, frames = read(two)
    assert (second.columns, second.rows, second.started.year) == (100, 30, 2023)
    assert frames == [output(0.5, "a\r\n"), Frame(2_500_000, Kind.RESIZE, b"90 20"), ended(3)]
    third, frames = read(three)
    assert (third.columns, third.rows) == (70, 20)
    assert frames == [output(0.5, "a"), output(2.5, "b"), ended(3.5, "2")]
    assert read(plain)[1] == [output(0, "a\nb"), ENDED]
    assert recording(plain).started == recording(plain).started


def test_a_cast_that_is_none_says_which_line(tmp_path: Path) -> None:
    """Another version is refused at once, a broken line when it is reached."""
    with pytest.raises(UnreadableRecording, match="version 4; 1, 2 and 3 can be replayed"):
        recording(written(tmp_path, '{"version": 4, "width": 80}'))
    frames = recording(
        written(tmp_path, '{"version": 2, "width": 80, "height": 24}\n[0, "o", "a"]\n[0, "o"\n', "2.cast")
    ).frames
    assert next(frames) == output(0, "a")
    with pytest.raises(UnreadableRecording, match=r"2\.cast, line 3"):
        next(frames)


def test_a_cast_that_breaks_off_ends_its_session(tmp_path: Path) -> None:
    """What was shown before is recorded, its last line too; nobody says that it completed."""
    path = written(tmp_path, '{"version": 2, "width": 80, "height": 24}\n[1, "o", "fatal: a"]\n[2, "o", "b')
    events: list[dict[str, Any]] = []
    with pytest.raises(UnreadableRecording, match="line 3"):
        events.extend(replayed(path, WISH).events)
    assert [data["original_line"] for data in data_of(events, "extraction.recorded")] == ["fatal: a"]
    assert data_of(events, "session.state_changed") == [{"state": "abandoned"}]


@pytest.mark.parametrize("timestamp", [10**20, -99_999_999_999, "soon", True, [1]])
def test_a_cast_whose_time_is_none_is_refused_until_a_start_stands_for_it(tmp_path: Path, timestamp: object) -> None:
    """Beyond the year 3000, before 1970, or no time: another date would hide it."""
    path = written(tmp_path, json.dumps({"version": 2, "width": 80, "timestamp": timestamp}) + '\n[0, "o", "a"]\n')
    with pytest.raises(UnreadableRecording, match=r"timestamp .* is .*; mend it, or say by --start when it began"):
        recording(path)
    start = datetime(2026, 5, 1, tzinfo=UTC)
    found, _ = read(path, start)
    assert found.started == start
    assert [type(word) for word in found.words] == [Remark]


def test_a_cast_without_a_time_lies_where_its_bytes_or_a_start_say(tmp_path: Path) -> None:
    """What is not there is no fault."""
    path = written(tmp_path, '{"version": 2, "width": 80, "timestamp": null}\n[0, "o", "a"]\n')
    found, _ = read(path)
    assert (found.started.date(), found.words) == (datetime(2024, 1, 1, tzinfo=UTC).date(), [])
    start = datetime(2026, 5, 1, tzinfo=UTC)
    assert read(path, start)[0].started == start


@pytest.mark.parametrize("time", ["1e300", "4000000000", "1e999"])
@pytest.mark.parametrize("header", ['{"version": 2, "width": 80}', '{"version": 3, "term": {}}'])
def test_a_cast_that_lasts_too_long_says_which_line(tmp_path: Path, header: str, time: str) -> None:
    """A time that no event can have is no event of a terminal."""
    frames = recording(written(tmp_path, f'{header}\n[0, "o", "a"]\n[{time}, "o", "b"]\n')).frames
    assert next(frames) == output(0, "a")
    with pytest.raises(UnreadableRecording, match=r"x\.cast, line 3"):
        next(frames)


def test_no_time_of_a_cast_goes_back(tmp_path: Path) -> None:
    """An interval below zero is none."""
    path = written(tmp_path, '{"version": 3, "term": {}}\n[1, "o", "a"]\n[-5, "o", "b"]\n[1, "o", "c"]\n')
    assert read(path)[1] == [output(1, "a"), output(1, "b"), output(2, "c"), ended(2)]


def test_what_a_header_says_is_masked(tmp_path: Path) -> None:
    """Also by the variables that it names, wherever their values stand."""
    header = {
        "version": 2,
        "width": 80,
        "height": 24,
        "title": "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "env": {"API_TOKEN": "hunter2-hunter2", "SHELL": "/bin/sh"},
    }
    path = written(tmp_path, json.dumps(header) + '\n[0, "o", "fatal: hunter2-hunter2\\r\\n"]\n')
    events, _ = replay(path)
    text = json.dumps(events)
    assert "ghp_aaa" not in text
    assert "hunter2" not in text
    assert data_of(events, "session.updated")[0]["metadata"]["env"]["SHELL"] == "/bin/sh"


OTHERS = {
    "otel/tokens-as-text.jsonl": "OpenTelemetry's OTLP",
    "otel/one-pretty-request.json": "OpenTelemetry's OTLP",
    "otel/exporters/protobuf-field-names.json": "OpenTelemetry's OTLP",
    "junit/flat-only.xml": "JUnit's XML",
    "promptfoo/output.jsonl": "results of promptfoo",
    "recordings/fences.traj": "a recorded run of SWE-agent",
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_file_of_another_kind_is_not_recorded_as_a_screen(case: str) -> None:
    """It is named, with what reads it."""
    with pytest.raises(UnreadableRecording, match=f"it is {re.escape(OTHERS[case])}.*; siltstone import"):
        recording(CASES / case)


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"\x1f\x8b\x08", "compressed by gzip"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xff\xfeS\x00", "UTF-16"),
        (b'{"specversion": "1.0"}', "lines of CloudEvents"),
        (b"<?xml version='1.0'?>\n<!-- a --><TestRun id='1'>", "Visual Studio's TRX"),
        (b"<test-run id='2'>", "NUnit's XML"),
        (b"O 0.012 45\nI 0.1 1\n", "the timing file of script"),
        (b"0.012345 45\n", "the timing file of script"),
    ],
)
def test_what_else_is_recognised(beginning: bytes, what: str) -> None:
    """By its first bytes, with what to do."""
    found = known(beginning)
    assert found
    assert found.what == what
    assert otherwise(beginning) == f"it is {what}: {found.remedy}"
    assert otherwise(beginning, found.kind) is None


@pytest.mark.parametrize("beginning", [b"", b"$ ls\r\n", b'{"a": 1}', b"[1, 2]", b"<html>", b"{\n", b"\x1b[31m"])
def test_what_is_not_recognised_may_be_anything(beginning: bytes) -> None:
    """A terminal shows JSON and XML too."""
    assert known(beginning) is None


MISTAKEN = [
    (junit.read, "promptfoo/output.jsonl", "siltstone import promptfoo reads it"),
    (promptfoo.read, "otel/one-pretty-request.json", "siltstone import otel reads it"),
    (swe_agent.read, "asciicast/version-1.json", "siltstone wrap --replay reads it"),
    (otel.read, "junit/flat-only.xml", "siltstone import junit reads it"),
    (runs_json.read, "recordings/fences.traj", "siltstone import swe-agent reads it"),
]


@pytest.mark.parametrize(("importer", "path", "says"), MISTAKEN, ids=[path for _, path, _ in MISTAKEN])
def test_an_importer_says_what_a_file_of_another_kind_is(importer: Importer, path: str, says: str) -> None:
    """And what reads it."""
    with pytest.raises(Unreadable, match=says):
        case(importer, path)


@pytest.mark.parametrize(
    "content",
    [
        '{"version": 2, "width": 80}\n[0.5, "o", "a\\ud83e"]\n',
        '{"version": 1, "width": 80, "stdout": [[0.5, "a\\ud83e"]]}',
    ],
)
def test_half_a_character_at_the_end_is_shown(tmp_path: Path, content: str) -> None:
    """As U+FFFD: its other half never came."""
    _, frames = read(written(tmp_path, content))
    assert b"".join(frame.data for frame in frames).decode() == "a\ufffd"


def test_what_a_cast_left_out_before_it_broke_off_is_said(tmp_path: Path) -> None:
    """With what broke it."""
    path = written(tmp_path, '{"version": 2, "width": 80}\n[0, "i", "k"]\n[1, "o"')
    found = recording(path)
    with pytest.raises(UnreadableRecording, match="line 3"):
        list(found.frames)
    assert found.words == [LeftOut("keys that were typed")]


def test_what_a_header_says_unreadably_is_kept(tmp_path: Path) -> None:
    """In the session's metadata; a window is never larger than one that a program could have had."""
    events, words = replay(written(tmp_path, '{"version": 2, "width": "wide", "height": 99999999}\n[0, "o", "a"]\n'))
    assert [str(word) for word in words] == [
        "the header: width 'wide' is not a number", "the header: height '99999999' is not the size of a window"
    ]  # fmt: skip
    assert data_of(events, "session.updated")[0]["metadata"]["not_understood"] == {
        "width": "wide", "height": "99999999"
    }  # fmt: skip
    log = written(tmp_path, 'Script started on 2026-01-31 12:00:00+00:00 [COLUMNS="99999999"]\na\n', "typescript")
    assert read(log)[0].columns == 80


def test_a_cast_of_version_1_without_its_texts_is_refused(tmp_path: Path) -> None:
    """Nothing of it could be shown."""
    with pytest.raises(UnreadableRecording, match=r"without a list of what was shown \(stdout\)"):
        recording(written(tmp_path, '{"version": 1, "width": 80, "stdout": "a"}'))
