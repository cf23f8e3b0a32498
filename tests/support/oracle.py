"""What the states must be, said a second time: events sorted by their order, applied one after the other.

It reads the events' JSON and uses nothing of the merge: slow, and plain enough to be checked by eye.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from contracts.event import event_uid

# What an event implies, from the contract's own words: the state's column to its value, "time" for the event's.
IMPLIED: Mapping[str, Mapping[str, Any]] = {
    "session.started": {"state": "started", "started_at": "time", "ended_at": None, "exit_code": None},
    "session.completed": {"state": "completed", "ended_at": "time"},
    "run.started": {
        "status": "running", "started_at": "time", "completed_at": None, "error_message": None, "error_info": None,
    },
    "run.finished": {"completed_at": "time"},
    "definition.saved": {"is_active": True},
    "definition.deactivated": {"is_active": False},
    "exception.created": {"status": "open"},
}  # fmt: skip
COUNTS: Mapping[str, str] = {
    "definition.saved": "revisions",
    "definition.updated": "revisions",
    "extraction.recorded": "extractions",
    "code_block.captured": "code_blocks",
    "node.executed": "nodes",
    "assertion.evaluated": "assertions",
    "file.produced": "files",
}
ONLY_LOGGED = {"extraction.recorded", "code_block.captured", "node.executed", "assertion.evaluated", "file.produced"}
FIRST = {"session.started", "run.started", "definition.saved", "exception.created"}
LAST = {"session.completed", "run.finished", "definition.deactivated"}
LAST |= {"session.deleted", "run.deleted", "definition.deleted"}
RENAMED = {"total_extraction_events": "reported_extraction_events"}
REPLACED = {"kind", "name", "spec", "description", "spec_yaml", "canvas_state", "provider", "model", "version"}
STATES = {"session": "session", "extraction": "session", "code_block": "session", "definition": "definition"}
STATES |= {"run": "run", "node": "run", "assertion": "run", "file": "run", "exception": "exception"}

Rows = dict[tuple[str, str], dict[str, Any]]
"""(Table, key) to what is known of the row: a column that is not there is null, or 0."""


def noun_verb(one: Mapping[str, Any]) -> str:
    """`session.started` of the event's type."""
    return str(one["type"]).removeprefix("siltstone.").removesuffix(".v1")


def place(one: Mapping[str, Any]) -> tuple[int, bool, bytes, int, bytes]:
    """The event's place in the order: time, sequence with missing first, rank, uid."""
    time = datetime.fromisoformat(one["time"])
    time_us = int(time.replace(microsecond=0).timestamp()) * 1_000_000 + time.microsecond
    rank = 0 if noun_verb(one) in FIRST else 2 if noun_verb(one) in LAST else 1
    sequence = one.get("sequence")
    uid = event_uid(time_us, one["tenantid"], one["source"], one["id"])
    return time_us, sequence is not None, (sequence or "").encode(), rank, uid


def states_of(events: Iterable[Mapping[str, Any]]) -> Rows:
    """Every state row that a set of events makes; repeats of an identity count once."""
    rows: Rows = {}
    named: set[tuple[str, str]] = set()  # sessions whose agent_name an event of their own has set
    distinct = {(e["tenantid"], e["source"], e["id"], e["time"]): e for e in events}
    for one in sorted(distinct.values(), key=place):
        verb, time = noun_verb(one), datetime.fromisoformat(one["time"])
        key = (STATES[verb.partition(".")[0]], str(one["subject"]))
        row = rows.setdefault(key, {})
        row["events"] = row.get("events", 0) + 1
        row["created_at"] = min(row.get("created_at", time), time)
        row["updated_at"] = max(row.get("updated_at", time), time)
        if verb in COUNTS:
            row[COUNTS[verb]] = row.get(COUNTS[verb], 0) + 1
        if verb.endswith(".deleted"):
            row["deleted_at"] = min(row.get("deleted_at", time), time)
        row.update({column: time if value == "time" else value for column, value in IMPLIED.get(verb, {}).items()})
        if verb == "definition.saved":
            row.update(dict.fromkeys(REPLACED))
        data = one["data"]
        if verb in ONLY_LOGGED:
            if "agent_name" in data and key not in named:
                row["agent_name"] = data["agent_name"]
        else:
            carried = (data.get("set") or {}) if verb.startswith("exception.") else data
            row.update({RENAMED.get(name, name): value for name, value in carried.items()})
            if "agent_name" in carried:
                named.add(key)
        if verb == "code_block.captured":
            _capture(rows, data, time)
    return rows


def _capture(rows: Rows, data: Mapping[str, Any], time: datetime) -> None:
    digest = hashlib.sha256(data["content"].encode()).hexdigest()
    block = rows.setdefault(("code_block", digest), {})
    block.update({name: data[name] for name in ("content", "language", "parseable") if name in data})
    block["occurrences"] = block.get("occurrences", 0) + 1
    block["first_seen_at"] = min(block.get("first_seen_at", time), time)
    block["last_seen_at"] = max(block.get("last_seen_at", time), time)
