"""What each family publishes in the benchmarks: the same for a seed, padded to a size, in an agent's own order."""

import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, repeat
from typing import Any

from bench.events import AGENTS, TENANTS, extractions
from contracts.event_type import Family

Json = dict[str, Any]
Tell = Callable[[str, str, Json], Json]
SIDE_BY_SIDE = 200  # runs or exceptions that go on at a time, their events mixed
STEP = timedelta(milliseconds=10)
NODES, ASSERTIONS, FILES, STAGES = 10, 3, 2, 3  # of each run
EVENTS_ABOUT_ONE = 10  # of each exception


def executions(count: int, seed: int = 1) -> Iterator[Json]:
    """Runs with their nodes, stages, assertions and files: 20 events each."""
    return islice(_mixed(_run, count, seed), count)


def exceptions(count: int, seed: int = 1) -> Iterator[Json]:
    """Exceptions with ten events each, every one of which changes fields of it."""
    return islice(_mixed(_exception, count, seed), count)


def mix(count: int, seed: int = 1) -> Iterator[Json]:
    """A third of each family, in turn."""
    each = count // 3 + 1
    turns = zip(extractions(each, seed), executions(each, seed), exceptions(each, seed), strict=True)
    return islice(chain.from_iterable(turns), count)


def duplicated(count: int, seed: int = 1) -> Iterator[Json]:
    """Extractions of which every one comes twice, the second time up to 2,000 events later."""
    draw = random.Random(seed)
    waiting: list[Json] = []
    for event in extractions(count // 2, seed):
        yield event
        waiting.append(event)
        if len(waiting) > 2_000:  # noqa: PLR2004 - as said above
            yield waiting.pop(draw.randrange(len(waiting)))
    yield from waiting


FAMILIES: Mapping[str, Callable[[int], Iterator[Json]]] = {
    "extraction": extractions,
    "execution": executions,
    "exception": exceptions,
    "mix": mix,
    "duplicates": duplicated,
}


def consumed(events: str) -> list[Family]:
    """The families whose consumers a worker needs for such events."""
    return {"mix": list(Family), "duplicates": [Family.extraction]}.get(events) or [Family(events)]


def padded(event: Json, size: int) -> bytes:
    """The event as it is published, its text made longer until the value has `size` bytes (longer ones stay)."""
    short = size - len(json.dumps(event))
    if short > 0:
        data = event["data"]
        name, place = _text_of(event["type"], data)
        event = event | {"data": data | {name: place(short)}}
    return json.dumps(event).encode()


def _text_of(kind: str, data: Json) -> tuple[str, Callable[[int], Any]]:
    """A field of such an event that may be of any length, and its value with so many bytes more."""
    if kind == "siltstone.extraction.recorded.v1":
        return "original_line", lambda more: data["original_line"] + "x" * more
    if kind.startswith("siltstone.exception."):
        return "payload", lambda more: data.get("payload", {}) | {"note": "x" * more}
    if kind == "siltstone.node.executed.v1":
        return "state_snapshot", lambda more: data["state_snapshot"] | {"log": "x" * more}
    if kind == "siltstone.assertion.evaluated.v1":
        return "output_text", lambda more: data.get("output_text", "") + "x" * more
    if kind == "siltstone.file.produced.v1":
        return "storage_path", lambda more: data["storage_path"] + "x" * more
    name = {"run.started": "config_snapshot", "run.progressed": "current_state", "run.finished": "final_state"}[
        kind.removeprefix("siltstone.").removesuffix(".v1")
    ]
    return name, lambda more: data.get(name, {}) | {"log": "x" * more}


def _mixed(make: Callable[[random.Random, Tell], Iterator[Json]], count: int, seed: int) -> Iterator[Json]:
    """The events of many things that go on side by side, ten milliseconds apart, the last of them now."""
    draw = random.Random(seed)
    now = datetime.now(UTC).replace(microsecond=0) - STEP * count

    def tell(noun_verb: str, subject: str, data: Json) -> Json:
        agent = draw.randrange(AGENTS)
        return {
            "specversion": "1.0",
            "id": str(uuid.UUID(int=draw.getrandbits(128))),
            "source": f"/agents/a{agent}",
            "type": f"siltstone.{noun_verb}.v1",
            "time": now.isoformat(timespec="microseconds"),
            "subject": subject,
            "tenantid": f"tenant-{int(subject.rpartition('-')[2], 16) % TENANTS}",
            "datacontenttype": "application/json",
            "data": data,
        }

    scripts = [make(draw, tell) for _ in range(SIDE_BY_SIDE)]
    for _ in repeat(None):
        at = draw.randrange(SIDE_BY_SIDE)
        event = next(scripts[at], None)
        if event is None:
            scripts[at] = make(draw, tell)
            continue
        now += STEP
        yield event


def _run(draw: random.Random, tell: Tell) -> Iterator[Json]:
    run = f"run-{draw.getrandbits(48):x}"
    config = {"temperature": 0.2, "tools": ["search", "edit"], "limit": 50}
    yield tell(
        "run.started",
        run,
        {
            "kind": "graph",
            "definition_id": f"graph-{draw.randrange(40)}",
            "provider": "anthropic",
            "model": "model-1",
            "config_snapshot": config,
            "initial_state": {"question": "x" * 80},
        },
    )
    for node in range(NODES):
        if node % (NODES // STAGES + 1) == 0:
            stage = {"current_stage": f"stage-{node}", "progress_percent": node * 10, "status": "running"}
            yield tell("run.progressed", run, stage | {"current_state": {"at": node}})
        yield tell(
            "node.executed",
            run,
            {
                "node_name": f"node-{node}",
                "status": "completed",
                "iteration": node,
                "duration_ms": draw.randrange(5_000),
                "state_snapshot": {"messages": ["x" * 60], "step": node},
            },
        )
    for number in range(ASSERTIONS):
        value = {
            "assertion_type": "contains",
            "passed": number != 1,
            "assertion_value": "yes",
            "actual_value": "x" * 80,
        }
        yield tell("assertion.evaluated", run, value)
    for number in range(FILES):
        path = f"runs/{run}/out-{number}.txt"
        yield tell("file.produced", run, {"filename": f"out-{number}.txt", "size_bytes": 1000, "storage_path": path})
    result = {"tokens_input": draw.randrange(9_000), "tokens_output": draw.randrange(900), "cost_usd": "0.0123"}
    done = {"status": "completed", "duration_ms": 9_000, "final_state": {"answer": "x" * 80}, "progress_percent": 100}
    yield tell("run.finished", run, done | result)


def _exception(draw: random.Random, tell: Tell) -> Iterator[Json]:
    subject = f"exception-{draw.getrandbits(48):x}"
    new = {
        "domain": draw.choice(("finance", "trade", "care")),
        "type": "SettlementFail",
        "severity": "high",
        "source_system": "ledger",
        "entity": f"account-{draw.randrange(5_000)}",
        "amount": "1250.75",
    }
    actor = {"actor_type": "agent", "actor_id": "triage"}
    yield tell("exception.created", subject, actor | {"set": new, "payload": {"text": "x" * 120}})
    verbs = ("normalized", "triage_completed", "policy_evaluated", "resolution_suggested", "updated")
    for number in range(EVENTS_ABOUT_ONE - 2):
        change = {"current_step": number, "owner": f"team-{number % 3}"}
        yield tell(
            f"exception.{verbs[number % len(verbs)]}",
            subject,
            actor | {"set": change, "payload": {"confidence": 0.9, "reason": "x" * 120}},
        )
    yield tell("exception.updated", subject, actor | {"set": {"status": "resolved"}, "payload": {"by": "rule 7"}})
