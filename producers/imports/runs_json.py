"""An older analysis tool's folder of JSON, a file a run: id, stages with status and progress, results, files.

What it is called varies: each member is looked for under the names that are known. Members that have no place are kept
under their own names, in the event's `rest`.
"""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from producers.imports.imported import (
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    MAX_NAME,
    Imported,
    Origin,
    Refused,
    Unreadable,
    count,
    instant,
    json_object,
    milliseconds,
    money,
    of_whole,
    shown,
    text,
    timeline,
)
from producers.storable import clean, storable
from producers.timeline import Timeline

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
ENDED = ("completed_at", "finished_at", "ended_at", "end_time", "updated_at")
STAGES = ("stages", "steps", "phases")
RESULTS = ("results", "result", "summary", "results_summary")
FILES = ("files", "output_files", "artifacts", "outputs", "produced_files")
ERROR = ("error", "error_message", "failure_reason")
INPUT = ("input_filename", "input_file", "filename", "input")


class Members:
    """The members of one JSON object, taken one by one; `left` are those that nobody took."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.left = dict(members)

    def take(self, *names: str) -> Any:
        """The first of these that is there and not null; the others stay."""
        for name in names:
            if self.left.get(name) is not None:
                return self.left.pop(name)
        return None

    def rest(self) -> dict[str, Any]:
        """What is left, under names that are no field's."""
        return {clean(name)[:MAX_NAME]: storable(value, MAX_JSON_BYTES // 4) for name, value in self.left.items()}


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """The run of one file. A stage or file that is none is refused. Raises Unreadable for what is no run."""
    members = Members(json_object(content, name, "a run"))
    identity = members.take(*ID)
    if not isinstance(identity, str | int) or isinstance(identity, bool) or identity == "":
        raise Unreadable(f"{name} has no id: one of {', '.join(ID)} is expected")
    started, ended = instant(members.take(*STARTED)), instant(members.take(*ENDED))
    line, found = timeline(origin, KIND, str(identity), started), Imported()
    status = _status(members)
    stages, files = members.take(*STAGES), members.take(*FILES)
    finish = {
        "results_summary": storable(members.take(*RESULTS), MAX_JSON_BYTES),
        "error_message": text(_plain_text(members.take(*ERROR)), MAX_JSON_BYTES),
        "duration_ms": count(members.take("duration_ms")) or milliseconds(members.take("duration", "duration_seconds")),
        "cost_usd": money(members.take("cost_usd", "cost")),
    }
    current, progress = text(members.take("current_stage", "stage"), MAX_LABEL), _percent(members.take("progress"))
    start = {
        "kind": text(members.take("kind", "type"), MAX_LABEL) or "analysis",
        "source": KIND,
        "external_ref": clean(str(identity))[:MAX_NAME],
        "input_filename": text(members.take(*INPUT), MAX_NAME),
        "provider": text(members.take("provider"), MAX_LABEL),
        "model": text(members.take("model"), MAX_MODEL),
        "config_snapshot": storable(members.take("config", "parameters", "options"), MAX_JSON_BYTES),
    }
    _add(line, "run.started", "", start | {k: v for k, v in members.rest().items() if k not in start})
    _stages(stages, line, found)
    _files(files, line, found)
    if current or progress is not None:
        _move_to(line, ended and ended - timedelta(milliseconds=1))  # so that what is said later counts
        _add(line, "run.progressed", "", {"current_stage": current, "progress_percent": progress})
    if status not in STATUSES.values():
        found.refused.append(Refused("the run's end", f"its status {status!r} is not known"))
    if status in ("completed", "failed", "cancelled"):
        _move_to(line, ended)
        _add(line, "run.finished", "", {"status": status, **finish})
    elif any(value is not None for value in finish.values()):
        _add(line, "run.updated", "", finish)
    found.events = line.take()
    return found


read = of_whole(events)


def _add(line: Timeline, noun: str, place: str, data: dict[str, Any]) -> None:
    """An event whose id is made of its content too: the file is written again while the run goes on."""
    line.add(noun, line.run, f"{place}:{sha256(json.dumps(data).encode()).hexdigest()}", data)


def _status(members: Members) -> str:
    """One of the values of STATUSES, else what is said; what says nothing is completed."""
    said = str(members.take("status", "state") or "completed").lower()
    return STATUSES.get(said, clean(said)[:MAX_LABEL])


def _stages(stages: Any, line: Timeline, found: Imported) -> None:
    """A list of stages, or an object of them by name."""
    items = (
        [{"name": name, **(s if isinstance(s, dict) else {"status": s})} for name, s in stages.items()]
        if isinstance(stages, dict)
        else stages
    )
    for place, item in enumerate(items if isinstance(items, list) else [], 1):
        stage = Members(item if isinstance(item, dict) else {"name": item})
        name = text(stage.take("name", "stage", "id", "title"), MAX_NAME)
        status = _status(stage)
        if name is None or status not in STATUSES.values():
            reason = "it has no name" if name is None else f"its status {status!r} is not known"
            found.refused.append(Refused(f"stage {place}", reason))
            continue
        began, ended = instant(stage.take(*STARTED)), instant(stage.take(*ENDED))
        _move_to(line, began)
        duration = count(stage.take("duration_ms")) or milliseconds(stage.take("duration", "duration_seconds"))
        if duration is None and began and ended and ended >= began:
            duration = round((ended - began).total_seconds() * 1000)
        data: dict[str, Any] = {
            "node_name": name,
            "status": "failed" if status == "cancelled" else status,
            "iteration": place,
            "started_at": shown(began),
            "duration_ms": duration,
            "error_message": text(_plain_text(stage.take(*ERROR)), MAX_JSON_BYTES),
        }
        _add(line, "node.executed", f"{place}", data | {k: v for k, v in stage.rest().items() if k not in data})


def _files(files: Any, line: Timeline, found: Imported) -> None:
    for place, item in enumerate(files if isinstance(files, list) else [], 1):
        file = Members(item if isinstance(item, dict) else {"filename": item})
        filename = text(file.take("filename", "name", "path"), MAX_NAME)
        if filename is None:
            found.refused.append(Refused(f"file {place}", "it has no name"))
            continue
        data: dict[str, Any] = {
            "filename": filename,
            "file_type": text(file.take("file_type", "type", "mime_type", "content_type"), MAX_NAME),
            "size_bytes": count(file.take("size_bytes", "size")),
            "storage_path": text(file.take("storage_path", "path", "url"), MAX_JSON_BYTES),
        }
        _add(line, "file.produced", f"{place}", data | {k: v for k, v in file.rest().items() if k not in data})


def _move_to(line: Timeline, moment: datetime | None) -> None:
    """Go on to a moment; never back."""
    if moment:
        line.now_ms += max(0, round((moment - line.moment()).total_seconds() * 1000))


def _percent(progress: Any) -> int | None:
    """A share of 1 with a fraction, or per cent."""
    if isinstance(progress, bool) or not isinstance(progress, int | float | Decimal):
        return None
    percent = progress * 100 if isinstance(progress, Decimal | float) and progress <= 1 else progress
    return round(percent) if 0 <= percent <= 100 else None  # noqa: PLR2004 - per cent


def _plain_text(value: Any) -> Any:
    """An error's text, also where it is an object that has one."""
    return value.get("message") if isinstance(value, dict) else value
