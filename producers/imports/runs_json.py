"""An older analysis tool's folder of JSON, a file a run: id, stages with status and progress, results, files.

What it is called varies: each member is looked for under the names that are known. Members that have no place are kept
under their own names, in the event's `rest`.
"""

import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from producers.account import Part, Refused, Unplaced, Word
from producers.imports.imported import (
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    MAX_NAME,
    Imported,
    Origin,
    Unreadable,
    json_object,
    of_whole,
    shown,
    timeline,
)
from producers.imports.members import Members
from producers.storable import clean
from producers.timeline import Timeline
from producers.values import count, instant, milliseconds, milliseconds_of_seconds, money, percent

KIND = "runs-json"
_STATUS = {
    "completed": ("complete", "completed", "done", "finished", "ok", "passed", "success", "succeeded"),
    "failed": ("error", "errored", "fail", "failed", "failure", "timeout", "timed_out"),
    "cancelled": ("aborted", "canceled", "cancelled", "killed", "stopped"),
    "running": ("active", "in_progress", "processing", "running", "started"),
    "pending": ("created", "idle", "new", "not_started", "pending", "queued", "waiting"),
    "skipped": ("ignored", "skipped"),
}
STATUSES = {word: status for status, words in _STATUS.items() for word in words}
ID = ("id", "run_id", "job_id", "analysis_id")
STARTED = ("started_at", "start_time", "created_at", "created", "timestamp")
ENDED = ("completed_at", "finished_at", "ended_at", "end_time")
UPDATED = ("updated_at",)
STAGES = ("stages", "steps", "phases")
RESULTS = ("results", "result", "summary", "results_summary")
FILES = ("files", "output_files", "artifacts", "outputs", "produced_files")
ERROR = ("error", "error_message", "failure_reason")
INPUT = ("input_filename", "input_file", "filename", "input")


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """The run of one file. A stage or file that is none is refused. Raises Unreadable for what is no run."""
    found = Imported()
    members = Members(json_object(content, name, "a run"), Part("the run", found.words))
    identity = members.take(*ID)
    if not isinstance(identity, str | int) or isinstance(identity, bool) or identity == "":
        raise Unreadable(f"{name} has no id: one of {', '.join(ID)} is expected")
    try:
        started = members.part.began("start", members.take(*STARTED), origin.start)
    except Unplaced as unplaced:
        raise Unreadable(f"{name}: {unplaced}") from None
    ended = members.read(instant, *ENDED)
    last = ended or members.read(instant, *UPDATED)
    line = timeline(origin, KIND, str(identity), started)
    error = members.part.long_text("error", _plain_text(members.take(*ERROR)), MAX_JSON_BYTES)
    status, why = _status(members, has_ended=ended is not None, has_failed=error is not None)
    stages, files = members.take(*STAGES), members.list(*FILES)
    finish = {
        "results_summary": members.json(MAX_JSON_BYTES, *RESULTS),
        "error_message": error,
        "duration_ms": _duration(members),
        "cost_usd": members.read(money, "cost_usd", "cost"),
    }
    current, progress = members.text(MAX_LABEL, "current_stage", "stage"), members.read(percent, "progress")
    start = {
        "kind": members.text(MAX_LABEL, "kind", "type") or "analysis",
        "source": KIND,
        "external_ref": clean(str(identity))[:MAX_NAME],
        "input_filename": members.text(MAX_NAME, *INPUT),
        "provider": members.text(MAX_LABEL, "provider"),
        "model": members.text(MAX_MODEL, "model"),
        "config_snapshot": members.json(MAX_JSON_BYTES, "config", "parameters", "options"),
    }
    items = _items(stages, members.part)
    _add(line, "run.started", "", start | members.rest(*start))
    _stages(items, line, found.words)
    _files(files, line, found.words)
    if current or progress is not None:
        _move_to(line, last and last - timedelta(milliseconds=1))  # so that what is said later counts
        _add(line, "run.progressed", "", {"current_stage": current, "progress_percent": progress})
    if why:
        found.words.append(Refused("the run's end", why))
    if status in ("completed", "failed", "cancelled"):
        _move_to(line, last)
        _add(line, "run.finished", "", {"status": status, **finish})
    elif any(value is not None for value in finish.values()):
        _add(line, "run.updated", "", finish)
    found.events = line.take()
    return found


