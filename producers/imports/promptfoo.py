"""What promptfoo writes (`promptfoo eval -o results.json`): each result is a run, each check an assertion."""

from typing import Any

from producers.imports.imported import (
    DAY_MS,
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    MAX_NAME,
    MAX_TEXT_BYTES,
    Imported,
    Origin,
    Refused,
    Unreadable,
    count,
    instant,
    json_object,
    money,
    of_whole,
    text,
    timeline,
)
from producers.storable import clean, cut, storable
from producers.timeline import Timeline

KIND = "promptfoo"
VERSIONS = (2, 3)


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """The runs of one evaluation, in its order. A result that is none is refused."""
    file = json_object(content, name, "promptfoo's results")
    summary = file.get("results")
    results = summary.get("results") if isinstance(summary, dict) else None
    if not isinstance(summary, dict) or not isinstance(results, list):
        raise Unreadable(f"{name} has no list results.results; write it by `promptfoo eval -o {name}`")
    if summary.get("version") not in VERSIONS:
        raise Unreadable(f"{name} is of version {summary.get('version')!r} of promptfoo's results; 2 and 3 are known")
    evaluation = text(file.get("evalId"), MAX_NAME) or text(summary.get("timestamp"), MAX_NAME)
    began = instant(summary.get("timestamp"))
    found = Imported()
    for place, result in enumerate(results, 1):
        if not isinstance(result, dict):
            found.refused.append(Refused(f"result {place}", "it is no object"))
            continue
        checks = _object(result.get("gradingResult")).get("componentResults") or []
        if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
            found.refused.append(Refused(f"result {place}", "its gradingResult.componentResults is no list of objects"))
            continue
        line = timeline(origin, KIND, [evaluation, place, result.get("id"), _prompt(result)], began)
        _result(result, checks, evaluation, line)
        found.events += line.take()
    return found


read = of_whole(events)


def _result(result: dict[str, Any], checks: list[dict[str, Any]], evaluation: str | None, line: Timeline) -> None:
    provider, model = _provider(result.get("provider"))
    case = _object(result.get("testCase"))
    line.add(
        "run.started",
        line.run,
        "",
        {
            "kind": "test",
            "source": KIND,
            "external_ref": evaluation,
            "provider": provider,
            "model": model,
            "config_snapshot": storable(
                {
                    "prompt": _prompt(result),
                    "vars": result.get("vars") or case.get("vars"),
                    "description": result.get("description") or case.get("description"),
                },
                MAX_JSON_BYTES,
            ),
        },
    )
    response = _object(result.get("response"))
    output = response.get("output")
    said = output if isinstance(output, str) else None
    line.now_ms += min(count(result.get("latencyMs")) or 0, DAY_MS)
    for place, check in enumerate(checks, 1):
        _check(check, place, said, line)
    tokens = _object(result.get("tokenUsage") or response.get("tokenUsage"))
    error = text(result.get("error") or response.get("error"), MAX_JSON_BYTES)
    is_failed = bool(error) and not _object(result.get("gradingResult"))
    cost = result.get("cost")
    line.add(
        "run.finished",
        line.run,
        "",
        {
            "status": "failed" if is_failed else "completed",
            "latency_ms": count(result.get("latencyMs")),
            "tokens_input": count(tokens.get("prompt")),
            "tokens_output": count(tokens.get("completion")),
            "cost_usd": money(response.get("cost") if cost is None else cost),
            "results_summary": storable(
                {"success": result.get("success"), "score": result.get("score"), "output": output}, MAX_JSON_BYTES
            ),
            "error_message": error,
        },
    )


def _check(check: dict[str, Any], place: int, output: str | None, line: Timeline) -> None:
    assertion = _object(check.get("assertion"))
    passed = bool(check.get("pass"))
    line.add(
        "assertion.evaluated",
        line.run,
        f"{place}",
        {
            "assertion_type": text(assertion.get("type"), MAX_NAME) or "check",
            "passed": passed,
            "assertion_value": storable(assertion.get("value"), MAX_JSON_BYTES // 4),
            "actual_value": storable({"score": check.get("score")}, MAX_LABEL * 10),
            "failure_reason": None if passed else text(check.get("reason"), MAX_JSON_BYTES),
            "output_text": cut(clean(output), MAX_TEXT_BYTES) if output else None,
        },
    )


def _provider(provider: Any) -> tuple[str | None, str | None]:
    """`openai:chat:gpt-4o` as its first part and the rest."""
    name = provider if isinstance(provider, str) else _object(provider).get("id")
    head, _, rest = name.partition(":") if isinstance(name, str) else ("", "", "")
    return text(head, MAX_LABEL), text(rest.removeprefix("chat:"), MAX_MODEL)


def _prompt(result: dict[str, Any]) -> Any:
    prompt = result.get("prompt")
    return _object(prompt).get("raw") if isinstance(prompt, dict) else prompt


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
