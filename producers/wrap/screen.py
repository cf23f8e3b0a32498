"""What a terminal showed, as the lines that a person saw: each once, when nothing can change it any more.

A line ends at its LF and stays on the screen until as many follow as the screen has rows: so long a program may go up
and write over it, as progress bars and most agents do. Output that only goes down, nearly all there is, is kept as
text; where the cursor goes up, pyte draws, and the screen is text again once the cursor stands below everything.
"""

import codecs
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

import pyte
from pyte import modes

MAX_LINE_CHARACTERS = 65_536  # of a line without an end: what is longer is taken for several
CUT_CHARACTERS = 4_096  # the last of these, where a blank ends a part: a word, and a secret, stays whole
MAX_SIDE = 1_000  # columns and rows of a screen at most

_INVISIBLE = re.compile(
    r"""
      \x1b\[[0-9;:]*m                              # colours
    | \x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)          # titles and links
    | \x1b[P^_X][^\x1b\n]*\x1b\\                   # strings for the terminal itself
    | \x1b\[[<=>][0-9;:]*[\x20-/]*[@-~]            # questions to it, and keyboard protocols, which pyte would show
    | \x1b\[\?(?!(?:47|1047|1049)[hl])[0-9;]*[hl]  # modes, but the alternate screen
    | \x1b[()][0-9A-Za-z]                          # character sets
    | [\x00\x07]
    """,
    re.VERBOSE,
)
_ALTERNATE = re.compile(r"\x1b\[\?(?:47|1047|1049)([hl])")
_MOVES = re.compile(r"[\x08\x0b\x0c\x1b]")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|.)?|[\x08\x0b\x0c]")
_REDRAWN = "\x1b[2J\x1b[3J"  # how programs clear a screen that they are about to draw again


