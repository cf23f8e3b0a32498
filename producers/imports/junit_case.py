"""One <testcase> of JUnit's XML: how it ended, by all that says so, and everything that stands in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, tostring

from producers.account import Part
from producers.imports.imported import MAX_NAME, MAX_TEXT_BYTES
from producers.storable import clean
from producers.values import NotUnderstood, flag, instant, milliseconds_of_seconds

PROBLEMS = ("failure", "error")
ATTEMPTS = {
    "flakyFailure": "failure", "flakyError": "error", "rerunFailure": "failure", "rerunError": "error",
}  # fmt: skip
OUTPUT = ("system-out", "system-err")
_OUTCOMES = {
    "passed": "passed pass ok success successful succeeded completed complete run executed finished true",
    "failure": "failed fail failure broken assertionfailed false",
    "error": "error errored timeout timedout timed_out crashed aborted",
    "skipped": "skipped skip skipping ignored ignore disabled suppressed notrun not_run notrunnable notexecuted "
    "pending todo inconclusive untested undefined unknown excluded filtered cancelled canceled",
}
OUTCOMES = {word: outcome for outcome, words in _OUTCOMES.items() for word in words.split()}
_RANK = ("passed", "skipped", "error", "failure")  # the worst of what is said counts
_KNOWN = {"name", "classname", "time"}
NO_YEAR = 1970


@dataclass
class Case:
    """What a test case is. `failures` and `errors` are how many of each stand in it."""

    name: str
    of_class: str | None
    outcome: str  # passed, failure, error or skipped
    failures: int
    errors: int
    said: str | None
    """All that is said of why it failed, errored or was skipped."""
    duration_ms: int | None
    started_at: datetime | None
    output: str | None
    file: str | None
    snapshot: dict[str, Any] = field(default_factory=dict)

    @property
    def node_name(self) -> str:
        if self.of_class and self.of_class != self.name:
            return f"{self.of_class}::{self.name}"
        return self.name


def case(element: Element, place: int, part: Part) -> Case:
    """A test case, by its place from 1. One without a name has its class', or its place."""
    of_class = part.text("classname", element.get("classname"), MAX_NAME)
    own = part.text("name", element.get("name"), MAX_NAME)
    problems = [child for child in element if child.tag in PROBLEMS]
    skipped = [child for child in element if child.tag == "skipped"]
    failures, errors = (sum(p.tag == tag for p in problems) for tag in PROBLEMS)
    outcome = _outcome(element, failures, errors, bool(skipped), part)
    said = "\n\n".join(explained(child) for child in (problems or skipped)) or None
    if not said and outcome in PROBLEMS:
        said = next((f"{n}: {v}" for n, v in element.items() if OUTCOMES.get(_word(v)) == outcome), outcome)
    made = Case(
        name=own or of_class or f"test case {place}",
        of_class=of_class,
        outcome=outcome,
        failures=failures or int(outcome == "failure" and not errors),
        errors=errors or int(outcome == "error" and not failures),
        said=part.long_text("text", clean(said) if said else None, MAX_TEXT_BYTES),
        duration_ms=part.read("time", element.get("time"), milliseconds_of_seconds),
        started_at=_started_at(element, part) if outcome != "skipped" else None,
        output=part.long_text("output", printed(element), MAX_TEXT_BYTES),
        file=element.get("file"),
    )
    made.snapshot = _snapshot(element, made, problems, part)
    return made


def _started_at(element: Element, part: Part) -> datetime | None:
    """When it says that it began; 1970 stands for nothing."""
    found = part.read("timestamp", element.get("timestamp"), instant)
    return found if found and found.year > NO_YEAR else None


