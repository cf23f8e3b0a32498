"""Recorded runs of SWE-agent, against their own JSON: ours, and real ones where a folder of them is named."""

import itertools
import json
import re
import uuid
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from producers.swe_agent import UnreadableTrajectory, count_by_type, events
from tests.support import recordings

PATHS = recordings.paths()
# Errors in the observations, read by eye: (step, line, pattern). The first two are of ours, the others of real runs.
ERRORS = {
    "fences": [(3, 4, "lint_error"), (3, 5, "lint_error"), (4, 1, "python_traceback")],
    "function-calling": [(3, 1, "timed_out")],
    "xml": [(3, 1, "no_such_file")],
    "BabyEncryption": [
        (4, 1, "python_traceback"),
        (8, 4, "lint_error"),
        (9, 4, "lint_error"),
        (11, 4, "lint_error"),
        (13, 1, "python_traceback"),
    ],
    "BabyTimeCapsule": [(8, 65, "timed_out")],
    "eps": [(1, 1, "no_such_file")],
    "katy": [(17, 2, "timed_out")],
    "marshmallow-1867-xml": [(7, 4, "lint_error")],
}
# Real runs in which a reader sees no error.
WITHOUT = {"marshmallow-1867-function-calling", "test-repo-1c2844", "test-repo-i1"}
OURS = {name for name, _ in recordings.recordings()} - {recordings.HISTORY_ALONE}
READ = [path for path in PATHS if path.stem in {*ERRORS, *WITHOUT, *OURS}]
ALL = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def _events(content: bytes, **options: Any) -> list[dict[str, Any]]:
    return events(content, name="x.traj", tenant="acme", **options)


def _of(made: list[dict[str, Any]], noun: str) -> list[dict[str, Any]]:
    return [event["data"] for event in made if event["type"] == f"siltstone.{noun}.v1"]


def _only(made: list[dict[str, Any]], noun: str) -> dict[str, Any]:
    (data,) = _of(made, noun)
    return data


def test_our_recordings_are_what_their_script_writes() -> None:
    """To the byte, and no others."""
    written = {f"{name}.traj": recordings.written(content) for name, content in recordings.recordings()}
    assert {path.name: path.read_text(encoding="utf-8") for path in recordings.FOLDER.iterdir()} == written


@ALL
def test_counts_by_type_are_those_of_the_json(path: Path) -> None:
    """Counts follow from the file's steps, fences and errors, derived here from the JSON alone."""
    content = path.read_bytes()
    file = json.loads(content)
    steps, submitted = file["trajectory"], file["info"]["exit_status"] == "submitted"
    texts = [step[key] for step in steps for key in _scanned(step)]
    fences = sum(len(re.findall(r"^(?:```|~~~)", text, re.MULTILINE)) for text in texts)
    made = _events(content)
    met = sum(data["event_type"] == "error" for data in _of(made, "extraction.recorded"))
    expected = Counter(
        {
            "siltstone.session.started.v1": 1,
            "siltstone.run.started.v1": 1,
            "siltstone.run.finished.v1": 1,
            "siltstone.session.completed.v1": 1,
            "siltstone.node.executed.v1": len(steps),
            "siltstone.code_block.captured.v1": fences // 2,
            "siltstone.extraction.recorded.v1": met + sum(bool(step["action"].strip()) for step in steps),
            "siltstone.exception.created.v1": int(not submitted),
        }
    )
    assert count_by_type(made) == {key: count for key, count in sorted(expected.items()) if count}
    completed = _only(made, "session.completed")
    assert completed["total_extraction_events"] == expected["siltstone.extraction.recorded.v1"]
    assert completed["total_lines_processed"] == sum(len(text.removesuffix("\n").split("\n")) for text in texts)
    assert completed["exit_code"] == int(not submitted)


def _scanned(step: dict[str, str]) -> list[str]:
    """What is read for code and errors; a thought only where the answer does not begin with it."""
    thought = [] if step["thought"].strip() in step["response"] else ["thought"]
    return [key for key in ("response", *thought, "observation") if step[key]]


@pytest.mark.parametrize("path", READ, ids=lambda path: path.stem)
def test_errors_are_those_that_a_reader_sees(path: Path) -> None:
    """Each error has its step and line, its line is that of the observation, and its step failed."""
    content = path.read_bytes()
    steps = json.loads(content)["trajectory"]
    made = _events(content)
    found = [data for data in _of(made, "extraction.recorded") if data["event_type"] == "error"]
    expected = ERRORS.get(path.stem, [])
    assert [(data["metadata"]["step"], data["line_number"], data["pattern"]) for data in found] == expected
    shown = [steps[step - 1]["observation"].split("\n")[line - 1] for step, line, _ in expected]
    assert [data["original_line"] for data in found] == shown
    failed = [data["iteration"] for data in _of(made, "node.executed") if data["status"] == "failed"]
    assert failed == sorted({step for step, _, _ in expected})


