"""A test session as one run: `pytest --siltstone`, with nothing to write. Each test is a node and an assertion."""

import platform
import time
from collections.abc import Sequence
from typing import Any

import pytest

from siltstone._client import NotConfigured, client
from siltstone._handles import Run, run

FLUSH_SECONDS = 3.0  # a broker that is away is known by then
MAX_TEXT_CHARACTERS = 64 * 1024
STATUSES = {"passed": "completed", "xpassed": "completed", "skipped": "skipped", "xfailed": "skipped"}
UNEXPECTED = {"skipped": "xfailed", "passed": "xpassed"}  # outcomes of a test that was to fail; with strict it failed
AROUND = ("collect", "setup", "teardown")  # else a test was called, or its process ended meanwhile: xdist's "???"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--siltstone`, or `siltstone = true` in the ini file."""
    group = parser.getgroup("siltstone", "the durable record")
    group.addoption("--siltstone", action="store_true", default=False, help="Record this session as a run.")
    parser.addini("siltstone", "Record every session as a run.", type="bool", default=False)


@pytest.hookimpl(trylast=True)  # a conftest.py may call siltstone.configure() in the same hook
def pytest_configure(config: pytest.Config) -> None:
    """Record in the process that reports: under xdist, the first. `--collect-only` runs nothing."""
    wanted = config.getoption("--siltstone") or config.getini("siltstone")
    if not wanted or config.getoption("collectonly") or hasattr(config, "workerinput"):
        return
    try:
        client()
    except NotConfigured as error:
        raise pytest.UsageError(f"--siltstone: {error} (in conftest.py)") from error
    config.pluginmanager.register(Recorder(config), "siltstone-recorder")


class Recorder:
    """The run of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._run: Run | None = None
        self._began = time.time()
        self._tally: dict[str, int] = {}
        self._is_cancelled = False
        self._waiting: set[str] = set()  # of tests that were collected and not recorded

    def pytest_sessionstart(self) -> None:
        """The run begins."""
        config = {
            "args": [str(argument) for argument in self._config.invocation_params.args],
            "python": platform.python_version(),
            "pytest": pytest.__version__,
        }
        self._run = run(
            kind="test", source="pytest", external_ref=str(self._config.rootpath)[-640:], config_snapshot=config
        )
        self._run.__enter__()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Tests that `-k`, `-m` and the like leave out are counted."""
        self._count("deselected", len(items))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Those that will run, unless something ends the session before."""
        self._waiting = {item.nodeid for item in session.items}

    @pytest.hookimpl(trylast=True)  # the report of a test with failed subtests becomes a failure while it is shown
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test was called, or ended before: one node, and an assertion unless it was skipped or is run again."""
        is_last_word = report.when not in AROUND or (report.when == "setup" and report.outcome != "passed")
        is_late_error = report.when == "teardown" and report.failed
        if is_last_word or is_late_error:
            self._record(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """What cannot be collected is an error like that of a test, what is skipped as a whole like a test."""
        if not report.passed:
            self._record(report)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C, or pytest.exit(); pytest's own interruptions, as by what it cannot collect, are of other types."""
        self._is_cancelled = excinfo.type in (KeyboardInterrupt, pytest.exit.Exception)

    def _record(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if self._run is None:
            return
        expected = getattr(report, "wasxfail", None)  # why it was to fail, where it was
        outcome = "error" if report.failed and report.when in AROUND else str(report.outcome)
        if expected is not None and outcome in UNEXPECTED:
            outcome = UNEXPECTED[outcome]
        self._count(outcome)
        self._waiting.discard(report.nodeid)
        status = STATUSES.get(outcome, "failed")
        said = report.longreprtext[-MAX_TEXT_CHARACTERS:] or None
        reason = expected if expected is not None else _skipped(report) if outcome == "skipped" else None
        kept = {
            "reason": reason,
            "properties": [[name, value] for name, value in getattr(report, "user_properties", ())],
            "stderr": report.capstderr[-MAX_TEXT_CHARACTERS:],
            "log": report.caplog[-MAX_TEXT_CHARACTERS:],
        }
        data: dict[str, Any] = {
            "status": status,
            "duration_ms": round(getattr(report, "duration", 0) * 1000),
            "iteration": getattr(report, "rerun", None),
            "state_snapshot": {name: value for name, value in kept.items() if value} or None,
            "error_message": said if status == "failed" else None,
        }
        name = report.nodeid + _of_a_subtest(report)
        with self._run.node(name, **data):
            pass
        if outcome not in ("skipped", "xfailed", "rerun"):
            self._run.assertion(
                "test",
                passed=status == "completed",
                assertion_value={"nodeid": name, "when": report.when},
                failure_reason=said if status == "failed" else None,
                output_text=report.capstdout[-MAX_TEXT_CHARACTERS:] or None,
            )

    def _count(self, outcome: str, number: int = 1) -> None:
        self._tally[outcome] = self._tally.get(outcome, 0) + number

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The run ends, completed when every test passed."""
        if self._run is None:
            return
        if self._waiting:
            self._count("not run", len(self._waiting))
        passed = int(exitstatus) in (0, 5)  # 5: there was no test
        status = "cancelled" if self._is_cancelled else "completed" if passed else "failed"
        self._run.result = {"status": status, "results_summary": self._tally}
        if not passed:
            self._run.result["error_message"] = f"pytest ended with {int(exitstatus)}"
        self._run.__exit__(None, None, None)
        self._run._client.transport.flush(FLUSH_SECONDS)  # noqa: SLF001 - the package's own


def _of_a_subtest(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What tells it from the test that it is in; nothing for a test."""
    if report.head_line is None or report.location is None:
        return ""
    return report.head_line.removeprefix(report.location[2])


def _skipped(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Why it was skipped; pytest says it with its place."""
    if not isinstance(report.longrepr, tuple):
        return None
    return str(report.longrepr[2]).removeprefix("Skipped: ")[:MAX_TEXT_CHARACTERS]
