"""A recorded run of SWE-agent (`.traj`), read from bytes: what is missing is absent, what is wrong said."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn, cast

from producers.storable import INT64, clean

MAX_STEP_SECONDS = 7 * 86_400  # a longer execution_time is taken as absent
MAX_COST_USD = 10**12  # a cost from here on is taken as absent
COST_EXPONENTS = range(-30, 13)  # of the last digit of a cost; others are taken as absent

_USERINFO = re.compile(r"(://)[^/@\s]*@")
_MODEL = ("name", "temperature", "top_p", "per_instance_cost_limit", "total_cost_limit")


class UnreadableTrajectory(Exception):
    """The file cannot be imported, and nothing of it was; the message names it, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """Texts are clean and "" where the file has none; duration_ms is None where it has no execution_time."""

    action: str
    observation: str
    response: str
    thought: str
    state: dict[str, Any] | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Recording:
    """exit_status is None when the file does not say how the run ended; config holds no credential."""

    steps: list[Step]
    environment: str | None
    exit_status: str | None
    submission: str | None
    stats: dict[str, Any]
    config: dict[str, Any]
    external_ref: str | None

    def count(self, name: str) -> int | None:
        """One of the producer's counts, or None when the file has no bigint of at least 0 there."""
        value = self.stats.get(name)
        return value if type(value) is int and value >= 0 and value in INT64 else None

    def cost_usd(self) -> str | None:
        """The cost of this run, else of its batch, with the digits of the file (`0.019520000000000006`)."""
        for name in ("instance_cost", "total_cost"):
            value = self.stats.get(name)
            if type(value) is int:
                value = Decimal(value)
            if not isinstance(value, Decimal) or not 0 <= value < MAX_COST_USD:
                continue
            if value.as_tuple().exponent in COST_EXPONENTS:
                return format(value.copy_abs(), "f")
        return None


def read(content: bytes, *, name: str) -> Recording:
    """Raise UnreadableTrajectory for whatever is no recording; name is used in its message alone."""
    file = _object(content, name)
    steps = file.get("trajectory")
    if steps is None and "history" in file:
        _refuse(
            name,
            "it holds a conversation (`history`) but no steps (`trajectory`), so there is no run to import; "
            "import the .traj file that SWE-agent wrote for the run itself",
        )
    if steps is None:
        _refuse(name, "it has no `trajectory`; import a .traj file as SWE-agent writes it")
    if not isinstance(steps, list):
        _refuse(name, f"its `trajectory` is {_kind(steps)}, not a list of steps")
    info = file.get("info")
    if info is not None and not isinstance(info, dict):
        _refuse(name, f"its `info` is {_kind(info)}, not an object")
    info = cast("dict[str, Any]", info or {})
    replay = _parsed(file.get("replay_config"))
    replay = replay if isinstance(replay, dict) else {}
    stats = info.get("model_stats")
    return Recording(
        steps=[_step(step, number, name) for number, step in enumerate(steps, 1)],
        environment=_name(file.get("environment")),
        exit_status=_name(info.get("exit_status")),
        submission=_name(info.get("submission")),
        stats=stats if isinstance(stats, dict) else {},
        config=_config(replay),
        external_ref=_external_ref(replay),
    )


def _object(content: bytes, name: str) -> dict[str, Any]:
    if not content.strip():
        _refuse(name, "it is empty; import a .traj file as SWE-agent writes it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(name, f"it is not UTF-8 (byte {error.start}); import a .traj file as SWE-agent writes it")
    try:
        file = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
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


def _step(step: object, number: int, name: str) -> Step:
    if not isinstance(step, dict):
        _refuse(name, f"step {number} is {_kind(step)}, not an object")
    fields = cast("dict[str, Any]", step)
    texts: dict[str, str] = {}
    for key in ("action", "observation", "response", "thought"):
        value = fields.get(key)
        if isinstance(value, list):  # parts of a message, as models take them
            parts = [part.get("text") for part in cast("list[object]", value) if isinstance(part, dict)]
            value = "\n".join(part for part in parts if isinstance(part, str))
        if not isinstance(value, str | None):
            _refuse(name, f"`{key}` of step {number} is {_kind(value)}, not text")
        texts[key] = clean(value or "")
    return Step(
        **texts,
        state=_state(fields.get("state")),
        duration_ms=_milliseconds(fields.get("execution_time")),
    )


def _milliseconds(seconds: object) -> int | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | Decimal):
        return None
    return round(seconds * 1000) if 0 <= seconds <= MAX_STEP_SECONDS else None


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
        return cast("object", json.loads(value, parse_float=Decimal, parse_constant=_no_number))
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
    agent = _name(_at(replay, "agent", "name"))
    return _name(_at(replay, "problem_statement", "id")) or (agent if agent != "main" else None)


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    return value


def _name(value: object) -> str | None:
    return clean(value) if isinstance(value, str) and value.strip() else None


def _no_number(_: str) -> None:
    """NaN and Infinity, which JSON does not have, are absent."""


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a boolean"
    named = ((str, "a text"), (list, "a list"), (dict, "an object"))
    return next((kind for known, kind in named if isinstance(value, known)), "a number")


def _refuse(name: str, reason: str) -> NoReturn:
    raise UnreadableTrajectory(f"{name} cannot be imported: {reason}. Nothing of it was imported.")
