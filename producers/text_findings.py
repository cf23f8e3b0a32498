"""What an agent's text shows: fenced blocks of code, and lines that report an error; whole texts, or line by line.

Both take time linear in the text: a line is read once, and at most MAX_LINE_CHARACTERS of it are matched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from producers.parsing import parses

MAX_LINE_CHARACTERS = 4_096  # of a line that is matched and kept
MAX_MATCH_CHARACTERS = 1_024  # of the matched part that is kept
MAX_LANGUAGE_CHARACTERS = 50
MAX_BLOCK_CHARACTERS = 1_048_576  # of a block that are kept: no event holds more

# By how far an error reaches: the machine, the program, the agent's own code or command, a question.
RISK = {
    "crash": "critical",
    "timed_out": "high",
    "python_traceback": "high",
    "python_exception": "high",
    "permission_denied": "high",
    "syntax_error": "medium",
    "lint_error": "medium",
    "test_failure": "medium",
    "error_message": "medium",
    "command_not_found": "medium",
    "no_such_file": "low",
}
# Patterns that a file's text may hold without anything having gone wrong where it was read.
READABLE = frozenset({"python_traceback", "python_exception", "syntax_error", "lint_error", "test_failure"})

_TRACEBACK = "Traceback (most recent call last):"
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})(.*)")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_NUMBERED = re.compile(r"\d+:|\+|-(?! |(?:ba)?sh: )")  # a line of a file as editors and diffs show it
_PATTERNS = (
    ("lint_error", re.compile(r"(?:- |\S+:\d+:\d+: )(?=[EF]\d{3} )")),
    ("test_failure", re.compile(r"FAILED |FAIL: ")),
    ("timed_out", re.compile(r"(?:EXECUTION|COMMAND) TIMED OUT")),
    ("crash", re.compile(r"panic: |Segmentation fault|.*(?:[Oo]ut of memory|No space left on device)")),
    (
        "error_message",
        re.compile(r"(?i) {0,2}(?:\S+: )?(?:(?:fatal )?error(?:\[\w+\])?:(?: |$)|fatal: |npm ERR! )"),
    ),
)
_ENDINGS = (
    ("command_not_found", "command not found"),
    ("command_not_found", ": not found"),
    ("no_such_file", "No such file or directory"),
    ("permission_denied", "Permission denied"),
)


# The three lines of an edit, as Aider and Cline write it; a merge's conflict (<<<<<<< HEAD) is code.
_MARKS = (
    re.compile(r"(?:<{5,9}|-{5,9}) ?(?:SEARCH|ORIGINAL)>?[ \t]*"),
    re.compile(r"={5,9}[ \t]*"),
    re.compile(r"(?:>{5,9}|\+{5,9}) ?(?:REPLACE|UPDATED)>?[ \t]*"),
)


class CodeBlock(NamedTuple):
    """line_start and line_end are those of the content, 1-based and inclusive, in the text around it."""

    content: str
    language: str | None
    line_start: int
    line_end: int
    before: str | None  # the last line before the fence that is not blank
    closed: bool
    parseable: bool | None  # None: see producers/parsing.py; or content is not whole
    characters: int  # of the whole block; content has fewer of one above MAX_BLOCK_CHARACTERS

    @property
    def is_edit(self) -> bool:
        """Whether it is no code, but what to search for in a file and what to put in its place."""
        found = 0
        for line in lines_of(self.content):
            found += bool(_MARKS[found].fullmatch(line))
            if found == len(_MARKS):
                return True
        return False


class ErrorLine(NamedTuple):
    """matched is without colours; a traceback has its first line and line_number, and matches its last."""

    pattern: str  # a key of RISK
    matched: str
    line: str
    line_number: int  # 1-based


def lines_of(text: str) -> list[str]:
    """Lines as LF or CRLF end them; a last LF begins no further line."""
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def code_blocks(text: str) -> Iterator[CodeBlock]:
    """The fenced blocks of a text in order, as Fences finds them."""
    fences = Fences()
    for line in lines_of(text):
        if block := fences.feed(line):
            yield block
    if block := fences.end():
        yield block


class Fences:
    """Fenced blocks, a line at a time (CommonMark 4.5, at any indentation); blank ones are left out.

    A block whose closing fence is missing reaches to the end of the text. Of one that has more than
    `max_characters` the rest is only counted.
    """

    def __init__(self, max_characters: int = MAX_BLOCK_CHARACTERS) -> None:
        self._max_characters = max_characters
        self._number = 0  # of the last line
        self._before: str | None = None
        self._open: _Open | None = None

    def feed(self, line: str) -> CodeBlock | None:
        """The block that this line closes."""
        self._number += 1
        if self._open is None:
            fence = _FENCE.fullmatch(line)
            if fence and not (fence[2][0] == "`" and "`" in fence[3]):
                self._open = _Open(fence[1], fence[2], fence[3], self._number + 1)
            else:
                self._before = line.strip()[:MAX_LINE_CHARACTERS] or self._before
            return None
        if _closes(line, self._open.indent, self._open.marks):
            return self._block(self._number - 1, closed=True)
        self._open.add(_without(line, self._open.indent), self._max_characters)
        return None

    def end(self) -> CodeBlock | None:
        """The block that is open still; lines after it belong to another text, and count on."""
        return self._block(self._number, closed=False) if self._open else None

    def _block(self, line_end: int, *, closed: bool) -> CodeBlock | None:
        block, self._open = self._open, None
        if block is None or block.is_blank:
            return None
        content, characters = "\n".join(block.lines), block.characters - 1  # the last line's LF is not the block's
        language = block.info.strip().strip("{}.").split(maxsplit=1)[:1]
        name = language[0][:MAX_LANGUAGE_CHARACTERS] if language else None
        parsed = parses(name, content) if characters == len(content) else None
        return CodeBlock(content, name, block.line_start, line_end, self._before, closed, parsed, characters)


@dataclass(slots=True)
class _Open:
    """A block whose end has not come yet."""

    indent: str
    marks: str
    info: str
    line_start: int
    lines: list[str] = field(default_factory=list)
    characters: int = 0  # each line's LF counted
    is_blank: bool = True

    def add(self, line: str, max_characters: int) -> None:
        if line.strip():
            self.is_blank = False
        if self.characters < max_characters:
            self.lines.append(line[: max_characters - self.characters])
        self.characters += len(line) + 1


def _closes(line: str, indent: str, marks: str) -> bool:
    bare = line.strip()
    deep = len(line) - len(line.lstrip()) > len(indent) + 3
    return not deep and len(bare) >= len(marks) and not bare.strip(marks[0])


def _without(line: str, indent: str) -> str:
    return line[len(indent) :] if line.startswith(indent) else line.lstrip(" \t")


def errors(text: str) -> Iterator[ErrorLine]:
    """The lines of a text that report an error, in order, as Errors finds them."""
    found = Errors()
    for line in lines_of(text):
        yield from found.feed(line)
    yield from found.end()


class Errors:
    """Lines that report an error, a line at a time; a traceback counts once.

    Numbered lines of a file and lines of a diff are passed over: they show an error's text, not an error.
    """

    def __init__(self) -> None:
        self._number = 0  # of the last line
        self._traceback: tuple[str, ErrorLine] | None = None  # its indentation, and what it is so far

    def feed(self, line: str) -> Iterator[ErrorLine]:
        """What this line reports, after a traceback that it ends."""
        self._number += 1
        shown = _shown(line)
        if self._traceback:
            indent, error = self._traceback
            if shown.startswith((indent + " ", indent + "\t")):
                return
            self._traceback = None
            if _exception(shown.removeprefix(indent)):
                yield error._replace(matched=shown.strip()[:MAX_MATCH_CHARACTERS])
                return
            yield error
        written = line[:MAX_LINE_CHARACTERS]
        if shown.strip() == _TRACEBACK:
            indent = shown[: len(shown) - len(shown.lstrip())]
            self._traceback = indent, ErrorLine("python_traceback", _TRACEBACK, written, self._number)
        elif pattern := _pattern(shown):
            yield ErrorLine(pattern, shown.strip()[:MAX_MATCH_CHARACTERS], written, self._number)

    def end(self) -> Iterator[ErrorLine]:
        """The traceback that had no end."""
        if self._traceback:
            yield self._traceback[1]
            self._traceback = None


def _shown(line: str) -> str:
    """The line as a terminal ends up showing it: without colours, and after its last carriage return."""
    return _ANSI.sub("", line.rpartition("\r")[2][:MAX_LINE_CHARACTERS])


def _exception(line: str) -> str | None:
    head, _, _ = line.removeprefix("E   ").strip().partition(":")
    return head if _NAME.fullmatch(head) and line[:1].strip() else None


def _pattern(line: str) -> str | None:
    if _NUMBERED.match(line):
        return None
    name = _exception(line)
    if name and name.endswith(_SYNTAX):
        return "syntax_error"
    if name and name not in {"Error", "Exception"} and name.endswith(("Error", "Exception")):
        return "python_exception"
    for pattern, expression in _PATTERNS:
        if expression.match(line):
            return pattern
    bare = line.rstrip(" ).")
    return next((pattern for pattern, ending in _ENDINGS if bare.endswith(ending)), None)