@ALL
def test_nodes_and_totals_are_those_of_the_file(path: Path) -> None:
    """Node names, states, durations, tokens and submission are the file's own."""
    content = path.read_bytes()
    file = json.loads(content)
    steps, info = file["trajectory"], file["info"]
    made = _events(content)
    nodes = _of(made, "node.executed")
    assert [node["node_name"] for node in nodes] == [(step["action"].split() or ["think"])[0] for step in steps]
    assert [node["iteration"] for node in nodes] == list(range(1, len(steps) + 1))
    states = [json.loads(step["state"]) if isinstance(step["state"], str) else step["state"] for step in steps]
    assert [node["state_snapshot"] for node in nodes] == states
    times = [step.get("execution_time") for step in steps]
    assert [node.get("duration_ms") for node in nodes] == [None if t is None else round(t * 1000) for t in times]
    finished = _only(made, "run.finished")
    assert finished["status"] == ("completed" if info["exit_status"] == "submitted" else "failed")
    assert finished["final_state"] == states[-1]
    assert finished.get("tokens_input") == info["model_stats"].get("tokens_sent")
    assert finished.get("tokens_output") == info["model_stats"].get("tokens_received")
    assert finished["iterations"] == len(steps)
    assert finished["results_summary"].get("submission") == info["submission"]
    assert _only(made, "session.started") == {"agent_name": "swe-agent", "environment": file["environment"]}


@ALL
def test_envelopes_are_whole_ordered_and_apart(path: Path) -> None:
    """Each event has every attribute, an id of its own, a later time and a higher sequence than the last."""
    made = _events(path.read_bytes())
    times = [datetime.fromisoformat(event["time"]) for event in made]
    assert all(later - time >= timedelta(milliseconds=1) for time, later in itertools.pairwise(times))
    assert [event["sequence"] for event in made] == [f"{number:08d}" for number in range(1, len(made) + 1)]
    assert len({uuid.UUID(event["id"]) for event in made}) == len(made)
    session, run = made[0]["subject"], made[1]["subject"]
    for event in made:
        assert set(event) == {
            *("specversion", "id", "source", "type", "time", "subject", "tenantid", "datacontenttype"),
            *("sequence", "data"),
        }
        assert re.fullmatch(r"2024-01-0[12]T\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        if event["type"] != "siltstone.exception.created.v1":  # a subject of its own
            assert event["subject"] == (run if re.search(r"\.(run|node)\.", event["type"]) else session)
        assert (event["specversion"], event["tenantid"]) == ("1.0", "acme")


@ALL
def test_the_same_content_gives_the_same_events_under_any_name(path: Path) -> None:
    """A second call, and a call with another name, give equal bytes; the name stands nowhere."""
    content = path.read_bytes()
    first = json.dumps(events(content, name="zzz-one.traj", tenant="acme"))
    assert json.dumps(events(content, name="zzz-two.traj", tenant="acme")) == first
    assert "zzz-" not in first


@pytest.mark.parametrize(("name", "kept"), [("xml", "object"), ("function-calling", "text")])
def test_a_run_knows_its_problem_model_and_session(name: str, kept: str) -> None:
    """external_ref, model and config come from the replay_config, also one in a text; no key does."""
    content = (recordings.FOLDER / f"{name}.traj").read_bytes()
    assert type(json.loads(content)["replay_config"]) is {"object": dict, "text": str}[kept]
    made = _events(content)
    started = _only(made, "run.started")
    assert (started["kind"], started["source"], started["model"]) == ("agent", "swe-agent", "gpt-4o")
    assert started["external_ref"] == "area-1"
    assert started["config_snapshot"]["session_id"] == made[0]["subject"]
    assert started["config_snapshot"]["repo"]["base_commit"] == "HEAD"
    assert "never stored" not in json.dumps(made)


def test_a_file_with_history_alone_is_answered_clearly() -> None:
    """The answer names the file, what it holds, what it lacks and what to import."""
    content = (recordings.FOLDER / f"{recordings.HISTORY_ALONE}.traj").read_bytes()
    with pytest.raises(UnreadableTrajectory) as refusal:
        events(content, name="history-only.traj", tenant="acme")
    assert str(refusal.value) == (
        "history-only.traj cannot be imported: it holds a conversation (`history`) but no steps "
        "(`trajectory`), so there is no run to import; import the .traj file that SWE-agent wrote "
        "for the run itself. Nothing of it was imported."
    )


@ALL
def test_a_file_that_is_cut_short_is_refused(path: Path) -> None:
    """No beginning of a file is taken for the whole."""
    content = path.read_bytes().rstrip()
    for size in range(0, len(content), max(97, len(content) // 50)):
        with pytest.raises(UnreadableTrajectory):
            _events(content[:size])
