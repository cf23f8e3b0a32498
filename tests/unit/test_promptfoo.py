"""Promptfoo's results in every shape that it writes, and what of them is not as it should be."""

import json
from typing import Any

import pytest

from producers.account import Differs, LeftOut, Refused, Remark
from producers.imports import promptfoo
from producers.imports.imported import Imported, Unreadable
from tests.support.imported import case, of, read, said


def _results(*results: Any, **around: Any) -> Imported:
    file = {"results": {"version": 3, "results": list(results), **around}}
    return read(promptfoo.read, json.dumps(file).encode())


def _checked(**grading: Any) -> dict[str, Any]:
    return {"provider": "local", "prompt": "p", "gradingResult": grading}


def test_a_latency_has_a_fraction() -> None:
    """It is rounded to a millisecond, and the events' times follow it."""
    found = case(promptfoo.read, "promptfoo/latency-with-fraction.json")
    assert of(found, "run.finished")[0]["latency_ms"] == 121
    assert [event["time"][17:] for event in found.events] == ["00.000Z", "00.122Z", "00.123Z"]


@pytest.mark.parametrize("name", ["evaluate-summary.json", "output.jsonl"])
def test_a_summary_alone_and_a_result_a_line_are_read_like_the_whole(name: str) -> None:
    """As promptfoo's evaluate() returns it, and as `-o x.jsonl` writes it."""
    found = case(promptfoo.read, f"promptfoo/{name}")
    [started], [assertion], [finished] = (
        of(found, noun) for noun in ("run.started", "assertion.evaluated", "run.finished")
    )
    assert (started["provider"], started["model"], assertion["passed"]) == ("openai", "gpt-4o", True)
    assert [finished[n] for n in ("latency_ms", "tokens_input", "tokens_output", "cost_usd")] == [120, 6, 4, "0.001"]
    assert said(found) == []


def test_a_list_of_results_is_read_and_a_broken_line_is_refused() -> None:
    """The lines around it are imported."""
    result = {"provider": "local", "prompt": "p"}
    assert len(read(promptfoo.read, json.dumps([result, result]).encode()).events) == 4
    line = json.dumps(result).encode()
    found = read(promptfoo.read, line + b"\n{broken\n" + line)
    assert (len(found.events), found.words) == (4, [Refused("line 2", "it is not JSON")])


@pytest.mark.parametrize("content", [b"{}", b"[]", b"[1]", b'{"results": 5}', b"{\n{", b'{"a": 1}\n{"b": 2}'])
def test_what_holds_no_results_says_so(content: bytes) -> None:
    """Nothing is made of it."""
    with pytest.raises(Unreadable):
        read(promptfoo.read, content)


def test_a_check_that_does_not_say_whether_it_passed_is_refused() -> None:
    """A word for true or false is one; nothing stands for a verdict that is not there."""
    checks = [{"pass": "false"}, {"pass": 1}, {"score": 1}, {"pass": "maybe"}]
    found = _results(_checked(componentResults=checks))
    assert [check["passed"] for check in of(found, "assertion.evaluated")] == [False, True]
    assert [word.item for word in found.refused] == ["result 1, check 3", "result 1, check 4"]


def test_checks_in_a_set_of_checks_count_each() -> None:
    """An assert-set has a verdict of its own, and those that it is made of."""
    inner = [{"pass": True, "assertion": {"type": "contains"}}, {"pass": False, "assertion": {"type": "regex"}}]
    found = _results(_checked(componentResults=[{"pass": False, "componentResults": inner}, {"pass": True}]))
    checks = [(check["assertion_type"], check["passed"]) for check in of(found, "assertion.evaluated")]
    assert checks == [("check", False), ("contains", True), ("regex", False), ("check", True)]


def test_a_grading_without_parts_is_the_one_check() -> None:
    """It has its assertion itself."""
    found = _results(_checked(**{"pass": False, "reason": "no", "assertion": {"type": "equals", "value": "a"}}))
    [check] = of(found, "assertion.evaluated")
    assert (check["assertion_type"], check["passed"], check["failure_reason"]) == ("equals", False, "no")


def test_a_number_that_is_none_is_named_and_kept() -> None:
    """Of tokens, money and time; a number in a text is one."""
    usage = {"prompt": "12", "completion": 1.5}
    found = _results({"provider": "x", "tokenUsage": usage, "latencyMs": "soon", "cost": -1})
    [finished] = of(found, "run.finished")
    assert finished["tokens_input"] == 12
    assert [finished.get(name) for name in ("tokens_output", "latency_ms", "cost_usd")] == [None] * 3
    assert (finished["not_understood"], finished["tokens"]) == (
        {"latencyMs": "soon", "cost": "-1"},
        {"not_understood": {"completion": "1.5"}},
    )
    assert {word.name for word in found.words if isinstance(word, Remark)} == {"latencyMs", "completion", "cost"}


def test_what_the_file_states_of_itself_is_compared() -> None:
    """Its counts; what stands around the results is left out by name."""
    stats = {"successes": 1, "failures": 1, "errors": 0}
    found = _results({"provider": "x"}, stats=stats, table={"head": 1}, prompts=[])
    assert found.words == [Differs("the evaluation", "results", 2, 1), LeftOut("the evaluation's table")]
    assert _results({"provider": "x"}, {"provider": "y"}, stats=stats).words == []


def test_a_result_keeps_what_has_no_column() -> None:
    """Under its own name; an error that is an object is its JSON, and an errored result has failed."""
    result = {"provider": {"id": "a:b", "label": "mine"}, "testIdx": 4, "error": {"code": 5}, "failureReason": 2}
    found = _results(result | {"gradingResult": {"pass": False, "comment": "c"}})
    [started], [finished] = of(found, "run.started"), of(found, "run.finished")
    assert started["config_snapshot"]["provider_details"] == {"label": "mine"}
    assert (finished["status"], finished["error_message"], finished["testIdx"]) == ("failed", '{"code": 5}', 4)
    assert finished["grading"] == {"pass": False, "comment": "c"}


def test_a_time_of_an_evaluation_that_cannot_be_read_is_never_replaced() -> None:
    """The file is refused until `--start` says when it was."""
    with pytest.raises(Unreadable, match="its timestamp 'then' is not a time"):
        _results({"provider": "x"}, timestamp="then")
