"""JUnit's XML, as nearly every test runner writes it: a suite is a run, a test case a node and an assertion.

Every test case counts, wherever it stands. What a suite states of itself (tests, failures, errors, skipped) is compared
with what was found in it.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from xml.etree.ElementTree import Element, tostring

from producers.account import LeftOut, Part, Refused, Unplaced
from producers.imports.imported import (
    MAX_JSON_BYTES,
    MAX_NAME,
    MAX_TEXT_BYTES,
    Imported,
    Origin,
    Unreadable,
    of_whole,
    shown,
    timeline,
)
from producers.imports.junit_case import OUTPUT, PROBLEMS, Case, about, case, explained, other, printed, properties
from producers.imports.junit_counts import COUNTED, Tally, differing, stated
from producers.imports.xml_text import tree
from producers.storable import clean
from producers.timeline import Timeline
from producers.values import milliseconds_of_seconds

KIND = "junit"
MAX_WITHIN = 32  # elements around a suite whose attributes it keeps, from the innermost
HOLDERS = ("testsuites", "testsuite")
KNOWN = {*PROBLEMS, *OUTPUT, *HOLDERS, "testcase", "skipped", "properties", "property"}
_KNOWN = {"name", "timestamp", "time", "hostname"}


@dataclass
class Suite:
    """An element that may hold test cases; `above` is its place in the file's list of them, None for the root."""

    element: Element
    above: int | None
    title: str
    within: tuple[dict[str, str], ...]
    hostname: str | None
    properties: dict[str, Any]
    part: Part
    stated: dict[str, int]
    began: datetime | None = None
    unplaced: str | None = None
    cases: list[Case] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def is_run(self) -> bool:
        """Whether it says anything of tests beside the suites in it, or is a <testsuite> with none."""
        own = {child.tag for child in self.element}
        return not own.isdisjoint(KNOWN - {*HOLDERS, "properties", "property"}) or (
            self.element.tag == "testsuite" and not self.cases and not _inner(self.element)
        )


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """The runs of a file, in its order. Raises Unreadable."""
    root, remarks = tree(content, name)
    if root.tag not in HOLDERS:
        raise Unreadable(f"{name} is XML, but its root is <{root.tag[:100]}>, not <testsuites> or <testsuite>")
    found, seen = Imported(words=list(remarks)), Counter[str]()
    filename = name.rpartition("/")[2][:MAX_NAME]
    suites = _suites(root, filename, origin)
    for suite in suites:
        if not suite.is_run:
            found.words += suite.part.words
            found.words += [LeftOut(f"<{tag[:100]}> in <{suite.element.tag}>") for tag in other(suite.element, KNOWN)]
            continue
        identity = _identity(suite.element)
        seen[identity] += 1
        if suite.unplaced:
            found.words.append(Refused(suite.part.item, suite.unplaced))
            continue
        line = timeline(origin, KIND, [identity, seen[identity]], suite.began)
        _run(suite, filename, line)
        found.events += line.take()
        found.words += suite.part.words
    found.words += differing([(s.part.item, s.above, s.stated, s.tally) for s in suites])
    return found


read = of_whole(events, "junit")


def _identity(suite: Element) -> str:
    """A digest of all that a suite holds, but for the suites in it."""
    digest = sha256(json.dumps(sorted(suite.items())).encode())
    for own in suite:
        if own.tag != "testsuite":
            digest.update(tostring(own))
    return digest.hexdigest()


def _inner(element: Element) -> list[Element]:
    """The suites in an element: also what is called something else and holds test cases."""
    return [
        child
        for child in element
        if child.tag in HOLDERS or (child.tag not in KNOWN and child.find(".//testcase") is not None)
    ]


def _suites(root: Element, filename: str, origin: Origin) -> list[Suite]:
    """The root and every suite in it, in the file's order; they nest to any depth."""
    found: list[Suite] = []
    waiting: list[tuple[Element, int | None]] = [(root, None)]
    number = 1
    while waiting:
        element, above = waiting.pop()
        suite = _suite(element, above, found, filename if above is None else f"suite {number}", origin)
        for outer in element.findall("testcase"):
            for one in outer.iter("testcase"):
                place = len(suite.cases) + 1
                suite.cases.append(case(one, place, Part(f"{suite.part.item}, test case {place}", suite.part.words)))
                suite.tally.add(suite.cases[-1])
        suite.tally.problems += sum(child.tag in PROBLEMS for child in element)
        number += suite.is_run
        found.append(suite)
        waiting += [(child, len(found) - 1) for child in reversed(_inner(element))]
    return found


