"""Frames to the events of one session: when it started, what its output shows, when it waited, how it ended.

The events are made from what is known of the session, its frames and the patterns alone: read twice, they are the
same, so that what was sent in part can be sent again from the beginning.
"""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

from producers.found import captured, edited, reported
from producers.storable import clean, storable
from producers.text_findings import MAX_LINE_CHARACTERS, CodeBlock, Errors, Fences
from producers.timeline import Timeline
from producers.wrap.frames import About, Frame, Kind
from producers.wrap.patterns import Match, Patterns
from producers.wrap.screen import Screen

PAUSE_US = 1_000_000  # without output: it may be waiting for an answer
LINES_OF_A_PROMPT = 8
MAX_OF_A_PATTERN = 1_000  # recorded of one pattern in one session; the others are counted
MAX_METADATA_BYTES = 64 * 1024


class Session:
    """One session; take() gives the events that its frames have made so far."""

    def __init__(self, about: About, patterns: Patterns, mask: Callable[[str], str]) -> None:
        self._timeline = Timeline(about.key, about.tenant, about.source, about.started)
        self._agent = patterns.agent(about.agent)
        self._in_lines = patterns.of(about.agent, "line")
        self._in_pauses = patterns.of(about.agent, "pause")
        self._metadata = dict(about.metadata)
        self._mask = mask
        self._screen = Screen(about.columns, about.rows)
        self._fences = Fences()
        self._errors = Errors()
        self._lines = 0
        self._found: Counter[str] = Counter()
        self._last_us = 0  # of the last output
        self._has_paused = False  # since then
        self._is_waiting = False
        self._question: str | None = None  # that was asked last
        self.has_ended = False
        self._begin(about)

    @property
    def id(self) -> str:
        """The session's id, the subject of its events."""
        return self._timeline.session

    def take(self) -> list[dict[str, Any]]:
        """The events since the last call, in order."""
        return self._timeline.take()

    def feed(self, frame: Frame) -> None:
        """What happened next; nothing after it has ended."""
        self.pass_time(frame.at_us)
        self._move_to(frame.at_us)
        match frame.kind:
            case Kind.OUTPUT:
                self._output(frame)
            case Kind.RESIZE:
                columns, rows = (int(side) for side in frame.data.split()[:2])
                self._screen.resize(columns, rows)
            case Kind.CUT:
                self._tell("cut", {"incomplete": frame.data.decode()})
            case Kind.ENDED:
                self._finish()
                self._complete(int(frame.data) if frame.data else None)
                self.has_ended = True

    def pass_time(self, now_us: int) -> None:
        """Nothing was printed until now: look whether the last lines ask for an answer."""
        if self._has_paused or now_us - self._last_us < PAUSE_US:
            return
        self._has_paused = True
        at_cursor, others = self._screen.last_lines(LINES_OF_A_PROMPT)
        shown = [at_cursor, *(line for line in others if not self._is_answered(line))]
        mask = copy.copy(self._mask)  # these lines come again, when they are final
        found = self._in_pauses.first(clean(mask(line))[-MAX_LINE_CHARACTERS:] for line in shown)
        if found is None:
            return
        match, line = found
        self._move_to(self._last_us + PAUSE_US)
        pattern = match.pattern
        prompt = {"event_type": pattern.event_type, "pattern": pattern.name, "matched_value": match.value}
        self._record(f"pause:{self._last_us}", prompt | {"original_line": line}, match)
        self._state("waiting")
        self._is_waiting, self._question = True, line.strip()

    def _is_answered(self, line: str) -> bool:
        """Whether a line is the last question, with what was typed behind it."""
        return self._question is not None and copy.copy(self._mask)(line).strip().startswith(self._question)

    def abandon(self) -> None:
        """The frames end here, though the program has not: whoever recorded it was killed."""
        self._finish()
        self._tell("end", {"abandoned": "the recording ends without an end of the program"})
        self._state("abandoned")

    def _begin(self, about: About) -> None:
        self._add("session.started", "", {"agent_name": about.agent})
        if about.metadata:
            self._tell("begin", {})

    def _output(self, frame: Frame) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._state("running")
        self._last_us, self._has_paused = frame.at_us, False
        for line in self._screen.feed(frame.data):
            self._line(line)

    def _line(self, written: str) -> None:
        """One line that nothing can change any more."""
        line = clean(self._mask(written))
        self._lines += 1
        block = self._fences.end() if self._agent.begins_text(line) else None
        for done in (block, self._fences.feed(line)):
            self._block(done)
        for error in self._errors.feed(line):
            self._record(f"error:{error.line_number}", reported(error))
        seen = line[:MAX_LINE_CHARACTERS]
        for match in self._in_lines.matches(seen):
            pattern = match.pattern
            data: dict[str, Any] = {"event_type": pattern.event_type, "pattern": pattern.name}
            data |= {"matched_value": match.value, "original_line": seen, "line_number": self._lines}
            self._record(f"line:{self._lines}", data, match)

    def _block(self, block: CodeBlock | None) -> None:
        """A fenced block that is at its end: code, or an edit of a file."""
        if block is None:
            return
        if block.is_edit:
            self._record(f"edit:{block.line_start}", edited(self._agent.name, block, {}))
        else:
            self._add("code_block.captured", f"{block.line_start}", captured(self._agent.name, block, {}))

    def _finish(self) -> None:
        for line in self._screen.end():
            self._line(line)
        self._block(self._fences.end())
        for error in self._errors.end():
            self._record(f"error:{error.line_number}", reported(error))

    def _complete(self, exit_code: int | None) -> None:
        """The end; where nobody knows the exit code, no success is made of that."""
        if left_out := {p: n - MAX_OF_A_PATTERN for p, n in self._found.items() if n > MAX_OF_A_PATTERN}:
            self._tell("counted", {"counted_only": left_out})
        recorded = sum(min(n, MAX_OF_A_PATTERN) for n in self._found.values())
        totals = {"total_lines_processed": self._lines, "total_extraction_events": recorded}
        if exit_code is None:
            self._add("session.updated", "ended", {"state": "ended", "ended_at": self._timeline.now(), **totals})
        else:
            self._add("session.completed", "", {"exit_code": exit_code, **totals})

    def _record(self, label: str, data: dict[str, Any], match: Match | None = None) -> None:
        name = data["pattern"]
        self._found[name] += 1
        if self._found[name] > MAX_OF_A_PATTERN:
            return
        if match:
            pattern = match.pattern
            data |= {"metadata": match.groups or None, "risk_level": pattern.risk}
            data |= {"auto_confirmable": pattern.auto_confirmable}
        self._add("extraction.recorded", f"{name}:{label}", {"agent_name": self._agent.name, **data})

    def _tell(self, label: str, more: dict[str, Any]) -> None:
        """All that is known of the session: its metadata is replaced as a whole."""
        self._metadata |= more
        self._add("session.updated", label, {"metadata": storable(self._metadata, MAX_METADATA_BYTES)})

    def _state(self, state: str) -> None:
        self._add("session.state_changed", f"{state}:{self._last_us}", {"state": state})

    def _add(self, noun: str, label: str, data: dict[str, Any]) -> None:
        self._timeline.add(noun, self._timeline.session, label, data)

    def _move_to(self, at_us: int) -> None:
        """Never back: events are 1 ms apart, and may be ahead of the frames."""
        self._timeline.now_ms = max(self._timeline.now_ms, at_us // 1000)
