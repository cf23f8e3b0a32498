"""Whole reports in the manner of a dozen reporters: what each case became, how the run ended, and what is said."""

from typing import NamedTuple

import pytest

from producers.imports import junit
from tests.support.imported import CASES, case, of, said


class Report(NamedTuple):
    """Statuses of the nodes in order (c, f or s), status and duration of the last run, and what is said."""

    nodes: str
    status: str
    duration_ms: int | None
    words: list[str]


REPORTS = {
    "behave": Report("cfss", "failed", 1204, []),
    "catch2": Report("cf", "failed", 4, ["suite tests.exe: it states 7 tests, and 2 were found in it"]),
    "ctest": Report("cfsss", "failed", 3000, []),
    "dotnet": Report("cfsc", "failed", 1204, []),
    "exunit": Report("cfs", "failed", 34, []),
    "nextest": Report("cfc", "failed", None, []),
    "phpunit": Report("cffs", "failed", 31, []),
    "playwright": Report("cfsc", "failed", 11201, []),
    "robot": Report("cfs", "failed", 4300, []),
    "rspec": Report("cfs", "failed", 13, []),
    "swift": Report("cfc", "failed", 18, []),
    "tap": Report("cfc", "failed", 71, []),
}


def test_each_report_is_known_here() -> None:
    """The folder holds these and no other."""
    assert sorted(path.stem for path in (CASES / "junit" / "reporters").iterdir()) == sorted(REPORTS)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_becomes_what_a_reader_sees_in_it(name: str) -> None:
    """Read by eye; Catch2 counts assertions as tests, and that is said."""
    found = case(junit.read, f"junit/reporters/{name}.xml")
    nodes = "".join(node["status"][0] for node in of(found, "node.executed"))
    finished = of(found, "run.finished")[-1]
    assert Report(nodes, finished["status"], finished.get("duration_ms"), said(found)) == REPORTS[name]


def test_what_stands_around_a_suite_is_kept_with_it() -> None:
    """The id and the time of a whole run, of which there is no event."""
    [config] = [r["config_snapshot"] for r in of(case(junit.read, "junit/reporters/nextest.xml"), "run.started")]
    assert config["within"][0]["uuid"] == "8d2f1c1e-3e4b-4b3f-9d0a-0d6f1c3b7a55"


def test_a_plan_that_was_not_kept_fails_the_run() -> None:
    """TAP's reporter says it in an error of the suite, behind its output."""
    [finished] = of(case(junit.read, "junit/reporters/tap.xml"), "run.finished")
    assert finished["error_message"] == "Bad plan. You planned 4 tests but ran 3.\n\n1 failed, 0 with errors"


def test_a_message_that_its_text_begins_with_is_said_once() -> None:
    """As Rust's reporters write both."""
    [failed] = [
        n for n in of(case(junit.read, "junit/reporters/nextest.xml"), "node.executed") if n["status"] == "failed"
    ]
    assert failed["error_message"].count("panicked at") == 1
    assert failed["state_snapshot"]["attempts"][0]["system-err"] == "note: run with `RUST_BACKTRACE=1`"