def _suite(element: Element, above: int | None, before: list[Suite], alone: str, origin: Origin) -> Suite:
    """A suite without its cases; what it does not state of its time, host and properties is its holder's."""
    holder = None if above is None else before[above]
    part = Part(f"suite {(element.get('name') or '').strip()[:MAX_NAME] or alone.removeprefix('suite ')}")
    around = {name: clean(value) for name, value in holder.element.items()} if holder else {}
    within = (*(holder.within if holder else ()), *([around] if around else ()))[-MAX_WITHIN:]
    suite = Suite(
        element,
        above,
        part.text("name", element.get("name"), MAX_NAME) or alone,
        within,
        element.get("hostname") or (holder.hostname if holder else None),
        (holder.properties if holder else {}) | properties(element),
        part,
        stated(element, part),
    )
    try:
        suite.began = part.began("timestamp", element.get("timestamp"), origin.start)
    except Unplaced as unplaced:
        suite.unplaced = str(unplaced)
    if suite.began is None and suite.unplaced is None and holder:
        suite.began, suite.unplaced = holder.began, holder.unplaced
    return suite


def _run(suite: Suite, filename: str, line: Timeline) -> None:
    element, part = suite.element, suite.part
    config = {
        "suite": suite.title,
        "hostname": suite.hostname,
        "within": list(suite.within),
        "properties": suite.properties,
        "attributes": {n: clean(v) for n, v in element.items() if n not in _KNOWN and n not in COUNTED},
        "other": other(element, KNOWN | {child.tag for child in _inner(element)}),
    }
    line.add(
        "run.started",
        line.run,
        "",
        {
            "kind": "test",
            "source": KIND,
            "external_ref": suite.title,
            "input_filename": filename,
            "config_snapshot": part.json("configuration", {k: v for k, v in config.items() if v}, MAX_JSON_BYTES),
        },
    )
    for place, one in enumerate(suite.cases, 1):
        _case(one, place, line, Part(f"{part.item}, test case {place}", part.words))
    problems = [child for child in element if child.tag in PROBLEMS]
    said = "\n\n".join(explained(problem) for problem in problems)
    counted, tally = suite.stated, suite.tally
    lost = max(counted.get("failures", 0) + counted.get("errors", 0) - tally.bad - len(problems), 0)
    duration = part.read("time", element.get("time"), milliseconds_of_seconds)
    output = part.long_text("output", printed(element), MAX_TEXT_BYTES)
    summary = tally.shown() | ({"said": counted} if counted else {}) | ({"output": output} if output else {})
    line.add(
        "run.finished",
        line.run,
        "",
        {
            "status": "failed" if tally.bad or problems or (lost and not _inner(element)) else "completed",
            "duration_ms": duration,
            "results_summary": part.json("summary", summary, MAX_JSON_BYTES),
            "error_message": part.long_text("error", _message(tally, clean(said), lost), MAX_JSON_BYTES),
            "error_info": [about(problem) for problem in problems] or None,
            **part.beside(),
        },
    )


def _message(tally: Tally, said: str, lost: int) -> str | None:
    """What failed, in words: the suite's own errors first."""
    counts = f"{tally.failures} failed, {tally.errors} with errors" if tally.bad else ""
    missing = f"it states {lost} failures or errors that are not in it" if lost and not (said or counts) else ""
    return "\n\n".join(text for text in (said, counts, missing) if text) or None


def _case(one: Case, place: int, line: Timeline, part: Part) -> None:
    bad = one.outcome in PROBLEMS
    line.add(
        "node.executed",
        line.run,
        f"{place}",
        {
            "node_name": one.node_name,
            "status": {"passed": "completed", "skipped": "skipped"}.get(one.outcome, "failed"),
            "iteration": place,
            "started_at": shown(one.started_at or line.moment()),
            "duration_ms": one.duration_ms,
            "state_snapshot": part.json("details", one.snapshot, MAX_JSON_BYTES) if one.snapshot else None,
            "error_message": one.said if bad else None,
        },
    )
    if one.outcome != "skipped":
        line.add(
            "assertion.evaluated",
            line.run,
            f"{place}",
            {
                "assertion_type": "testcase",
                "passed": not bad,
                "assertion_value": {"classname": one.of_class, "name": one.name, "file": one.file},
                "failure_reason": one.said if bad else None,
                "output_text": one.output,
            },
        )
    line.now_ms += one.duration_ms or 0
