"""What promptfoo writes (`promptfoo eval -o FILE`, .json or .jsonl): each result is a run, each check an assertion."""

import json
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from typing import Any, NamedTuple

from producers.account import Differs, LeftOut, Part, Refused, Unplaced, Word
from producers.imports.imported import (
    DAY_MS,
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    MAX_NAME,
    MAX_TEXT_BYTES,
    Imported,
    Origin,
    Unreadable,
    json_lines,
    json_value,
    of_whole,
    timeline,
)
from producers.imports.members import Members
from producers.storable import clean
from producers.timeline import Timeline
from producers.values import NotUnderstood, count, flag, milliseconds, money

KIND = "promptfoo"
VERSIONS = (2, 3)
ERRORED = 2  # promptfoo's failureReason: the result is no answer at all


class Evaluation(NamedTuple):
    """The results of a file, and what stands around them."""

    results: list[Any]
    outer: Members
    summary: Members


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """The runs of one evaluation, in its order. A result that is not an object is refused. Raises Unreadable."""
    found = Imported()
    evaluation = _evaluation(content, name, found.words)
    part = evaluation.summary.part
    try:
        stamp = evaluation.summary.take("timestamp")
        began = part.began("timestamp", stamp, origin.start)
    except Unplaced as unplaced:
        raise Unreadable(f"{name}: {unplaced}") from None
    identity = evaluation.outer.text(MAX_NAME, "evalId") or part.text("timestamp", stamp, MAX_NAME)
    for place, result in enumerate(evaluation.results, 1):
        if not isinstance(result, dict):
            found.words.append(Refused(f"result {place}", "it is not an object"))
            continue
        line = timeline(origin, KIND, [identity, place, result.get("id"), _prompt(result)], began)
        _result(Members(result, Part(f"result {place}", found.words)), identity, line)
        found.events += line.take()
    _around(evaluation, found.words)
    return found


read = of_whole(events, "promptfoo")


def _evaluation(content: bytes, name: str, words: list[Word]) -> Evaluation:
    """The whole of `-o x.json`, its summary alone, a list of results, or one result a line."""
    part = Part("the evaluation", words)
    try:
        whole = json_value(content, name, "promptfoo's results")
    except Unreadable:
        lines = list(json_lines(BytesIO(content)))
        results = [line.members for line in lines if not isinstance(line, Refused)]
        if not any(map(_is_result, results)):
            raise
        words += [line for line in lines if isinstance(line, Refused)]
        return Evaluation(results, Members({}, part), Members({}, part))
    outer = Members(whole if isinstance(whole, dict) else {}, part)
    if isinstance(whole, list) and whole and all(map(_is_result, whole)):
        return Evaluation(whole, outer, Members({}, part))
    if _is_result(whole) and "results" not in whole:
        return Evaluation([whole], Members({}, part), Members({}, part))
    if isinstance(outer.left.get("results"), list):
        summary, outer = outer, Members({}, part)
    elif isinstance(outer.left.get("results"), dict):
        summary = Members(outer.take("results"), part)
    else:
        raise Unreadable(f"{name} has no list results.results; write it by `promptfoo eval -o {name}`")
    results = summary.left.pop("results", None)
    if not isinstance(results, list):
        raise Unreadable(f"{name} has no list results.results; write it by `promptfoo eval -o {name}`")
    version = summary.take("version")
    if version is not None and version not in VERSIONS:
        raise Unreadable(f"{name} is of version {version!r} of promptfoo's results; 2 and 3 are known")
    return Evaluation(results, outer, summary)


def _is_result(value: Any) -> bool:
    return isinstance(value, dict) and "provider" in value and ("prompt" in value or "response" in value)


def _around(evaluation: Evaluation, words: list[Word]) -> None:
    """What stands around the results: their number as the file states it, and what is left out."""
    stats = evaluation.summary.object("stats")
    numbers = [evaluation.summary.part.read(n, stats.get(n), count) for n in ("successes", "failures", "errors")]
    if any(number is not None for number in numbers):
        stated = sum(number or 0 for number in numbers)
        if stated != len(evaluation.results):
            words.append(Differs("the evaluation", "results", stated, len(evaluation.results)))
    for members in (evaluation.outer, evaluation.summary):
        words += [
            LeftOut(f"the evaluation's {clean(name)[:MAX_NAME]}") for name, value in members.left.items() if value
        ]


