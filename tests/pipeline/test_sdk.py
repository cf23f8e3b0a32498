"""Programs with the SDK in them, as their users run them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.installation import Installation
from tests.support.waiting import until

DEAD = "127.0.0.1:9"  # a port that nobody listens on
WHOLE = """
import siltstone
with siltstone.session("bot", id="s-1") as s:
    for number in range(100):
        s.extraction(event_type="tool", pattern="p", line_number=number)
    s.code_block("print(1)", language="python")
with siltstone.run(kind="graph", id="r-1", model="m") as r:
    with r.node("plan"):
        pass
    r.assertion("contains", passed=True)
    r.result = {"cost_usd": 0.25}
siltstone.exception(domain="d", type="t", severity="high", source_system="x", id="e-1").update(status="resolved")
"""
FORKS = """
import multiprocessing, os, sys
import siltstone
siltstone.configure(tenant="acme")
def work(number):
    siltstone.current_session().extraction(event_type="tool", pattern="pool", line_number=number)
with siltstone.session("bot", id="s-1") as s:
    s.extraction(event_type="tool", pattern="before")
    child = os.fork()
    if child == 0:
        s.extraction(event_type="tool", pattern="forked")
        siltstone.flush()
        os._exit(0)
    os.waitpid(child, 0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(work, range(8))
        pool.close()
        pool.join()
    s.extraction(event_type="tool", pattern="parent")
"""
TAKEN_BACK = """
import time
import siltstone
from siltstone import _flight, _worker
_worker.STALLED_SECONDS = _worker.FULL_SECONDS = -1.0  # whatever is not acknowledged at once is taken back
_worker.RETRY_SECONDS = 0.002
recall, recalls = _flight.Flight.recall, []
_flight.Flight.recall = lambda flight: (recalls.append(1), recall(flight))[1]
siltstone.configure(kafka={"linger.ms": 0})
session = siltstone.session("bot", id="s-1")
for number in range(3_000):
    session.extraction(event_type="tool", pattern="p", line_number=number)
    if number % 100 == 0:
        time.sleep(0.1)
assert siltstone.flush(20)
assert len(recalls) > 5, len(recalls)
"""
OTEL = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from siltstone.otel import SiltstoneSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SiltstoneSpanProcessor())
with provider.get_tracer("t").start_as_current_span("agent"):
    with provider.get_tracer("t").start_as_current_span("chat") as span:
        span.set_attributes({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 12})
"""


def _environment(installation: Installation) -> dict[str, str]:
    own = {"SILTSTONE_SPOOL_FOLDER": str(installation.folder / "spool"), "SILTSTONE_TENANT": "acme"}
    return os.environ | installation.environment | own


def _run(installation: Installation, script: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """A program to its end; it must end well."""
    own = _environment(installation) | changes
    done = subprocess.run([sys.executable, "-c", script], env=own, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def _command(installation: Installation, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "siltstone", name],
        env=_environment(installation),
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
    )


def _start(installation: Installation, script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script], env=_environment(installation), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _pytest(installation: Installation, folder: Path, *arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=folder, env=_environment(installation), capture_output=True, check=False
    ).returncode


async def _ready(installation: Installation) -> None:
    await installation.create_topics()
    await installation.worker().ready()


async def _whole(installation: Installation, times: int = 1) -> None:
    """Everything of WHOLE is stored, once for each time that it ran."""

    async def stored() -> bool:
        events = await installation.value(
            "SELECT sum(events)::int FROM (SELECT events FROM session UNION ALL SELECT events FROM run "
            "UNION ALL SELECT events FROM exception) AS all_of_them"
        )
        return bool(events == 109 * times)

    await until("all events are stored", stored, 90)
    [session] = await installation.fetch("SELECT state, extractions::int, code_blocks::int, exit_code FROM session")
    assert tuple(session.values()) == ("completed", 100 * times, times, 0)
    [run] = await installation.fetch("SELECT status, nodes::int, assertions::int, cost_usd::text, model FROM run")
    assert tuple(run.values()) == ("completed", times, times, "0.25", "m")
    assert await installation.value("SELECT status FROM exception") == "resolved"
    assert await installation.value("SELECT count(*) FROM dead_letter") == 0


async def test_a_program_is_recorded_when_it_has_ended(installation: Installation) -> None:
    """Nothing is flushed by hand: the end of the program sends what is queued, once each."""
    await _ready(installation)
    _run(installation, WHOLE)
    await _whole(installation)


async def test_without_a_broker_a_program_runs_and_the_next_one_sends(installation: Installation) -> None:
    """The first program's events are kept in order and sent before the second one's; nothing is lost or doubled."""
    await _ready(installation)
    began = time.monotonic()
    _run(installation, WHOLE, KAFKA_BOOTSTRAP_SERVERS=DEAD)
    assert time.monotonic() - began < 10
    assert await installation.value("SELECT count(*) FROM session") == 0
    _run(installation, WHOLE)
    await _whole(installation, times=2)
    records = await installation.read_all(installation.topic("extraction"))
    of_one_partition = [json.loads(record.value) for record in records if record.key == b"acme/s-1"]
    assert [event["time"] for event in of_one_partition] == sorted(event["time"] for event in of_one_partition)
    assert await installation.value("SELECT count(*) FROM ingest_batch, unnest(duplicate)") == 0


async def test_what_is_taken_back_while_it_is_in_flight_is_stored_once_and_in_order(installation: Installation) -> None:
    """The producer goes on after each time, though the broker may have had what was taken back."""
    await _ready(installation)
    _run(installation, TAKEN_BACK)
    _command(installation, "flush")  # its end waits for Kafka for a moment only, and leaves the rest to this

    async def stored() -> bool:
        return bool(await installation.value("SELECT count(DISTINCT line_number) = 3000 FROM extraction_event"))

    await until("all events are stored", stored, 60)
    assert await installation.value("SELECT count(*)::int FROM extraction_event") == 3_000
    records = await installation.read_all(installation.topic("extraction"))
    numbers = [json.loads(record.value)["data"]["line_number"] for record in records]
    assert list(dict.fromkeys(numbers)) == list(range(3_000))


async def test_what_waits_on_a_machine_is_shown_and_sent_by_a_command(installation: Installation) -> None:
    """`python -m siltstone`; its exit code says whether anything is left."""
    await _ready(installation)
    assert _command(installation, "status").stdout.startswith("no event waits in ")
    _run(installation, WHOLE, KAFKA_BOOTSTRAP_SERVERS=DEAD)
    waiting = _command(installation, "status")
    assert (waiting.returncode, waiting.stdout.startswith("109 events wait in ")) == (0, True)
    sent = _command(installation, "flush")
    assert (sent.returncode, sent.stdout.startswith("0 events wait in ")) == (0, True)
    await _whole(installation)


async def test_forked_children_record_as_their_parent_does(installation: Installation) -> None:
    """With its settings and its handles, whether they end as programs do or as multiprocessing ends them."""
    await _ready(installation)
    _run(installation, FORKS, SILTSTONE_TENANT="")
    expected = ["before", "forked", "parent", *["pool"] * 8]

    async def stored() -> bool:
        found = await installation.value("SELECT array_agg(pattern ORDER BY pattern) FROM extraction_event")
        return bool(found == expected)

    await until(f"{expected} are stored", stored, 60)
    assert await installation.value("SELECT state FROM session") == "completed"


async def test_a_program_that_is_killed_leaves_what_it_had_sent(installation: Installation) -> None:
    """What was flushed is stored, each event once."""
    await _ready(installation)
    script = "from siltstone import _worker\n_worker.STALLED_SECONDS = 60.0\n" + WHOLE
    script += "import time\nassert siltstone.flush(10)\nprint('now', flush=True)\ntime.sleep(60)\n"
    process = _start(installation, script)
    assert process.stdout
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    await _whole(installation)


async def test_an_instrumented_program_is_recorded_by_one_line(installation: Installation) -> None:
    """OpenTelemetry's spans become a run with its model and tokens."""
    await _ready(installation)
    _run(installation, OTEL)

    async def finished() -> list[dict[str, Any]]:
        return await installation.fetch(
            "SELECT model, tokens_input::int, nodes::int FROM run WHERE status = 'completed'"
        )

    [run] = await until("the run is finished", finished)
    assert tuple(run.values()) == ("gpt-4o", 12, 2)


async def test_a_pytest_session_is_recorded_by_one_option(installation: Installation, tmp_path: Path) -> None:
    """Each test is a node of the run."""
    await _ready(installation)
    (tmp_path / "test_a.py").write_text("def test_one(): pass\ndef test_two(): assert False\n")
    assert _pytest(installation, tmp_path, "--siltstone") == 1

    async def finished() -> list[dict[str, Any]]:
        return await installation.fetch("SELECT source, nodes::int, assertions::int FROM run WHERE status = 'failed'")

    [run] = await until("the run is finished", finished)
    assert tuple(run.values()) == ("pytest", 2, 2)
