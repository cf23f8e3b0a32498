"""Recorded runs in SWE-agent's format: our own, and those of a folder that SILTSTONE_RECORDED_RUNS names.

Ours lie in tests/cases/recordings, and are written anew by `python -m tests.support.recordings`. They are made up, in
the forms that SWE-agent has published: states as text and as objects, answers with a fence, with XML and with function
calls, configurations as text and as objects, and every way in which a run ends.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "cases" / "recordings"
HISTORY_ALONE = "history-only"

Json = dict[str, Any]

_DIFF = "\ndiff --git a/area.py b/area.py\n--- a/area.py\n+++ b/area.py\n@@ -1 +1 @@\n-PI = 3\n+PI = 3.14159\n"
_LINT = """Your proposed edit has introduced new syntax error(s). Please mend them and edit again.

ERRORS:
- E999 IndentationError: unexpected indent
- F821 undefined name 'radius'

This is how your edit would have looked if applied
-------------------------------------------------
1:    return PI * radius ** 2
"""
_TRACEBACK = """Traceback (most recent call last):
  File "/repo/area.py", line 3, in <module>
    print(area(None))
          ^^^^^^^^^^
TypeError: unsupported operand type(s) for ** or pow(): 'NoneType' and 'int'
"""


def paths() -> list[Path]:
    """Every recording with steps, ours before those of a folder that is named, each by name."""
    named = os.environ.get("SILTSTONE_RECORDED_RUNS")
    folders = [FOLDER, *([Path(named)] if named else [])]
    found = [path for folder in folders for path in sorted(folder.glob("*.traj"))]
    return [path for path in found if path.stem != HISTORY_ALONE]


def recordings() -> Iterator[tuple[str, Json]]:
    """The name and content of each of ours."""
    yield (
        "fences",
        _run(
            [
                _step("ls -F\n", "area.py\ntests/\n", "First we list the files.\n```\nls -F\n```"),
                _step("open area.py", "[File: /repo/area.py (1 lines total)]\n1:PI = 3\n", "```\nopen area.py\n```"),
                _step(
                    "edit 1:1\n    return PI\nend_of_edit",
                    _LINT,
                    "Now the edit.\n```\nedit 1:1\n    return PI\nend_of_edit\n```",
                ),
                _step(
                    "python area.py",
                    _TRACEBACK,
                    "Run it:\n\n```\npython area.py\n```\n\nand this would do:\n```\nPI = 3.14159\n```",
                ),
                _step("submit", _DIFF, "Done.\n```\nsubmit\n```"),
            ],
            _ended(
                "submitted", instance_cost=0.019520000000000006, tokens_sent=4_817, tokens_received=211, api_calls=5
            ),
        ),
    )
    yield (
        "xml",
        _run(
            [
                _step(
                    "create reproduce.py",
                    "[File: /repo/reproduce.py (1 lines total)]\n1:",
                    _xml("We begin.", "create reproduce.py"),
                ),
                _step("python reproduce.py", "345\n", _xml("The result is one too few.", "python reproduce.py")),
                _step(
                    "cat missing.py",
                    "cat: missing.py: No such file or directory\n",
                    _xml("Perhaps here?", "cat missing.py"),
                ),
                _step("submit", _DIFF, _xml("It works.", "submit")),
            ],
            _ended("submitted", total_cost=0, instance_cost=0, tokens_sent=0, tokens_received=0, api_calls=0),
            replay_config=_CONFIG,
        ),
    )
    yield (
        "function-calling",
        _run(
            [
                _called("bash", {"command": "ls -F"}, "setup.py\r\nsrc/\r\n", 0.137595, {"open_file": "n/a"}),
                _called(
                    "open",
                    {"path": "setup.py"},
                    "[File: setup.py (1 lines total)]\r\n1:import re\r\n",
                    0.2,
                    {"open_file": "setup.py"},
                ),
                _called(
                    "bash",
                    {"command": "sleep 100"},
                    "EXECUTION TIMED OUT because of no output for 30 seconds\n",
                    30.0,
                    {},
                ),
                _called("submit", {}, _DIFF, 1.5, {"open_file": "n/a", "working_dir": "/testbed"}),
            ],
            _ended("submitted", instance_cost=1, tokens_sent=123_456_789_012, tokens_received=99, api_calls=4),
            environment="main",
            replay_config=json.dumps(_CONFIG),
        ),
    )
    yield (
        "thoughts",
        _run(
            [
                _step(
                    "python -c 'print(1)'",
                    "1\n",
                    "Calling a tool.",
                    "Something like\n```\nprint(1)\n```\nshould print 1.",
                ),
                _step("", "", "I only think here.", "I only think here."),
                _step("submit", _DIFF, "", "~~~\nno fence of backticks\n~~~\nand out."),
            ],
            _ended("submitted"),
        ),
    )
    yield (
        "stopped-by-cost",
        _run(
            [_step("ls", "a.py\n", "```\nls\n```"), _step("cat a.py", "x = 1\n", "```\ncat a.py\n```")],
            _ended("exit_cost", submission=None, instance_cost=3.0001, tokens_sent=9, tokens_received=8, api_calls=2),
        ),
    )
    yield (
        "submitted-for-it",
        _run(
            [_step("ls", "a.py\n", "```\nls\n```")],
            _ended("submitted (exit_context)", instance_cost=0.5, tokens_sent=100_000, tokens_received=1, api_calls=1),
        ),
    )
    yield (
        "unicode",
        _run(
            [
                _step(
                    "grep -r 'größe' .",
                    "./maß.py:größe = 5  # 大きさ 🪨 e\u0301 \u202eleft\n",
                    "Wir suchen „größe“.\n```\ngrep -r 'größe' .\n```",
                ),
                _step(
                    "cat 0.bin",
                    "\x00\x1b[31mred\x1b[0m \ud83d \ufffd\u2028end\n",
                    "```\ncat 0.bin\n```",
                    state={"working_dir": "/répo"},
                ),
                _step("submit", _DIFF, "終わり\n```\nsubmit\n```"),
            ],
            _ended("submitted", submission="größe = 6\n"),
        ),
    )
    yield (
        HISTORY_ALONE,
        {"history": [{"role": "system", "content": "SETTING: …"}, {"role": "user", "content": "Solve it."}]},
    )


_CONFIG: Json = {
    "env": {
        "deployment": {"image": "example/testbed:latest", "docker_args": [], "type": "docker"},
        "repo": {"repo_name": "testbed", "base_commit": "HEAD", "type": "preexisting"},
    },
    "agent": {"name": "main", "model": {"name": "gpt-4o", "temperature": 0.0, "api_key": "never stored"}},
    "problem_statement": {"type": "text", "id": "area-1", "text": "The area is wrong."},
}


def _run(steps: list[Json], info: Json, environment: str = "swe_main", replay_config: Any = None) -> Json:
    history = [{"role": "system", "content": "SETTING: You are an autonomous programmer.", "agent": "primary"}]
    for step in steps:
        history += [
            {"role": "assistant", "content": step["response"], "thought": step["thought"], "action": step["action"]},
            {"role": "user", "content": step["observation"], "agent": "primary"},
        ]
    whole: Json = {"environment": environment, "trajectory": steps, "history": history, "info": info}
    return whole if replay_config is None else whole | {"replay_config": replay_config}


def _step(action: str, observation: str, response: str, thought: str | None = None, state: Json | None = None) -> Json:
    """A step as SWE-agent wrote it before 1.0: its state is JSON in a text."""
    told = {"open_file": "n/a", "working_dir": "/repo"} if state is None else state
    return {
        "action": action,
        "observation": observation,
        "response": response,
        "state": json.dumps(told) + "\n",
        "thought": response.partition("```")[0] if thought is None else thought,
    }


def _xml(thought: str, command: str) -> str:
    return f"{thought}\n<command>\n{command}\n</command>"


def _called(tool: str, arguments: Json, observation: str, seconds: float, state: Json) -> Json:
    """A step as SWE-agent has written it since 1.0: a state that is an object, a duration, the messages sent."""
    action = arguments.get("command") or " ".join((tool, *(f'"{value}"' for value in arguments.values())))
    called = {"function": {"arguments": json.dumps(arguments), "name": tool}, "id": f"call_{tool}", "type": "function"}
    thought = f"We call {tool}."
    return {
        "action": action,
        "observation": observation,
        "response": thought,
        "thought": thought,
        "execution_time": seconds,
        "state": state,
        "messages": [{"role": "system", "content": "SETTING: …"}, {"role": "assistant", "tool_calls": [called]}],
    }


def _ended(status: str, submission: str | None = _DIFF, **stats: float) -> Json:
    edited = {f"edited_files{lines}": "" for lines in (30, 50, 70)}
    return {**edited, "model_stats": stats, "exit_status": status, "submission": submission}


def written(content: Json) -> str:
    """A recording as its file has it."""
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    for name, content in recordings():
        (FOLDER / f"{name}.traj").write_text(written(content), encoding="utf-8")
