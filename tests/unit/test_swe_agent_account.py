"""Every part of a trajectory is stored or named; and mini-swe-agent's are read as SWE-agent's."""

import json

import pytest

from producers.account import LeftOut, Remark
from producers.imports import swe_agent
from producers.imports.imported import Unreadable
from tests.support.imported import case, of, read


def test_mini_swe_agent() -> None:
    """Its answers are steps, the command in one is its action; `Submitted` is success."""
    found = case(swe_agent.read, "swe-agent/mini-swe-agent.traj.json")
    [started], [node], [finished] = (of(found, noun) for noun in ("session.started", "node.executed", "run.finished"))
    assert (started["agent_name"], node["node_name"]) == ("mini-swe-agent", "ls")
    assert (finished["status"], finished["cost_usd"]) == ("completed", "0.01")
    [tool] = of(found, "extraction.recorded")
    assert tool["metadata"]["observation"] == "a.py"
    assert of(found, "session.completed")[0]["exit_code"] == 0
    assert found.words == [LeftOut("prompts of the run", 2)]


def test_mini_swe_agent_with_calls_of_tools() -> None:
    """A command in a call, another fence, problem and model by their own names; a limit is a failure."""
    found = case(swe_agent.read, "swe-agent/mini-tool-calls.traj.json")
    assert [node["node_name"] for node in of(found, "node.executed")] == ["ls", "python"]
    [run], [finished] = of(found, "run.started"), of(found, "run.finished")
    assert (run["model"], run["external_ref"], finished["status"]) == ("m-1", "area-1", "failed")
    assert [data["set"]["type"] for data in of(found, "exception.created")] == ["LimitsExceeded"]


def test_what_is_awkward_is_said() -> None:
    """Numbers, members and parts that no event is made of; texts of numbers are numbers."""
    found = case(swe_agent.read, "swe-agent/awkward.traj")
    remarks = {(word.item, word.name) for word in found.words if isinstance(word, Remark)}
    assert remarks == {
        ("step 1", "execution_time"),
        ("step 2", "execution_time"),
        *(("the run", name) for name in ("environment", "instance_cost", "replay_config", "tokens_received")),
    }
    assert {word for word in found.words if isinstance(word, LeftOut)} == {
        LeftOut("query of steps"),
        LeftOut("parts of messages that are not text"),
        LeftOut("history of the run", 2),
        LeftOut("attempts of the run"),
    }
    [finished] = of(found, "run.finished")
    assert (finished["tokens_input"], finished["results_summary"]["reasoning_tokens"]) == (12, 9)
    assert finished["not_understood"]["instance_cost"] == "free"
    assert of(found, "node.executed")[0]["not_understood"] == {"execution_time": "soon"}


def test_no_exit_status() -> None:
    """The session has no exit code: nobody stated one."""
    found = case(swe_agent.read, "swe-agent/no-exit-status.traj")
    assert of(found, "session.completed") == []
    [ended] = of(found, "session.updated")
    assert (ended["state"], "exit_code" in ended) == ("ended", False)


def test_a_conversation_of_another_agent_is_no_trajectory() -> None:
    """Messages alone do not say how a run ended."""
    file = {"messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(Unreadable, match="it has no `trajectory`"):
        read(swe_agent.read, json.dumps(file).encode())


def test_what_is_cut_is_said() -> None:
    """Names to their columns, states and submissions to what an event holds."""
    file = {
        "trajectory": [{"action": "ls", "state": {"a": "x" * 100_000}}],
        "environment": "e" * 300,
        "info": {"exit_status": "submitted", "submission": "s" * 300_000},
        "replay_config": {"agent": {"model": {"name": "m" * 200}}},
    }
    found = read(swe_agent.read, json.dumps(file).encode())
    assert {(word.item, word.name) for word in found.words if isinstance(word, Remark)} == {
        ("step 1", "state"), ("the run", "environment"), ("the run", "submission"), ("the run", "model")
    }  # fmt: skip
    assert len(of(found, "session.started")[0]["environment"]) == 255
