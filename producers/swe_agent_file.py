"""A recorded run of SWE-agent (`.traj`) or mini-swe-agent, read from bytes: every part of it is accounted for.

What is missing is absent, what is not understood is a remark, and what makes a file none of a run refuses it.
"""

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn, cast

from producers import mini_swe_agent
from producers.account import Part, Tally, Word
from producers.mini_swe_agent import at as _at
from producers.storable import clean
from producers.values import NotUnderstood, count, milliseconds_of_seconds, money, text

MAX_STEP_MS = 7 * 86_400_000
MAX_JSON_BYTES = 256 * 1024  # as ASCII JSON, of a state, a submission and the like
MAX_NAME, MAX_MODEL = 255, 100  # characters, as the contracts have them
COUNTS = ("api_calls", "tokens_sent", "tokens_received")
COSTS = ("instance_cost", "total_cost")  # of this run, else of its batch
KNOWN = ("trajectory", "info", "environment", "replay_config")
AGENT = "swe-agent"
OF_STEP = ("action", "observation", "response", "thought", "state", "execution_time")

_USERINFO = re.compile(r"(://)[^/@\s]*@")
_MODEL = ("name", "temperature", "top_p", "per_instance_cost_limit", "total_cost_limit")


class UnreadableTrajectory(Exception):
    """The file cannot be imported, and nothing of it was; the message names it, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """Texts are clean and "" where the file has none; duration_ms is None where it has no execution_time.

    `not_understood` is the text of what could not be read, by name.
    """

    action: str
    observation: str
    response: str
    thought: str
    state: dict[str, Any] | None = None
    duration_ms: int | None = None
    not_understood: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """exit_status is None when the file does not say how the run ended; config holds no credential.

    `info` is what else the file says of the run, `words` what is made no event of.
    """

    agent: str
    steps: list[Step]
    environment: str | None
    exit_status: str | None
    submission: str | None
    model: str | None
    counts: dict[str, int | None]
    cost_usd: str | None
    info: dict[str, Any]
    config: dict[str, Any]
    external_ref: str | None
    words: list[Word]
    not_understood: dict[str, str]


def read(content: bytes, *, name: str) -> Recording:
    """Raise UnreadableTrajectory for whatever is no recording; name is used in its message alone."""
    file = _object(content, name)
    if "trajectory" not in file and mini_swe_agent.is_one(file):
        return _recording(mini_swe_agent.AGENT, mini_swe_agent.as_swe_agents(file), name)
    return _recording(AGENT, file, name)


def _recording(agent: str, whole: dict[str, Any], name: str) -> Recording:
    """The recording that a file of SWE-agent's form is; mini-swe-agent's has been given that form."""
    steps = whole.get("trajectory")
    if steps is None and "history" in whole:
        _refuse(
            name,
            "it holds a conversation (`history`) but no steps (`trajectory`), so there is no run to import; "
            "import the .traj file that SWE-agent wrote for the run itself",
        )
    if steps is None:
        _refuse(name, "it has no `trajectory`; import a .traj file as SWE-agent writes it")
    if not isinstance(steps, list):
        _refuse(name, f"its `trajectory` is {_kind(steps)}, not a list of steps")
    info = whole.get("info")
    if info is not None and not isinstance(info, dict):
        _refuse(name, f"its `info` is {_kind(info)}, not an object")
    info = cast("dict[str, Any]", info or {})
    words: list[Word] = []
    part, left_out = Part("the run", words), Tally()
    read_steps = [_step(step, number, name, words, left_out) for number, step in enumerate(steps, 1)]
    replay = _parsed(whole.get("replay_config"))
    if replay is not None and not isinstance(replay, dict):
        part.remark("replay_config", whole["replay_config"], "is not an object")
    replay = replay if isinstance(replay, dict) else {}
    config = part.json("replay_config", _config(replay), MAX_JSON_BYTES)
    if replay:
        left_out.add("configuration beside what ran on what")
    stats = info.get("model_stats")
    if stats is not None and not isinstance(stats, dict):
        part.remark("model_stats", stats, "is not an object")
    stats = stats if isinstance(stats, dict) else {}
    counts = {each: part.read(each, stats.get(each), count) for each in COUNTS}
    costs = [part.read(each, stats.get(each), money) for each in COSTS]
    for key, value in whole.items():
        if key not in KNOWN and value not in (None, "", [], {}):
            left_out.add(f"{key} of the run", len(value) if isinstance(value, list) else 1)
    known = ("exit_status", "submission", "model_stats")
    others = {key: value for key, value in info.items() if key not in known and value not in (None, "", [], {})}
    others |= {key: value for key, value in stats.items() if key not in (*COUNTS, *COSTS)}
    words.extend(left_out.words())
    return Recording(
        agent=agent,
        steps=read_steps,
        environment=part.text("environment", whole.get("environment"), MAX_NAME),
        exit_status=part.text("exit_status", info.get("exit_status"), MAX_NAME),
        submission=part.long_text("submission", part.read("submission", info.get("submission"), text), MAX_JSON_BYTES),
        model=part.text("model", _at(replay, "agent", "model", "name"), MAX_MODEL),
        counts=counts,
        cost_usd=next((cost for cost in costs if cost is not None), None),
        info=part.json("info", others, MAX_JSON_BYTES),
        config=config,
        external_ref=part.text("external_ref", _external_ref(replay), MAX_NAME),
        words=words,
        not_understood=part.kept,
    )


def _object(content: bytes, name: str) -> dict[str, Any]:
    if not content.strip():
        _refuse(name, "it is empty; import a .traj file as SWE-agent writes it")
    try:
        written = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(name, f"it is not UTF-8 (byte {error.start}); import a .traj file as SWE-agent writes it")
    try:
        file = json.loads(written, parse_float=Decimal, parse_constant=str)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        _refuse(name, f"it is not JSON ({where}); if it was cut short, copy it again")
    except (ArithmeticError, ValueError):
        _refuse(name, "it has a number too long to read; mend the file")
    except RecursionError:
        _refuse(name, "it is nested too deep to be a recorded run; mend the file")
    if not isinstance(file, dict):
        _refuse(name, f"it holds {_kind(file)}, not an object; import a .traj file as SWE-agent writes it")
    return cast("dict[str, Any]", file)


def _step(step: object, number: int, name: str, words: list[Word], left_out: Tally) -> Step:
    if not isinstance(step, dict):
        _refuse(name, f"step {number} is {_kind(step)}, not an object")
    fields = cast("dict[str, Any]", step)
    texts: dict[str, str] = {}
    for key in ("action", "observation", "response", "thought"):
        value = fields.get(key)
        if isinstance(value, list):  # parts of a message, as models take them
            parts = [part.get("text") for part in cast("list[object]", value) if isinstance(part, dict)]
            whole = [part for part in parts if isinstance(part, str)]
            left_out.add("parts of messages that are not text", len(value) - len(whole))
            value = "\n".join(whole)
        if not isinstance(value, str | None):
            _refuse(name, f"`{key}` of step {number} is {_kind(value)}, not text")
        texts[key] = clean(value or "")
    for key, value in fields.items():
        if key not in OF_STEP and value not in (None, "", [], {}):
            left_out.add(f"{key} of steps", len(value) if isinstance(value, list) else 1)
    part = Part(f"step {number}", words)
    duration_ms = part.read("execution_time", fields.get("execution_time"), _duration)
    state = part.json("state", _state(fields.get("state")), MAX_JSON_BYTES)
    return Step(**texts, state=state, duration_ms=duration_ms, not_understood=part.kept)


def _duration(seconds: Any) -> int:
    found = milliseconds_of_seconds(seconds)
    if found > MAX_STEP_MS:
        raise NotUnderstood("longer than a week")
    return found


def _state(value: object) -> dict[str, Any] | None:
    value = _parsed(value)
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return {"text" if isinstance(value, str) else "value": value}


def _parsed(value: object) -> object:
    """JSON that is written as text inside the file; a text that is no JSON stays itself."""
    if not isinstance(value, str):
        return value
    try:
        return cast("object", json.loads(value, parse_float=Decimal, parse_constant=str))
    except (ArithmeticError, ValueError, RecursionError):
        return value.strip()


def _config(replay: dict[str, Any]) -> dict[str, Any]:
    """What ran and on what, by name: a whole configuration may hold keys and tokens."""
    config = {
        "agent": _at(replay, "agent", "name"),
        "model": {key: _at(replay, "agent", "model", key) for key in _MODEL},
        "image": _at(replay, "env", "deployment", "image"),
        "repo": {key: _at(replay, "env", "repo", key) for key in ("type", "repo_name", "github_url", "base_commit")},
        "problem_statement": {
            key: _at(replay, "problem_statement", key) for key in ("type", "id", "github_url", "text")
        },
    }
    kept = {key: _present(value) if isinstance(value, dict) else value for key, value in config.items()}
    return {key: value for key, value in kept.items() if value not in (None, {})}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _USERINFO.sub(r"\1", value) if isinstance(value, str) and key.endswith("url") else value
        for key, value in values.items()
        if isinstance(value, str | int | Decimal)
    }


def _external_ref(replay: dict[str, Any]) -> str | None:
    """The id of the problem, which SWE-agent also gives to the agent that is to solve it."""
    agent = _text(_at(replay, "agent", "name"))
    return _text(_at(replay, "problem_statement", "id")) or (agent if agent != "main" else None)


def _text(value: object) -> str | None:
    return clean(value) if isinstance(value, str) and value.strip() else None


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a boolean"
    named = ((str, "a text"), (list, "a list"), (dict, "an object"))
    return next((kind for known, kind in named if isinstance(value, known)), "a number")


def _refuse(name: str, reason: str) -> NoReturn:
    raise UnreadableTrajectory(f"{name} cannot be imported: {reason}. Nothing of it was imported.")
