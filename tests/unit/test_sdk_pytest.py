"""What `pytest --siltstone` records around a test: why it did not run, what it said, what was left out."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.unit.test_sdk import CONFTEST, PYTEST

TESTS = """
import logging, sys, pytest

@pytest.mark.skip(reason="not today")
def test_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_xfailed(): assert 0

@pytest.mark.xfail(reason="known")
def test_xpassed(): pass

@pytest.mark.xfail(reason="known", strict=True)
def test_strict(): pass

def test_says(record_property):
    record_property("ticket", "A-1")
    record_property("ticket", "A-2")
    print("to stderr", file=sys.stderr)
    logging.getLogger("a").warning("logged")

@pytest.fixture
def broken():
    yield
    raise OSError("torn down")

def test_fails_twice(broken): assert 1 == 2

def test_other(): pass
"""


def recorded(folder: Path, *arguments: str) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """The nodes of a session by their test's name, and what its run ended with."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_a.py").write_text(TESTS)
    subprocess.run([*PYTEST, "--siltstone", *arguments], cwd=folder, capture_output=True, check=False)
    events = [json.loads(line) for line in (folder / "kept").read_text().splitlines()]
    nodes: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if "node" in event["type"]:
            nodes.setdefault(event["data"]["node_name"].rpartition("::")[2], []).append(event["data"])
    return nodes, events[-1]["data"]


def test_a_collection_alone_records_nothing(tmp_path: Path) -> None:
    """It runs no test, so there is no run."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text(TESTS)
    done = subprocess.run([*PYTEST, "--siltstone", "--collect-only"], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, (tmp_path / "kept").exists()) == (0, False), done.stdout


def test_why_a_test_did_not_count_is_kept(tmp_path: Path) -> None:
    """A skip's reason, a failure that was expected and one that did not come, each counted for itself."""
    nodes, finished = recorded(tmp_path, "-k", "skipped or xfailed or xpassed or strict")
    found = {name: (node["status"], node.get("state_snapshot")) for name, [node] in nodes.items()}
    assert found == {
        "test_skipped": ("skipped", {"reason": "not today"}),
        "test_xfailed": ("skipped", {"reason": "known"}),
        "test_xpassed": ("completed", {"reason": "known"}),
        "test_strict": ("failed", None),
    }
    assert "[XPASS(strict)] known" in nodes["test_strict"][0]["error_message"]
    assert finished["results_summary"] == {"deselected": 3, "skipped": 1, "xfailed": 1, "xpassed": 1, "failed": 1}


def test_what_a_test_says_of_itself_is_kept(tmp_path: Path) -> None:
    """Its properties, also two of one name, its standard error and its log."""
    [node] = recorded(tmp_path, "-k", "says")[0]["test_says"]
    kept = node["state_snapshot"]
    assert kept["properties"] == [["ticket", "A-1"], ["ticket", "A-2"]]
    assert kept["stderr"] == "to stderr\n"
    assert "WARNING" in kept["log"]
    assert "logged" in kept["log"]


def test_every_failure_of_a_test_is_a_node(tmp_path: Path) -> None:
    """Its own, and that of what is torn down behind it."""
    nodes, finished = recorded(tmp_path, "-k", "twice")
    called, torn_down = nodes["test_fails_twice"]
    assert "assert 1 == 2" in called["error_message"]
    assert "torn down" in torn_down["error_message"]
    assert finished["results_summary"] == {"deselected": 6, "failed": 1, "error": 1}


def test_tests_that_were_not_run_are_counted(tmp_path: Path) -> None:
    """After the first failure with -x."""
    _, finished = recorded(tmp_path, "-x", "-k", "twice or other")
    assert finished["results_summary"]["not run"] == 1
    assert finished["status"] == "failed"
