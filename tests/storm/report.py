"""What a storm was and how it ended, as a page of Markdown."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import NamedTuple

from tests.storm.faults import Struck

SAMPLE_SECONDS = 2.0
LONG_SECONDS = 300
MOST_MEMORY_MB = 300


class Strike(NamedTuple):
    """One fault, and in how many seconds after its end all was settled that came before."""

    struck: Struck
    recovered: float


@dataclass(slots=True)
class Report:
    """A storm's facts; it passed when `findings` is empty."""

    seed: int
    base: datetime
    records: int = 0
    events: int = 0
    letters: int = 0
    seconds: float = 0.0
    memory: Sequence[Sequence[float]] = ()  # of each worker, in MB, one sample every SAMPLE_SECONDS
    strikes: list[Strike] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def page(self) -> str:
        """The page."""
        kinds = sorted({strike.struck.name for strike in self.strikes})
        end = "passed" if not self.findings else "FAILED"
        facts = (
            (
                f"{self.records:,} records published and redriven, {self.events:,} different events, "
                f"{self.letters:,} bad records"
            ),
            f"{len(self.strikes)} faults of {len(kinds)} kinds, {len(self.memory)} workers started in all",
            self._memory(),
            ", ".join(
                (
                    f"Python {platform.python_version()}",
                    *(f"{name} {version(name)}" for name in ("aiokafka", "asyncpg", "faststream")),
                )
            ),
        )
        lines = [
            "# A storm",
            "",
            f"`make storm SEED={self.seed}`, {self.base:%Y-%m-%d}, {self.seconds / 60:.0f} minutes: {end}.",
            "",
            *(f"- {fact}" for fact in facts),
            "",
            "Every cell of every table was compared with the model, and every letter; then `siltstone verify` ran.",
            "",
            "| fault | times | lasted, median s | all settled again after, median s | worst s |",
            "|---|---:|---:|---:|---:|",
            *(self._row(kind) for kind in kinds),
        ]
        if self.findings:
            lines += ["", "## What was wrong", "", *(f"- {finding}" for finding in self.findings)]
        return "\n".join(lines) + "\n"

    def _memory(self) -> str:
        long = [growth(samples) for samples in self.memory if len(samples) * SAMPLE_SECONDS >= LONG_SECONDS]
        text = f"a worker's memory: at most {peak(self.memory):.0f} MB (limit {MOST_MEMORY_MB})"
        if not long:
            return text
        return (
            f"{text}; {len(long)} workers lived for over {LONG_SECONDS // 60} minutes: from its second third to its "
            f"last one grew by {statistics.median(long):.0f} MB (median), {max(long):.0f} MB (worst)"
        )

    def _row(self, kind: str) -> str:
        of_kind = [strike for strike in self.strikes if strike.struck.name == kind]
        again = [strike.recovered for strike in of_kind]
        lasted = statistics.median(strike.struck.seconds for strike in of_kind)
        return f"| {kind} | {len(of_kind)} | {lasted:.1f} | {statistics.median(again):.1f} | {max(again):.1f} |"


def peak(memory: Sequence[Sequence[float]]) -> float:
    """The most that any worker took."""
    return max(max(samples) for samples in memory)


def growth(samples: Sequence[float]) -> float:
    """From the median of the second third to that of the last: the first is the time in which caches fill."""
    third = len(samples) // 3
    return statistics.median(samples[-third:]) - statistics.median(samples[third:-third])
