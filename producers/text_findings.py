"""What an agent's text shows: fenced blocks of code, and lines that report an error.

Both take time linear in the text: a line is read once, and at most MAX_LINE_CHARACTERS of it are matched.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

MAX_LINE_CHARACTERS = 4_096  # of a line that is matched and kept
MAX_MATCH_CHARACTERS = 1_024  # of the matched part that is kept
MAX_LANGUAGE_CHARACTERS = 50
MAX_PARSED_CHARACTERS = 262_144  # longer Python is not parsed

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

_PYTHON = frozenset({"python", "python3", "py"})
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


class CodeBlock(NamedTuple):
    """line_start and line_end are those of the content, 1-based and inclusive, in the text around it."""

    content: str
    language: str | None
    line_start: int
    line_end: int
    before: str | None  # the last line before the fence that is not blank
    closed: bool
    parseable: bool | None  # None: no Python, or above MAX_PARSED_CHARACTERS


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
    """Fenced blocks in order (CommonMark 4.5, at any indentation); blank ones are left out.

    A block whose closing fence is missing reaches to the end of the text.
    """
    lines = lines_of(text)
    number, before = 0, None
    while number < len(lines):
        fence = _FENCE.fullmatch(lines[number])
        number += 1
        if not fence or (fence[2][0] == "`" and "`" in fence[3]):
            before = lines[number - 1].strip()[:MAX_LINE_CHARACTERS] or before
            continue
        indent, marks, info = fence.groups()
        first = number
        while number < len(lines) and not _closes(lines[number], indent, marks):
            number += 1
        content = "\n".join(_without(line, indent) for line in lines[first:number])
        if content.strip():
            language = info.strip().strip("{}.").split(maxsplit=1)[:1]
            name = language[0][:MAX_LANGUAGE_CHARACTERS] if language else None
            parsed = _parses(content) if name and name.lower() in _PYTHON else None
            yield CodeBlock(content, name, first + 1, number, before, number < len(lines), parsed)
        number += 1


def _closes(line: str, indent: str, marks: str) -> bool:
    bare = line.strip()
    deep = len(line) - len(line.lstrip()) > len(indent) + 3
    return not deep and len(bare) >= len(marks) and not bare.strip(marks[0])


def _without(line: str, indent: str) -> str:
    return line[len(indent) :] if line.startswith(indent) else line.lstrip(" \t")


def _parses(content: str) -> bool | None:
    if len(content) > MAX_PARSED_CHARACTERS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def errors(text: str) -> Iterator[ErrorLine]:
    """Lines that report an error, in order; a traceback counts once.

    Numbered lines of a file and lines of a diff are passed over: they show an error's text, not an error.
    """
    written = lines_of(text)
    lines = [_shown(line) for line in written]
    number = 0
    while number < len(lines):
        first, line = number, lines[number]
        number += 1
        pattern = _pattern(line)
        if line.strip() == _TRACEBACK:
            pattern, indent = "python_traceback", line[: len(line) - len(line.lstrip())]
            while number < len(lines) and lines[number].startswith((indent + " ", indent + "\t")):
                number += 1
            if number < len(lines) and _exception(lines[number].removeprefix(indent)):
                line = lines[number]
                number += 1
        if pattern:
            matched, whole = line.strip()[:MAX_MATCH_CHARACTERS], written[first][:MAX_LINE_CHARACTERS]
            yield ErrorLine(pattern, matched, whole, first + 1)


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
