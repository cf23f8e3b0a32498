"""A trajectory of mini-swe-agent in the form of SWE-agent's: its messages as steps.

An answer of the model is a step; the command in it is its action, and what the user or tool says next is what it met.
"""

import json
import re
from typing import Any

AGENT = "mini-swe-agent"

_COMMAND = re.compile(r"^```(?:bash|sh|mswea_bash_command)[ \t]*\n(.*?)\n?^```", re.DOTALL | re.MULTILINE)

USED = ("messages", "info", "trajectory_format", "instance_id")

Json = dict[str, Any]


def is_one(file: Json) -> bool:
    """Whether a file is mini-swe-agent's: it has messages, and says so itself or how its run ended."""
    form = file.get("trajectory_format")
    is_named = isinstance(form, str) and form.startswith(AGENT)
    return isinstance(file.get("messages"), list) and (is_named or isinstance(file.get("info"), dict))


def as_swe_agents(file: Json) -> Json:
    """The members of the file by SWE-agent's names; those that it has no name for keep their own."""
    steps: list[Json] = []
    before: list[Any] = []
    for message in file["messages"]:
        role = message.get("role") if isinstance(message, dict) else None
        if role == "assistant":
            steps.append(_step(message))
        elif role in ("user", "tool") and steps and "observation" not in steps[-1]:
            steps[-1]["observation"] = message.get("content")
        elif role in ("user", "tool") and steps:
            steps[-1]["observation"] = _joined(steps[-1]["observation"], message.get("content"))
        else:
            before.append(message)
    info = dict(file["info"]) if isinstance(file.get("info"), dict) else {}
    config = info.pop("config", None)
    others = {key: value for key, value in file.items() if key not in USED}
    return {
        **others,
        "trajectory": steps,
        "info": info,
        "prompts": before,
        "replay_config": _config(config, file.get("instance_id") or info.get("instance_id")),
        "environment": at(config, "environment", "environment_class"),
    }


def _step(message: Json) -> Json:
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    calls = message.get("tool_calls")
    commands = [call for call in map(_called, calls) if call] if isinstance(calls, list) else []
    commands = commands or [found.strip() for found in _COMMAND.findall(text)]
    known = ("role", "content", *(("tool_calls",) if isinstance(calls, list) else ()))
    return {
        "response": content,
        "action": "\n".join(commands),
        **{key: value for key, value in message.items() if key not in known},
    }


def _called(call: Any) -> str | None:
    """The command of a call of a tool; its arguments are JSON in a text."""
    arguments = at(call, "function", "arguments")
    try:
        found = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return str(arguments)
    command = found.get("command") if isinstance(found, dict) else None
    return command if isinstance(command, str) else None if found is None else json.dumps(found, default=str)


def _joined(first: Any, second: Any) -> Any:
    return f"{first}\n{second}" if isinstance(first, str) and isinstance(second, str) else first or second


def _config(config: Any, problem: Any) -> Json:
    """What ran on what, by the names that SWE-agent has for it."""
    made = {
        "agent": {"name": "main", "model": {"name": at(config, "model", "model_name")}},
        "env": {"deployment": {"image": at(config, "environment", "image")}},
        "problem_statement": {"id": problem},
    }
    return made if config or problem else {}


def at(value: Any, *keys: str) -> Any:
    """What stands at a path of an object's members; None where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
