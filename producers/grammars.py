"""Judges blocks of code by tree-sitter's grammars: the process that producers/parsing.py asks.

    python -P -m producers.grammars

A request is a line, MODULE FUNCTION BYTES, and the block; the answer is one byte. Where code is wrong tree-sitter may
take memory with the square of its nesting (640 MB for 4 KiB of `x=>` as Java) and cannot be stopped there, and the
scanner of a grammar may crash. So each block is parsed in a fork of this process, which ends at its limits. How much
work a block may make is counted and not timed: it gets the same answer on a slower machine.
"""

import importlib
import os
import resource
import sys
from contextlib import suppress
from functools import cache

from tree_sitter import Language, Parser, Point

YES, NO, UNKNOWN = b"yn?"
STEPS = 200  # a step is a hundred actions of the parser, or PIECE_BYTES read
STEPS_PER_KIB = 128  # the densest code tried takes 97 (`a<b>(c);` as C++), files of real projects at most 27
PIECE_BYTES = 1_024
MAX_MEMORY_BYTES = 64 * 1024 * 1024  # this process has 8, and 20 with a file of a real project that is 64 KiB long
MAX_CPU_SECONDS = 20  # the steps end within 3; this is for what makes none


def parses(language: Language, source: bytes) -> bool | None:
    """Whether it does without an error; None when that takes more steps than it may."""
    steps, failed = STEPS + STEPS_PER_KIB * len(source) // 1024, False

    def read(offset: int, _: Point) -> bytes:
        nonlocal steps
        steps -= 1
        return source[offset : (offset // PIECE_BYTES + 1) * PIECE_BYTES] if steps > 0 else b""

    def stop(_: int, has_error: bool) -> bool:  # noqa: FBT001 - tree-sitter's own form
        nonlocal steps, failed
        steps -= 1
        failed = has_error and steps > 0  # in every way that the text can be read
        return has_error or steps <= 0

    try:
        tree = Parser(language).parse(read, progress_callback=stop)
    except ValueError:  # stopped
        return False if failed else None
    return None if steps <= 0 else not tree.root_node.has_error


@cache
def language_of(module: str, function: str) -> Language:
    """A grammar's. Raises ImportError; ValueError where tree-sitter is of another age."""
    return Language(getattr(importlib.import_module(module), function)())


def judge(language: Language, source: bytes) -> int:
    """The answer to a block, from a fork."""
    child = os.fork()
    if child == 0:
        answer = UNKNOWN
        try:
            _limit()
            answer = {True: YES, False: NO, None: UNKNOWN}[parses(language, source)]
        finally:
            os._exit(answer)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code in (YES, NO) else UNKNOWN


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def main() -> None:
    """Answer until whoever asks is gone."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while request := requests.readline():
        module, function, size = request.decode().split()
        source = requests.read(int(size))
        answer = UNKNOWN
        with suppress(ImportError, OSError, ValueError):
            answer = judge(language_of(module, function), source)
        answers.write(bytes([answer]))
        answers.flush()


if __name__ == "__main__":
    main()
