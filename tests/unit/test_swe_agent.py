"""What runs of SWE-agent become where files differ: times, failures, limits, and files that are broken."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from producers.swe_agent import UnreadableTrajectory, events


def _file(step: dict[str, Any] | None = None, **info: object) -> bytes:
    return json.dumps({"trajectory": [step or {}], "info": {"exit_status": "submitted", **info}}).encode()


def _events(content: bytes, **options: Any) -> list[dict[str, Any]]:
    return events(content, name="x.traj", tenant="acme", **options)


def _of(made: list[dict[str, Any]], noun: str) -> list[dict[str, Any]]:
    return [event["data"] for event in made if event["type"] == f"siltstone.{noun}.v1"]


def _only(made: list[dict[str, Any]], noun: str) -> dict[str, Any]:
    (data,) = _of(made, noun)
    return data


def test_another_content_is_another_session() -> None:
    """No id of one file is an id of a file that differs by one byte."""
    one, two = _events(_file()), _events(_file() + b"\n")
    assert not {event["id"] for event in one} & {event["id"] for event in two}
    assert not {event["subject"] for event in one} & {event["subject"] for event in two}


def test_a_start_moves_times_and_leaves_ids() -> None:
    """Times begin at the start in UTC, cut to milliseconds; ids stay."""
    start = datetime(2025, 3, 1, 12, 0, 0, 123_999, timezone(timedelta(hours=2)))
    made = _events(_file(), start=start)
    assert [event["time"] for event in made[:2]] == ["2025-03-01T10:00:00.123Z", "2025-03-01T10:00:00.124Z"]
    assert [event["id"] for event in made] == [event["id"] for event in _events(_file())]
    with pytest.raises(ValueError, match="has no offset"):
        _events(_file(), start=datetime(2025, 3, 1))  # noqa: DTZ001 - that is what is refused


def test_steps_last_as_long_as_the_file_says_else_a_second() -> None:
    """A node ends its execution_time after its start, or 1 s after it, and the next step follows."""
    content = json.dumps(
        {
            "trajectory": [{"execution_time": 2.5}, {}, {"execution_time": -1}],
            "info": {"exit_status": "submitted"},
        }
    )
    made = _events(content.encode(), start=datetime(2025, 1, 1, tzinfo=UTC))
    nodes = [event for event in made if event["type"] == "siltstone.node.executed.v1"]
    assert [node["time"][17:] for node in nodes] == ["02.502Z", "03.503Z", "04.504Z"]
    assert [node["data"]["started_at"][17:] for node in nodes] == ["00.002Z", "02.503Z", "03.504Z"]
    assert [node["data"].get("duration_ms") for node in nodes] == [2500, None, None]
    assert [node["data"]["node_name"] for node in nodes] == ["think"] * 3


def test_costs_keep_their_digits() -> None:
    """A cost is the file's decimal text: no float on the way."""
    stats = b'{"trajectory": [], "info": {"model_stats": {"instance_cost": %s}}}'
    for written, kept in (
        (b"0.10000000000000000000000001", "0.10000000000000000000000001"),
        (b"0.019520000000000006", "0.019520000000000006"),
        (b"1e-7", "0.0000001"),
        (b"3", "3"),
        (b"-1", None),
        (b"NaN", None),
        (b"1e400000", None),
        (b"0e400000", None),
        (b'"1"', "1"),
    ):
        assert _only(_events(stats % written), "run.finished").get("cost_usd") == kept


def test_credentials_of_a_configuration_are_not_stored() -> None:
    """Keys, environment variables and the user part of a URL stay in the file."""
    replay = {
        "agent": {"model": {"name": "m", "api_key": "SECRET1"}, "tools": {"env_variables": {"T": "SECRET2"}}},
        "env": {"repo": {"github_url": "https://me:SECRET3@example.org/r"}},
    }
    content = json.dumps({"trajectory": [], "replay_config": json.dumps(replay)}).encode()
    made = _events(content)
    assert "SECRET" not in json.dumps(made)
    assert _only(made, "run.started")["config_snapshot"]["repo"] == {"github_url": "https://example.org/r"}