class Screen:
    """Output of a terminal of so many columns and rows to lines. Bytes that are no UTF-8 become U+FFFD."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = _side(columns), _side(rows)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = ""  # after the last LF
        self._held: deque[str] = deque()  # on the screen, above the cursor
        self._height = 0  # rows that they take
        self._grid: _Grid | None = None  # draws, where the cursor went up
        self._alternate = False

    def feed(self, output: bytes) -> Iterator[str]:
        """The lines that became final with this output."""
        *lines, self._tail = (self._tail + self._decoder.decode(output)).split("\n")
        for line in lines:
            yield from self._show(line, ended=True)
        while len(self._tail) > MAX_LINE_CHARACTERS:
            end = _end_of_part(self._tail)
            part, self._tail = self._tail[:end], self._tail[end:]
            yield from self._show(part, ended=self._grid is None and _MOVES.search(part) is None)

    def end(self) -> Iterator[str]:
        """The lines that are still on the screen."""
        if self._tail:
            tail, self._tail = self._tail, ""
            yield from self._show(tail, ended=self._grid is None)
        yield from self._leave()

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size from now on."""
        self._columns, self._rows = _side(columns), _side(rows)
        if self._grid:
            self._grid.resize(self._rows, self._columns)
        self._height = sum(map(self._rows_of, self._held))

    def last_lines(self, count: int) -> tuple[str, list[str]]:
        """The line that the cursor is on, and the last others that are not blank, the lowest first.

        As many as `count` where a program draws; where output only goes down, one.
        """
        tail = _overwritten(_ESCAPE.sub("", _INVISIBLE.sub("", self._tail)))
        if self._grid is None:
            above, count = list(self._held), 1
        else:
            above, at_cursor = self._grid.around_cursor()
            tail = at_cursor + tail
        return tail, [line for line in reversed(above) if line.strip()][:count]

    def _show(self, line: str, *, ended: bool) -> Iterator[str]:
        parts = _ALTERNATE.split(line)
        for number, part in enumerate(parts):
            if number % 2:
                yield from self._leave()
                self._alternate = part == "h"
                self._grid = _Grid(self._columns, self._rows) if self._alternate else None
            else:
                is_last = number == len(parts) - 1
                if part or is_last:
                    yield from self._draw(_INVISIBLE.sub("", part), ended=ended and is_last)

    def _draw(self, text: str, *, ended: bool) -> Iterator[str]:
        if self._grid is None:
            if ended and _MOVES.search(text) is None:
                yield from self._hold(_overwritten(text.removesuffix("\r")))
                return
            self._grid = _Grid(self._columns, self._rows)
            self._grid.show("".join(f"{line}\n" for line in self._held))
            self._held.clear()
            self._height = 0
        try:
            self._grid.show(text.replace(_REDRAWN, "\x1b[3J") + ("\n" if ended else ""))
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError):
            # What pyte cannot draw is shown without its sequences; the lines above it are final.
            yield from self._leave()
            yield from self._hold(_ESCAPE.sub("", text))
            return
        scrolled = self._grid.take()
        if self._alternate:
            return
        yield from scrolled
        if self._grid.is_calm():
            lines, self._grid = self._grid.whole_lines(), None
            for line in lines:
                yield from self._hold(line)

    def _hold(self, line: str) -> Iterator[str]:
        self._held.append(line)
        self._height += self._rows_of(line)
        while self._height >= self._rows and self._held:  # the cursor's row is one of them
            gone = self._held.popleft()
            self._height -= self._rows_of(gone)
            yield gone

    def _leave(self) -> Iterator[str]:
        """What is on the screen becomes final."""
        grid, self._grid = self._grid, None
        lines = grid.whole_lines() if grid else list(self._held)
        self._held.clear()
        self._height = 0
        yield from lines

    def _rows_of(self, line: str) -> int:
        return max(1, -(-len(line) // self._columns))


class _Grid(pyte.Screen):
    """pyte's screen, which keeps what scrolls off its top, and knows which rows only the window's width ended."""

    def __init__(self, columns: int, rows: int) -> None:
        self._scrolled: list[str] = []
        self._begun = ""  # of a line whose first rows have scrolled off
        self._is_drawing = False
        self._wrapped: set[int] = set()  # rows that go on in the next, by the identity of their cells
        super().__init__(columns, rows)
        self.set_mode(modes.LNM)  # a LF alone begins a line: logs have no CR
        self._stream = pyte.Stream(self)

    def show(self, text: str) -> None:
        self._stream.feed(text)

    def take(self) -> list[str]:
        """The lines that have scrolled off since the last call."""
        scrolled, self._scrolled = self._scrolled, []
        return scrolled

    def whole_lines(self) -> list[str]:
        """The lines on the screen, down to the last that is not blank or above the cursor."""
        last = max((y for y, row in self.buffer.items() if _text(row)), default=-1)
        lines, begun = [], self._begun
        for y in range(max(last + 1, self.cursor.y)):
            row = self.buffer[y]
            begun += _text(row)
            if id(row) not in self._wrapped:
                lines.append(begun)
                begun = ""
        return [*lines, begun] if begun else lines

    def around_cursor(self) -> tuple[list[str], str]:
        """The rows above and below the cursor's, and the cursor's own."""
        rows = [_text(self.buffer[y]) for y in range(self.lines)]
        return [row for y, row in enumerate(rows) if y != self.cursor.y], rows[self.cursor.y]

    def is_calm(self) -> bool:
        """Whether the cursor stands at the beginning of a line, and below everything."""
        below = any(_text(row) for y, row in self.buffer.items() if y >= self.cursor.y)
        return self.cursor.x == 0 and not below and self.margins is None and not self._begun

    def draw(self, data: str) -> None:
        self._is_drawing = True
        super().draw(data)
        self._is_drawing = False

    def linefeed(self) -> None:
        row = self.buffer[self.cursor.y]
        if self._is_drawing:
            self._wrapped.add(id(row))
        super().linefeed()

    def index(self) -> None:
        top, bottom = self.margins or (0, self.lines - 1)
        if self.cursor.y == bottom and top == 0:
            row = self.buffer[0]
            self._begun += _text(row)
            if id(row) in self._wrapped:
                self._wrapped.discard(id(row))
            else:
                self._scrolled.append(self._begun)
                self._begun = ""
        super().index()

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:  # noqa: FBT001, FBT002 - pyte's own form
        if how != 1:
            self._wrapped.discard(id(self.buffer[self.cursor.y]))
        super().erase_in_line(how, private)

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        if how == 2:  # noqa: PLR2004 - ECMA-48: the whole display; what was on it has been seen
            self._scrolled += self.whole_lines()
            self._begun = ""
        self._wrapped.clear()
        super().erase_in_display(how, *args, **kwargs)

    def reset(self) -> None:
        self._wrapped.clear()
        super().reset()


def _text(row: Any) -> str:
    """The characters of a row, to the last that is no space."""
    return "".join(row[x].data for x in range(max(row, default=-1) + 1)).rstrip()


def _end_of_part(text: str) -> int:
    """Behind the last blank near the limit of a line; the limit itself where there is none."""
    first = MAX_LINE_CHARACTERS - CUT_CHARACTERS
    blank = max(text.rfind(character, first, MAX_LINE_CHARACTERS) for character in " \t")
    return blank + 1 if blank >= 0 else MAX_LINE_CHARACTERS


def _overwritten(text: str) -> str:
    """A line as it looks once every CR in it took the cursor back."""
    if "\r" not in text:
        return text
    cells: list[str] = []
    for part in text.split("\r"):
        cells[: len(part)] = part
    return "".join(cells)


def _side(size: int) -> int:
    return min(max(size, 1), MAX_SIDE)
