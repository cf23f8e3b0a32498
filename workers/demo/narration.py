"""What the demonstration says: numbered steps and small tables on stdout, plain lines that fit 80 columns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from workers.cli.terminal import Output, print_rows, stdout

CUT = 42  # characters of the last column of a table


class Narrator:
    """Says each step as it begins."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._step = 0

    def step(self, title: str, *lines: str) -> None:
        """Begin the next step."""
        self._step += 1
        stdout.print()
        stdout.print(f"[{self._step}/{self._steps}] {title}", style="bold", markup=False)
        self.say(*lines)

    def say(self, *lines: str) -> None:
        """Lines of the step that runs."""
        for line in lines:
            stdout.print(f"  {line}" if line else "", markup=False)

    def table(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """A small table."""
        print_rows(rows, columns, Output.table)


def timeline(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A session's timeline for print."""
    return [{"time": clock(r["at"]), "event": short(r["event"]), "what": cut(r["what"])} for r in rows]


def nodes(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The nodes of a run for print."""
    return [
        {
            "time": clock(r["at"]),
            "node": r["node_name"],
            "status": r["status"],
            "ms": str(r["duration_ms"]),
            "error": cut(r["error_message"] or "", 30),
        }
        for r in rows
    ]


def history(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """An exception's history for print."""
    return [
        {
            "time": clock(r["at"]),
            "event": r["event_type"],
            "who": f"{r['actor_type']} {r['actor_id'] or ''}",
            "set": cut(changes(r["changes"]), 22),
        }
        for r in rows
    ]


def letters(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Dead letters for print: each reason, how many, and what was wrong with one of them."""
    counts = Counter(r["reason"] for r in rows)
    sample = {r["reason"]: r["error"] for r in rows}
    return [{"reason": reason, "n": str(n), "what": cut(sample[reason], 52)} for reason, n in sorted(counts.items())]


def changes(said: Mapping[str, Any] | None) -> str:
    """`set`, as `status=open severity=high`."""
    members = said or {}
    order = ("status", "severity", "owner")
    wanted = [name for name in order if name in members] or list(members)[:1]
    return " ".join(f"{name}={members[name]}" for name in wanted)


def clock(at: datetime) -> str:
    """The time of day, to the millisecond."""
    return at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03d}"


def short(kind: str) -> str:
    """`session.started` of `siltstone.session.started.v1`."""
    return kind.removeprefix("siltstone.").rsplit(".", 1)[0]


def cut(text: str, most: int = CUT) -> str:
    """One line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
