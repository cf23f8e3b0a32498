"""An older analysis tool's JSON: nothing is a success by default, and nothing that is not understood goes missing."""

import json
from typing import Any

import pytest

from producers.account import Refused, Remark
from producers.imports import runs_json
from producers.imports.imported import Imported, Unreadable
from tests.support.imported import of, read


def _run(**members: Any) -> Imported:
    return read(runs_json.read, json.dumps({"id": "7"} | members).encode())


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"status": "done"}, "completed"),
        ({"completed_at": "2026-01-02T03:04:05Z"}, "completed"),
        ({"error": "broke"}, "failed"),
        ({"error": {"code": 5}, "finished_at": "2026-01-02T03:04:05Z"}, "failed"),
        ({"updated_at": "2026-01-02T03:04:05Z"}, None),
        ({"results": {"a": 1}}, None),
    ],
)
def test_a_run_ended_as_something_says_that_it_did(members: dict[str, Any], status: str | None) -> None:
    """By its status, its error, or the time of its end; else how it ended is refused by name, and it is not over."""
    found = _run(**members)
    assert [run["status"] for run in of(found, "run.finished")] == ([status] if status else [])
    why = Refused("the run's end", "it has no status, and nothing else says how it went")
    assert found.words == ([] if status else [why])


def test_a_stage_went_as_something_says_that_it_did() -> None:
    """One that only has a name is refused by its place."""
    stages = [
        {"name": "a", "duration": 1},
        {"name": "b", "error": "broke"},
        {"name": "c"},
        "d",
        {"name": "e", "status": "cancelled"},
    ]
    found = _run(status="done", stages=stages)
    nodes = [(node["node_name"], node["status"], node.get("stated_status")) for node in of(found, "node.executed")]
    assert nodes == [("a", "completed", None), ("b", "failed", None), ("e", "failed", "cancelled")]
    assert [word.item for word in found.refused] == ["stage 3", "stage 4"]


def test_a_member_of_another_kind_is_named_and_kept() -> None:
    """Stages that are none, files that are none, numbers that are none."""
    found = _run(status="done", stages=5, files={"a": 1}, progress="half", cost="5 USD", duration="1,234")
    [started] = of(found, "run.started")
    assert started["not_understood"] == {
        "stages": "5",
        "files": "{'a': 1}",
        "progress": "half",
        "cost": "5 USD",
        "duration": "1,234",
    }
    assert {word.name for word in found.words if isinstance(word, Remark)} == started["not_understood"].keys()


def test_numbers_in_texts_are_numbers() -> None:
    """Of time, money and progress."""
    found = _run(status="done", progress="50", cost="0.25", duration="2,5", files=[{"name": "a", "size": "7"}])
    [finished] = of(found, "run.finished")
    assert (finished["duration_ms"], finished["cost_usd"]) == (2500, "0.25")
    assert of(found, "run.progressed") == [{"progress_percent": 50}]
    assert of(found, "file.produced")[0]["size_bytes"] == 7


def test_a_beginning_that_cannot_be_read_is_never_replaced() -> None:
    """The file is refused until `--start` says when it was."""
    with pytest.raises(Unreadable, match="its start 'noon' is not a time"):
        _run(status="done", started_at="noon")