read = of_whole(events, "runs-json")


def _add(line: Timeline, noun: str, place: str, data: dict[str, Any]) -> None:
    """An event whose id is made of its content too: the file is written again while the run goes on."""
    line.add(noun, line.run, f"{place}:{sha256(json.dumps(data).encode()).hexdigest()}", data)


def _status(members: Members, *, has_ended: bool, has_failed: bool) -> tuple[str | None, str | None]:
    """A value of STATUSES; or None, and why it is not known. What has an error failed, what ended completed."""
    said = members.take("status", "state")
    if said is not None:
        word = str(said).lower()
        known = STATUSES.get(word)
        return known, None if known else f"its status {clean(word)[:MAX_LABEL]!r} is not known"
    if has_failed or has_ended:
        return "failed" if has_failed else "completed", None
    return None, "it has no status, and nothing else says how it went"


def _duration(members: Members) -> int | None:
    return (
        members.read(milliseconds, "duration_ms")
        if members.left.get("duration_ms") is not None
        else members.read(milliseconds_of_seconds, "duration", "duration_seconds")
    )


def _items(stages: Any, part: Part) -> list[Any]:
    """A list of stages, also of an object that has them by name."""
    if isinstance(stages, dict):
        return [{"name": name, **(s if isinstance(s, dict) else {"status": s})} for name, s in stages.items()]
    if stages is not None and not isinstance(stages, list):
        part.remark("stages", stages, "is not a list of stages")
    return stages if isinstance(stages, list) else []


def _stages(items: list[Any], line: Timeline, words: list[Word]) -> None:
    for place, item in enumerate(items, 1):
        part = Part(f"stage {place}", words)
        stage = Members(item if isinstance(item, dict) else {"name": item}, part)
        name = stage.text(MAX_NAME, "name", "stage", "id", "title")
        began, ended = stage.read(instant, *STARTED), stage.read(instant, *ENDED)
        duration = _duration(stage)
        error = part.long_text("error", _plain_text(stage.take(*ERROR)), MAX_JSON_BYTES)
        said = stage.left.get("status") or stage.left.get("state")
        status, why = _status(stage, has_ended=bool(ended or duration is not None), has_failed=error is not None)
        if name is None or status is None:
            words.append(Refused(part.item, "it has no name" if name is None else str(why)))
            continue
        _move_to(line, began)
        if duration is None and began and ended and ended >= began:
            duration = round((ended - began).total_seconds() * 1000)
        data: dict[str, Any] = {
            "node_name": name,
            "status": "failed" if status == "cancelled" else status,
            "iteration": place,
            "started_at": shown(began),
            "duration_ms": duration,
            "error_message": error,
        }
        if status == "cancelled":  # which is no status of a node
            stage.left["stated_status"] = said
        _add(line, "node.executed", f"{place}", data | stage.rest(*data))


def _files(files: list[Any], line: Timeline, words: list[Word]) -> None:
    for place, item in enumerate(files, 1):
        file = Members(item if isinstance(item, dict) else {"filename": item}, Part(f"file {place}", words))
        filename = file.text(MAX_NAME, "filename", "name", "path")
        if filename is None:
            words.append(Refused(f"file {place}", "it has no name"))
            continue
        data: dict[str, Any] = {
            "filename": filename,
            "file_type": file.text(MAX_NAME, "file_type", "type", "mime_type", "content_type"),
            "size_bytes": file.read(count, "size_bytes", "size"),
            "storage_path": file.text(MAX_JSON_BYTES, "storage_path", "path", "url"),
        }
        _add(line, "file.produced", f"{place}", data | file.rest(*data))


def _move_to(line: Timeline, moment: datetime | None) -> None:
    """Go on to a moment; never back."""
    if moment:
        line.now_ms += max(0, round((moment - line.moment()).total_seconds() * 1000))


def _plain_text(value: Any) -> str | None:
    """An error's text, also where it is an object that has one; other JSON as it is written."""
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        value = value["message"]
    if value is None or value is False:
        return None
    return clean(value if isinstance(value, str) else json.dumps(value, default=str))