@pytest.mark.parametrize(
    ("info", "kind", "severity"),
    [
        ({"exit_status": "exit_cost"}, "exit_cost", "high"),
        (
            {"exit_status": "submitted (exit_context)", "submission": "diff"},
            "submitted (exit_context)",
            "medium",
        ),
        ({"exit_status": None}, "no_exit_status", "high"),
    ],
)
def test_a_run_that_failed_makes_an_exception(info: dict[str, Any], kind: str, severity: str) -> None:
    """Every exit status but `submitted` fails the run and the session and makes one exception."""
    made = _events(_file({"action": "ls"}, **info))
    created = _only(made, "exception.created")
    assert created["set"] == {
        "domain": "agent",
        "type": kind,
        "severity": severity,
        "source_system": "swe-agent",
        "entity": made[1]["subject"],
    }
    assert created["actor_type"] == "system"
    assert created["payload"] == {"run_id": made[1]["subject"], "session_id": made[0]["subject"], "steps": 1}
    finished = _only(made, "run.finished")
    assert (finished["status"], finished["error_info"]) == ("failed", {"exit_status": kind})
    if info["exit_status"]:
        assert _only(made, "session.completed")["exit_code"] == 1
    else:  # nobody knows
        assert _only(made, "session.updated")["state"] == "ended"


def test_a_file_that_is_read_does_not_fail_its_step() -> None:
    """A traceback in a file that was shown is recorded, and the step that showed it completed."""
    shown = "Traceback (most recent call last):\n  File\nValueError: x"
    made = _events(_file({"action": "cat log.txt", "observation": shown}))
    assert _of(made, "extraction.recorded")[1]["pattern"] == "python_traceback"
    assert _only(made, "node.executed")["status"] == "completed"
    missing = _events(_file({"action": "cat a", "observation": "cat: a: No such file or directory"}))
    assert _only(missing, "node.executed")["error_message"] == "cat: a: No such file or directory"


def test_a_thought_is_read_where_the_response_lacks_it() -> None:
    """A block in both counts once; a block of a thought that is nowhere else counts."""
    block = "```\nls\n```"
    assert len(_of(_events(_file({"response": f"{block} ", "thought": block})), "code_block.captured")) == 1
    only = _of(_events(_file({"response": "", "thought": block})), "code_block.captured")
    assert [data["context"]["field"] for data in only] == ["thought"]


def test_text_that_no_database_stores_is_replaced() -> None:
    """NULs and lone surrogates become U+FFFD in every place, keys of states among them."""
    bad = "a\x00\ud800b"
    step = dict.fromkeys(("action", "observation", "response", "thought"), f"Error: {bad}\n```{bad}\n{bad}\n```")
    file = {
        "trajectory": [{**step, "state": {bad: [bad, float("nan"), 10**30, 1.5]}}],
        "environment": bad,
        "info": {"exit_status": bad, "submission": bad},
        "replay_config": {
            "agent": {"name": bad, "model": {"name": bad}},
            "problem_statement": {"id": bad, "text": bad},
        },
    }
    made = _events(json.dumps(file).encode())
    written = json.dumps(made, ensure_ascii=False, allow_nan=False)
    assert "\x00" not in written
    assert r"\u0000" not in written
    assert written.encode()  # raises for a lone surrogate
    good = "a\ufffd\ufffdb"
    assert _only(made, "node.executed")["state_snapshot"] == {good: [good, "NaN", str(10**30), 1.5]}
    assert _only(made, "exception.created")["set"]["type"] == good


