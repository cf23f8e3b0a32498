"""Whether a block of code parses, by the name that its fence gives to its language.

Python and JSON are read by the standard library. Others are by tree-sitter's grammars, where the extra `producers` is
installed, in a process of their own (producers/grammars.py): hostile code ends that one alone.
"""

import ast
import importlib.util
import json
import socket
import subprocess
import sys
import warnings
from functools import cache
from typing import NamedTuple, NoReturn

MAX_PARSED_CHARACTERS = 65_536  # hostile code of that length takes 3 s, and the tree of such Python 60 MB
TRIES = 2  # the process that judges may have been killed since the last block


class Grammar(NamedTuple):
    """Where a grammar is: the function of the module that gives it."""

    module: str
    function: str = "language"


PYTHON = frozenset({"python", "python3", "py"})
JSON = "json"
GRAMMARS = {
    name: grammar
    for names, grammar in (
        ("bash sh shell", Grammar("tree_sitter_bash")),
        ("c", Grammar("tree_sitter_c")),
        ("cpp c++ cc cxx hpp", Grammar("tree_sitter_cpp")),
        ("go golang", Grammar("tree_sitter_go")),
        ("java", Grammar("tree_sitter_java")),
        ("javascript js jsx mjs cjs", Grammar("tree_sitter_javascript")),
        ("rust rs", Grammar("tree_sitter_rust")),
        ("typescript ts mts cts", Grammar("tree_sitter_typescript", "language_typescript")),
        ("tsx", Grammar("tree_sitter_typescript", "language_tsx")),
    )
    for name in names.split()
}


def parses(language: str | None, content: str) -> bool | None:
    """None: a language that is not judged here, or code that is longer or takes more work than may be."""
    name = (language or "").lower()
    if len(content) > MAX_PARSED_CHARACTERS:
        return None
    if name in PYTHON:
        return _is_python(content)
    if name == JSON:
        return _is_json(content)
    grammar = GRAMMARS.get(name)
    return _follows(grammar, content) if grammar and _is_installed(grammar.module) else None


def _is_python(content: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _is_json(content: str) -> bool | None:
    try:
        json.loads(content, parse_int=str, parse_float=str, parse_constant=_no_number)
    except ValueError:
        return False
    except RecursionError:
        return None
    return True


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _follows(grammar: Grammar, content: str) -> bool | None:
    source = f"{content}\n".encode(errors="replace")  # some grammars want the LF that the fence took away
    for _ in range(TRIES):
        try:
            return _judge().answer(grammar, source)
        except OSError:
            _judge.cache_clear()
    return None


@cache
def _is_installed(module: str) -> bool:
    return all(importlib.util.find_spec(name) for name in ("tree_sitter", module))


class _Judge:
    """The process that judges by grammars; it ends when this one does. One thread asks at a time."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "producers.grammars"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                process_group=0,  # a Ctrl-C is not for it
            )

    def answer(self, grammar: Grammar, source: bytes) -> bool | None:
        """Whether a block parses; None when that cannot be said. Raises OSError when the process is gone."""
        answer = b""
        try:
            self._line.sendall(f"{grammar.module} {grammar.function} {len(source)}\n".encode() + source)
            answer = self._line.recv(1)
        finally:
            if not answer:  # what was asked must not be answered to the next block
                self.end()
        if not answer:
            raise ConnectionResetError
        return {b"y": True, b"n": False}.get(answer)

    def end(self) -> None:
        self._line.close()
        self._process.kill()
        self._process.wait()


@cache
def _judge() -> _Judge:
    return _Judge()
