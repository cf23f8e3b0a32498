"""Every recorded run of SWE-agent that lies beside the project, against its own JSON."""

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

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "swe-agent"
NAMES = (
    "BabyEncryption",
    "BabyTimeCapsule",
    "eps",
    "katy",
    "marshmallow-1867-function-calling",
    "marshmallow-1867-xml",
    "test-repo-1c2844",
    "test-repo-i1",
)
# Errors in the observations, read by eye: (step, line, pattern).
ERRORS = {
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


def _bytes(name: str) -> bytes:
    path = DATA / f"{name}.traj"
    if not path.is_file():
        pytest.fail(f"{path} is missing: put the recorded runs of SWE-agent there, beside the project's folder.")
    return path.read_bytes()


def _events(content: bytes, **options: Any) -> list[dict[str, Any]]:
    return events(content, name="x.traj", tenant="acme", **options)


def _of(made: list[dict[str, Any]], noun: str) -> list[dict[str, Any]]:
    return [event["data"] for event in made if event["type"] == f"siltstone.{noun}.v1"]


def _only(made: list[dict[str, Any]], noun: str) -> dict[str, Any]:
    (data,) = _of(made, noun)
    return data


def test_every_real_file_is_known_here() -> None:
    """The folder holds the files named above and the one with history alone."""
    _bytes("history-only")
    assert sorted(path.stem for path in DATA.glob("*.traj")) == sorted([*NAMES, "history-only"])


@pytest.mark.parametrize("name", NAMES)
def test_counts_by_type_are_those_of_the_json(name: str) -> None:
    """Counts follow from the file's steps, fences and errors, derived here from the JSON alone."""
    content = _bytes(name)
    steps = json.loads(content)["trajectory"]
    fences = sum(len(re.findall(r"^```", step["response"], re.MULTILINE)) for step in steps)
    expected = Counter(
        {
            "siltstone.session.started.v1": 1,
            "siltstone.run.started.v1": 1,
            "siltstone.run.finished.v1": 1,
            "siltstone.session.completed.v1": 1,
            "siltstone.node.executed.v1": len(steps),
            "siltstone.code_block.captured.v1": fences // 2,
            "siltstone.extraction.recorded.v1": len(steps) + len(ERRORS.get(name, ())),
        }
    )
    made = _events(content)
    assert count_by_type(made) == {key: count for key, count in sorted(expected.items()) if count}
    completed = _only(made, "session.completed")
    assert completed["total_extraction_events"] == expected["siltstone.extraction.recorded.v1"]
    lines = sum(len(step[key].removesuffix("\n").split("\n")) for step in steps for key in _scanned(step))
    assert completed["total_lines_processed"] == lines
    assert completed["exit_code"] == 0


def _scanned(step: dict[str, str]) -> list[str]:
    return [key for key in ("response", "observation") if step[key]]


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_those_that_a_reader_sees(name: str) -> None:
    """Each error has its step and line, its line is that of the observation, and its step failed."""
    content = _bytes(name)
    steps = json.loads(content)["trajectory"]
    made = _events(content)
    found = [data for data in _of(made, "extraction.recorded") if data["event_type"] == "error"]
    expected = ERRORS.get(name, [])
    assert [(data["metadata"]["step"], data["line_number"], data["pattern"]) for data in found] == expected
    shown = [steps[step - 1]["observation"].split("\n")[line - 1] for step, line, _ in expected]
    assert [data["original_line"] for data in found] == shown
    failed = [data["iteration"] for data in _of(made, "node.executed") if data["status"] == "failed"]
    assert failed == [step for step, _, _ in expected]


@pytest.mark.parametrize("name", NAMES)
def test_nodes_and_totals_are_those_of_the_file(name: str) -> None:
    """Node names, states, durations, tokens and submission are the file's own."""
    content = _bytes(name)
    file = json.loads(content)
    steps, info = file["trajectory"], file["info"]
    made = _events(content)
    nodes = _of(made, "node.executed")
    assert [node["node_name"] for node in nodes] == [step["action"].split()[0] for step in steps]
    assert [node["iteration"] for node in nodes] == list(range(1, len(steps) + 1))
    states = [json.loads(step["state"]) if isinstance(step["state"], str) else step["state"] for step in steps]
    assert [node["state_snapshot"] for node in nodes] == states
    times = [step.get("execution_time") for step in steps]
    assert [node.get("duration_ms") for node in nodes] == [None if t is None else round(t * 1000) for t in times]
    finished = _only(made, "run.finished")
    assert finished["status"] == "completed"
    assert finished["final_state"] == states[-1]
    assert finished["tokens_input"] == info["model_stats"]["tokens_sent"]
    assert finished["tokens_output"] == info["model_stats"]["tokens_received"]
    assert finished["iterations"] == len(steps)
    assert finished["results_summary"]["submission"] == info["submission"]
    assert _only(made, "session.started") == {"agent_name": "swe-agent", "environment": file["environment"]}


@pytest.mark.parametrize("name", NAMES)
def test_envelopes_are_whole_ordered_and_apart(name: str) -> None:
    """Each event has every attribute, an id of its own, a later time and a higher sequence than the last."""
    made = _events(_bytes(name))
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
        assert event["subject"] == (run if re.search(r"\.(run|node)\.", event["type"]) else session)
        assert (event["specversion"], event["tenantid"]) == ("1.0", "acme")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_content_gives_the_same_events_under_any_name(name: str) -> None:
    """A second call, and a call with another name, give equal bytes; the name stands nowhere."""
    content = _bytes(name)
    first = json.dumps(events(content, name="zzz-one.traj", tenant="acme"))
    assert json.dumps(events(content, name="zzz-two.traj", tenant="acme")) == first
    assert "zzz-" not in first


def test_a_run_knows_its_problem_model_and_session() -> None:
    """external_ref, model and config come from the replay_config; the config names the session."""
    made = _events(_bytes("test-repo-1c2844"))
    started = _only(made, "run.started")
    assert (started["kind"], started["source"], started["model"]) == ("agent", "swe-agent", "gpt-4o")
    assert started["external_ref"] == "SWE-agent__test-repo-i1"
    assert started["config_snapshot"]["session_id"] == made[0]["subject"]
    assert started["config_snapshot"]["repo"]["base_commit"] == "HEAD"


def test_a_file_with_history_alone_is_answered_clearly() -> None:
    """The answer names the file, what it holds, what it lacks and what to import."""
    with pytest.raises(UnreadableTrajectory) as refusal:
        events(_bytes("history-only"), name="history-only.traj", tenant="acme")
    assert str(refusal.value) == (
        "history-only.traj cannot be imported: it holds a conversation (`history`) but no steps "
        "(`trajectory`), so there is no run to import; import the .traj file that SWE-agent wrote "
        "for the run itself. Nothing of it was imported."
    )


def test_every_real_file_cut_short_is_refused() -> None:
    """No beginning of a file is taken for the whole."""
    content = _bytes("test-repo-i1").rstrip()
    for size in range(0, len(content), 997):
        with pytest.raises(UnreadableTrajectory):
            _events(content[:size])