def _result(result: Members, evaluation: str | None, line: Timeline) -> None:
    item, words = result.part.item, result.part.words
    details = {name: _details(result.left.get(name)) for name in ("provider", "prompt")}
    prompt, case = _prompt(result.left), Members(result.object("testCase"), Part(item, words))
    provider, model = _provider(result.take("provider"))
    result.take("prompt")
    config = {f"{name}_details": value for name, value in details.items() if value} | {
        "prompt": prompt,
        "vars": result.take("vars") or case.take("vars"),
        "description": result.take("description") or case.take("description"),
    }
    line.add(
        "run.started",
        line.run,
        "",
        {
            "kind": "test",
            "source": KIND,
            "external_ref": evaluation,
            "provider": result.part.text("provider", provider, MAX_LABEL),
            "model": result.part.text("model", model, MAX_MODEL),
            "config_snapshot": result.part.json("prompt", config, MAX_JSON_BYTES),
            **({"test_case": rest} if (rest := case.rest()) else {}),
        },
    )
    response = Members(result.object("response"), Part(item, words))
    output = response.take("output")
    latency = result.read(milliseconds, "latencyMs")
    line.now_ms += min(latency or 0, DAY_MS)
    grading = Members(result.object("gradingResult"), Part(item, words))
    for place, check in enumerate(_checks(grading, words), 1):
        said = output if isinstance(output, str) else None
        _check(Members(check, Part(f"{item}, check {place}", words)), place, said, line)
    usage = Members(result.object("tokenUsage") or response.object("tokenUsage"), Part(item, words))
    error = result.part.long_text("error", _error(result, response), MAX_JSON_BYTES)
    errored = (bool(error) and not grading.left) or result.left.get("failureReason") == ERRORED
    cost, of_response = result.read(money, "cost"), response.read(money, "cost")
    summary = {"success": result.take("success"), "score": result.take("score"), "output": output}
    finished = {
        "status": "failed" if errored else "completed",
        "latency_ms": latency,
        "tokens_input": usage.read(count, "prompt"),
        "tokens_output": usage.read(count, "completion"),
        "cost_usd": of_response if cost is None else cost,
        "results_summary": result.part.json("output", summary, MAX_JSON_BYTES),
        "error_message": error,
    }
    left = {"grading": grading.rest(), "response": response.rest(), "tokens": usage.rest()}
    left |= {name: value for name, value in result.rest().items() if name not in finished}
    line.add("run.finished", line.run, "", finished | {name: value for name, value in left.items() if value})


def _error(result: Members, response: Members) -> str | None:
    """All that is said of what went wrong; an object as its JSON."""
    said = [members.take("error") for members in (result, response)]
    texts = [one if isinstance(one, str) else json.dumps(one, default=_plain) for one in said if one]
    return clean("\n".join(dict.fromkeys(texts))) or None


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


def _checks(grading: Members, words: list[Word]) -> Iterator[dict[str, Any]]:
    """The checks of a result, also those in a set of them; a grading without any is the one check itself."""
    waiting = list(reversed(grading.list("componentResults")))
    if not waiting and grading.left.get("pass") is not None and grading.left.get("assertion"):
        yield {name: grading.take(name) for name in list(grading.left)}
    place = 0
    while waiting:
        check = waiting.pop()
        if not isinstance(check, dict):
            words.append(Refused(f"{grading.part.item}, a check", "it is not an object"))
            continue
        place += 1
        inner = check.get("componentResults")
        yield {
            name: value for name, value in check.items() if name != "componentResults" or not isinstance(value, list)
        }
        waiting += reversed(inner if isinstance(inner, list) else [])


def _check(check: Members, place: int, output: str | None, line: Timeline) -> None:
    try:
        said = check.take("pass")
        passed = None if said is None else flag(said)
    except NotUnderstood:
        passed = None
    if passed is None:
        check.part.words.append(Refused(check.part.item, "it does not say whether it passed (pass)"))
        return
    assertion = Members(check.object("assertion"), Part(check.part.item, check.part.words))
    data = {
        "assertion_type": assertion.text(MAX_NAME, "type") or "check",
        "passed": passed,
        "assertion_value": assertion.json(MAX_JSON_BYTES // 4, "value"),
        "actual_value": {"score": check.json(MAX_LABEL * 10, "score")},
        "failure_reason": check.part.long_text("reason", check.text(MAX_JSON_BYTES, "reason"), MAX_JSON_BYTES),
        "output_text": check.part.long_text("output", clean(output) if output else None, MAX_TEXT_BYTES),
    }
    left = {"assertion": assertion.rest()} | check.rest()
    if passed and data["failure_reason"]:
        left["reason"] = data.pop("failure_reason")
    line.add("assertion.evaluated", line.run, f"{place}", data | {n: v for n, v in left.items() if v and n not in data})


def _details(value: Any) -> dict[str, Any] | None:
    """What stands beside a provider's id, or a prompt's text."""
    return {n: v for n, v in value.items() if n not in ("id", "raw") and v} if isinstance(value, dict) else None


def _provider(provider: Any) -> tuple[str | None, str | None]:
    """`openai:chat:gpt-4o` as its first part and the rest."""
    name = provider.get("id") if isinstance(provider, dict) else provider
    head, _, rest = name.partition(":") if isinstance(name, str) else ("", "", "")
    return head or None, rest.removeprefix("chat:") or None


def _prompt(result: dict[str, Any]) -> Any:
    prompt = result.get("prompt")
    return prompt.get("raw") if isinstance(prompt, dict) else prompt
