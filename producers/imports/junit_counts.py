"""What a suite states of itself in numbers, beside what was found in it.

Reporters count differently: a case that failed twice is one failure or two, a skipped one is among the tests or is
not, errors are among the failures or are not, a suite counts the suites in it or does not. A number differs when none
of these ways gives it. How many were skipped is not compared: googletest, among others, leaves most of them out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from producers.account import Differs, Part
from producers.imports.junit_case import Case
from producers.values import count

COUNTED = ("tests", "failures", "errors", "skipped", "disabled")


@dataclass
class Tally:
    """How the cases of a suite ended; `elements` counts every failure and error, `problems` the suite's own."""

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    bad: int = 0
    elements: int = 0
    problems: int = 0

    def add(self, case: Case) -> None:
        self.tests += 1
        self.skipped += case.outcome == "skipped"
        self.failures += case.failures > 0
        self.errors += case.errors > 0
        self.bad += case.failures + case.errors > 0
        self.elements += case.failures + case.errors

    def include(self, other: "Tally") -> None:
        """Count what another one counted too."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def shown(self) -> dict[str, Any]:
        """As a run's summary has it; the suite's own errors are errors."""
        return {
            "tests": self.tests,
            "failures": self.failures,
            "errors": self.errors + self.problems,
            "skipped": self.skipped,
        }


def stated(element: Element, part: Part) -> dict[str, int]:
    """The numbers that an element states of itself."""
    said = {name: part.read(name, element.get(name), count) for name in COUNTED}
    return {name: number for name, number in said.items() if number is not None}


def differing(suites: Sequence[tuple[str, int | None, dict[str, int], Tally]]) -> Iterator[Differs]:
    """The numbers that no way of counting gives.

    Of each suite: its name, the place of the one that it is in, what it states, its tally; the outer one stands first.
    """
    whole = [Tally(**vars(tally)) for _, _, _, tally in suites]
    for place in range(len(suites) - 1, 0, -1):
        if (above := suites[place][1]) is not None:
            whole[above].include(whole[place])
    for (item, _, said, own), with_inner in zip(suites, whole, strict=True):
        yield from _differing(item, said, own, with_inner)


def _differing(item: str, said: dict[str, int], own: Tally, whole: Tally) -> Iterator[Differs]:
    tallies = (own, whole)
    if (tests := said.get("tests")) is not None:
        ways = {t.tests + more - fewer for t in tallies for more in (0, t.problems) for fewer in (0, t.skipped)}
        if tests not in ways:
            yield Differs(item, "tests", tests, whole.tests)
    bad = [said[name] for name in ("failures", "errors") if name in said]
    ways = {w + n for t in tallies for n in (0, t.problems) for w in (t.failures + t.errors, t.bad, t.elements)}
    if len(bad) == 1:  # the other is not stated, and may not be counted
        one = "failures" if "failures" in said else "errors"
        ways |= {getattr(t, one) + n for t in tallies for n in (0, t.problems)}
    if bad and not ways & {sum(bad), max(bad)}:
        yield Differs(item, "failures and errors", sum(bad), whole.bad + whole.problems)