def _outcome(element: Element, failures: int, errors: int, is_skipped: bool, part: Part) -> str:  # noqa: FBT001
    """The worst of what its elements and attributes say; `passed` only when nothing says otherwise."""
    if failures or errors:
        return "failure" if failures else "error"
    found = ["skipped"] * is_skipped
    for name in ("status", "result", "outcome"):
        said = part.read(name, element.get(name), _outcome_of)
        if said or name in part.kept:
            found.append(said or "skipped")
    not_run = (("executed", False), ("skipped", True), ("disabled", True), ("ignored", True))
    found += ["skipped" for name, word in not_run if _flag(element.get(name)) is word]
    if element.get("failure") or (_flag(element.get("success")) is False and not found):
        found.append("failure")
    return max(found, key=_RANK.index, default="passed")


def _flag(value: str | None) -> bool | None:
    """None for what is not there, and for what says something else: the attribute is in the snapshot as it is."""
    try:
        return None if value is None else flag(value)
    except NotUnderstood:
        return None


def _word(value: str) -> str:
    return value.strip().lower().replace(" ", "").replace("-", "")


def _outcome_of(value: Any) -> str:
    if (known := OUTCOMES.get(_word(str(value)))) is None:
        raise NotUnderstood("not a word for how a test ends; the case is stored as not run")
    return known


def explained(problem: Element) -> str:
    """The message and the text of a problem; its type, or its tag, where it has neither."""
    message, inner = (problem.get("message") or "").strip(), "".join(problem.itertext()).strip()
    parts = [inner] if inner.startswith(message) else [message, inner]
    return "\n".join(part for part in parts if part) or problem.get("type") or problem.tag


def about(problem: Element) -> dict[str, Any]:
    """A problem without its text: what kind, and its attributes."""
    return {"kind": problem.tag, **{name: clean(value) for name, value in problem.items()}}


def printed(element: Element) -> str | None:
    """What stands in the outputs of a suite or a case, in order."""
    texts = ["".join(child.itertext()) for child in element if child.tag in OUTPUT]
    return clean("\n".join(texts).strip()) or None


def properties(element: Element) -> dict[str, Any]:
    """Names and values of its properties; several values of one name are a list."""
    found: dict[str, Any] = {}
    for name, value in _pairs(element):
        if name in found:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
        else:
            found[name] = value
    return found


def _pairs(element: Element) -> Iterator[tuple[str, str]]:
    for holder in element:
        for one in holder.iter("property") if holder.tag in ("properties", "property") else ():
            value = one.get("value")
            yield clean(one.get("name") or ""), clean("".join(one.itertext()).strip() if value is None else value)


def other(element: Element, known: set[str]) -> dict[str, Any]:
    """What else stands in an element: each under its tag, as its text, or as XML where it holds elements."""
    found: dict[str, Any] = {}
    for child in element:
        if child.tag not in known:
            inner = "".join(child.itertext()).strip()
            whole = tostring(child, encoding="unicode").strip()
            found.setdefault(child.tag, []).append(
                clean(inner if inner and not len(child) and not child.items() else whole)
            )
    loose = [element.text, *(child.tail for child in element)]
    if texts := [clean(text.strip()) for text in loose if text and text.strip()]:
        found["text"] = texts
    return found


def _snapshot(element: Element, made: Case, problems: list[Element], part: Part) -> dict[str, Any]:
    """All of a case that has no column."""
    found: dict[str, Any] = {
        "attributes": {name: clean(value) for name, value in element.items() if name not in _KNOWN},
        "properties": properties(element),
        "problems": [about(problem) for problem in problems],
        "attempts": [_attempt(child) for child in element if child.tag in ATTEMPTS],
        "skipped": made.said if made.outcome == "skipped" else None,
        "output": made.output if made.outcome == "skipped" else None,
        "other": other(element, {*PROBLEMS, *ATTEMPTS, *OUTPUT, "skipped", "properties", "property", "testcase"}),
        **part.beside(),
    }
    return {name: value for name, value in found.items() if value}


def _attempt(child: Element) -> dict[str, Any]:
    """A run of the case before the one that counts."""
    found = {"outcome": ATTEMPTS[child.tag], **about(child)}
    found |= {part.tag: clean((part.text or "").strip()) for part in child}
    if child.text and child.text.strip():
        found["text"] = clean(child.text.strip())
    return found