@pytest.mark.parametrize("filler", ["x", "\x01", "\u00e9", "\U0001f600", "\u20ac", "Error: \x01 "])
def test_no_event_is_above_a_mebibyte(filler: str) -> None:
    """Texts of millions of characters, in any field, are cut to what an event may hold, and say so."""
    text = "```\n" + filler * 300_000 if filler == "\u20ac" else filler * (1_500_000 // len(filler))
    step: dict[str, Any] = dict.fromkeys(("action", "observation", "response", "thought"), text)
    step["state"] = {str(number): text[:100_000] for number in range(40)}
    file = {
        "trajectory": [step],
        "environment": text,
        "info": {"exit_status": text, "submission": text},
        "replay_config": {
            "agent": {"name": text, "model": {"name": text}},
            "problem_statement": {"text": text},
        },
    }
    made = _events(json.dumps(file).encode())
    assert max(len(json.dumps(event)) for event in made) < 2**20
    assert set(_only(made, "node.executed")["state_snapshot"]) == {"left_out"}
    started = _only(made, "run.started")
    assert (len(started["model"]), len(started["external_ref"])) == (100, 255)
    assert len(_only(made, "exception.created")["set"]["type"]) == 255
    found = _of(made, "extraction.recorded")
    tool = next(data["metadata"] for data in found if data["event_type"] == "tool")
    assert tool["observation_cut_from_characters"] == len(text)


def test_a_state_may_be_json_text_plain_text_or_too_deep() -> None:
    """A state is always an object, and keeps at most 32 levels."""
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    for state, kept in (
        ('{"a": 1}\n', {"a": 1}),
        ("n/a", {"text": "n/a"}),
        ("[1]", {"value": [1]}),
        ("", None),
    ):
        assert _only(_events(_file({"state": state})), "node.executed").get("state_snapshot") == kept
    (node,) = _of(_events(_file({"state": {"deep": deep}})), "node.executed")
    assert json.dumps(node["state_snapshot"]).count("[") == 31
    assert "nested deeper than 32 levels" in json.dumps(node["state_snapshot"])


def test_missing_keys_are_absent() -> None:
    """A file of nothing but an empty list of steps is a session and a run that ended without a status."""
    made = _events(b'\xef\xbb\xbf{"trajectory": []}')
    assert [event["type"].split(".", 1)[1] for event in made] == [
        "session.started.v1",
        "run.started.v1",
        "exception.created.v1",
        "run.finished.v1",
        "session.updated.v1",
    ]
    assert _only(made, "session.started") == {"agent_name": "swe-agent"}
    assert "final_state" not in _only(made, "run.finished")
    assert all(value is not None for event in made for value in event["data"].values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b'{"trajectory": [', "it is not JSON (line 1, column 17"),
        (b"\xff\xfe{}", "it is not UTF-8 (byte 0)"),
        (b"[]", "it holds a list, not an object"),
        (b"null", "it holds null, not an object"),
        (b"{}", "it has no `trajectory`"),
        (b'{"trajectory": null}', "it has no `trajectory`"),
        (b'{"trajectory": {}}', "its `trajectory` is an object, not a list"),
        (b'{"trajectory": [{}, 3.5]}', "step 2 is a number, not an object"),
        (b'{"trajectory": [null]}', "step 1 is null, not an object"),
        (b'{"trajectory": [{"action": 3}]}', "`action` of step 1 is a number, not text"),
        (b'{"trajectory": [{"observation": {}}]}', "`observation` of step 1 is an object, not text"),
        (b'{"trajectory": [], "info": []}', "its `info` is a list, not an object"),
        (b'{"trajectory": ' + b"[" * 200_000, "it is nested too deep"),
        (b'{"trajectory": [' + b"1" * 10_000 + b"]}", "it has a number too long to read"),
        (b'{"trajectory": [1e99999999999999999999999]}', "it has a number too long to read"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    """The message begins with the file's name and says what is wrong with it."""
    with pytest.raises(UnreadableTrajectory) as refusal:
        _events(content)
    assert str(refusal.value).startswith(f"x.traj cannot be imported: {reason}")


@pytest.mark.parametrize("key", ["action", "observation", "response", "thought"])
def test_text_in_parts_is_joined(key: str) -> None:
    """A list of message parts reads as their texts, one a line; other parts are left out."""
    parts = [{"type": "text", "text": "```\nls"}, {"type": "image_url"}, {"type": "text", "text": "```"}]
    made = _events(_file({key: parts}))
    if key in {"response", "thought"}:
        assert _only(made, "code_block.captured")["content"] == "ls"
    if key == "action":
        assert _only(made, "extraction.recorded")["metadata"]["action"] == "```\nls\n```"


def test_errors_and_code_are_found_in_what_the_agent_said_and_saw() -> None:
    """A traceback that the agent quotes and a fenced block that it was shown are recorded, each with its field."""
    step = {
        "action": "ls",
        "observation": "look:\n```python\nprint(1)\n```\n",
        "response": "It failed:\nTypeError: no such thing\n",
        "thought": "",
        "state": None,
    }
    made = _events(json.dumps({"trajectory": [step], "history": [], "info": {"exit_status": "submitted"}}).encode())
    errors = [d for d in _of(made, "extraction.recorded") if d["event_type"] == "error"]
    assert [(e["metadata"]["field"], e["line_number"]) for e in errors] == [("response", 2)]
    assert [(b["context"]["field"], b["content"]) for b in _of(made, "code_block.captured")] == [
        ("observation", "print(1)")
    ]
    assert _of(made, "node.executed")[0]["status"] == "completed"
