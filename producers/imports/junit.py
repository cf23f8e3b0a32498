"""JUnit's XML, as nearly every test runner writes it: a suite is a run, a test case a node and an assertion."""

import json
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from xml.etree.ElementTree import Element, ParseError, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from producers.imports.imported import (
    MAX_LABEL,
    MAX_NAME,
    MAX_TEXT_BYTES,
    Imported,
    Origin,
    Refused,
    Unreadable,
    count,
    instant,
    milliseconds,
    of_whole,
    shown,
    text,
    timeline,
)
from producers.storable import clean, cut
from producers.timeline import Timeline

KIND = "junit"
_BAD = ("failure", "error")


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """The runs of a file, in its order. A test case without a name is refused."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise Unreadable(f"{name} is no XML that can be read: {error}"[:300]) from None
    if root.tag not in ("testsuites", "testsuite"):
        raise Unreadable(f"{name} is XML, but its root is <{root.tag[:100]}>, not <testsuites> or <testsuite>")
    found, seen = Imported(), Counter[str]()
    for number, suite in enumerate(_suites(root), 1):
        title = text(suite.get("name"), MAX_NAME) or f"suite {number}"
        identity = _identity(suite)
        seen[identity] += 1
        line = timeline(origin, KIND, [identity, seen[identity]], instant(suite.get("timestamp")))
        _suite(suite, title, name, line, found)
    return found


read = of_whole(events)


def _identity(suite: Element) -> str:
    """A digest of all that a suite holds, but for the suites in it."""
    digest = sha256(json.dumps(sorted(suite.items())).encode())
    for own in suite:
        if own.tag != "testsuite":
            digest.update(tostring(own))
    return digest.hexdigest()


def _suites(root: Element) -> Iterator[Element]:
    """Every suite that has test cases of its own; suites nest, to any depth."""
    for suite in root.iter("testsuite"):
        if suite.find("testcase") is not None or suite.find("testsuite") is None:
            yield suite


def _suite(suite: Element, title: str, name: str, line: Timeline, found: Imported) -> None:
    cases = suite.findall("testcase")
    properties = {p.get("name") or "": clean(p.get("value") or "") for p in suite.iterfind("properties/property")}
    config = {"suite": title, "hostname": suite.get("hostname"), "properties": properties or None}
    line.add(
        "run.started",
        line.run,
        "",
        {
            "kind": "test",
            "source": KIND,
            "external_ref": title,
            "input_filename": name.rpartition("/")[2][:MAX_NAME],
            "config_snapshot": {key: value for key, value in config.items() if value},
        },
    )
    tally = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for place, case in enumerate(cases, 1):
        if not text(case.get("name"), MAX_NAME):
            found.refused.append(Refused(f"suite {title}, test case {place}", "it has no name"))
            continue
        outcome, said = _outcome(case)
        tally["tests"] += 1
        if outcome != "passed":
            tally[{"failure": "failures", "error": "errors", "skipped": "skipped"}[outcome]] += 1
        _case(case, place, outcome, said, line)
    failed = bool(tally["failures"] or tally["errors"])
    line.add(
        "run.finished",
        line.run,
        "",
        {
            "status": "failed" if failed else "completed",
            "duration_ms": milliseconds(suite.get("time")) if suite.get("time") else None,
            "results_summary": tally | {"said": counted} if (counted := _said(suite)) else tally,
            "error_message": f"{tally['failures']} failed, {tally['errors']} with errors" if failed else None,
        },
    )
    found.events += line.take()


def _case(case: Element, place: int, outcome: str, said: str | None, line: Timeline) -> None:
    of_class, own = text(case.get("classname"), MAX_NAME), text(case.get("name"), MAX_NAME)
    duration = milliseconds(case.get("time")) if case.get("time") else None
    status = {"passed": "completed", "skipped": "skipped"}.get(outcome, "failed")
    started = line.moment()
    line.add(
        "node.executed",
        line.run,
        f"{place}",
        {
            "node_name": f"{of_class}::{own}" if of_class else own,
            "status": status,
            "iteration": place,
            "started_at": shown(started),
            "duration_ms": duration,
            "error_message": said if outcome in _BAD else None,
        },
    )
    if outcome != "skipped":
        printed = "\n".join(e.text or "" for e in case if e.tag in ("system-out", "system-err")).strip()
        line.add(
            "assertion.evaluated",
            line.run,
            f"{place}",
            {
                "assertion_type": "testcase",
                "passed": outcome == "passed",
                "assertion_value": {"classname": of_class, "name": own, "file": case.get("file")},
                "failure_reason": said if outcome in _BAD else None,
                "output_text": cut(clean(printed), MAX_TEXT_BYTES) if printed else None,
            },
        )
    line.now_ms += duration or 0


def _outcome(case: Element) -> tuple[str, str | None]:
    """How a test case ended, and what is said of it."""
    for tag in (*_BAD, "skipped"):
        element = case.find(tag)
        if element is not None:
            parts = [element.get("message") or "", (element.text or "").strip()]
            said = "\n".join(part for part in parts if part) or (element.get("type") or tag)
            return tag, cut(clean(said), MAX_TEXT_BYTES)
    return "passed", None


def _said(suite: Element) -> dict[str, int] | None:
    """The suite's own counts."""
    numbers = {n: c for n in ("tests", "failures", "errors", "skipped") if (c := _whole(suite.get(n))) is not None}
    return numbers or None


def _whole(said: str | None) -> int | None:
    return count(int(said)) if said and said.isdecimal() and len(said) < MAX_LABEL else None
