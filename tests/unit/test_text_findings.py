"""Code blocks and errors found in text: positions, languages, what counts and what does not, and time."""

import time

import pytest

from producers.text_findings import RISK, CodeBlock, ErrorLine, code_blocks, errors, lines_of


def _found(text: str) -> list[tuple[str, str, int]]:
    return [(error.pattern, error.matched, error.line_number) for error in errors(text)]


def test_lines_end_at_lf_and_crlf_alone() -> None:
    """Form feeds and line separators stay inside a line, and a last LF begins no line."""
    assert lines_of("a\r\nb\u2028c\x0cd\n\ne\n") == ["a", "b\u2028c\x0cd", "", "e"]
    assert lines_of("") == []


def test_a_block_has_its_language_lines_and_what_stands_before_it() -> None:
    """Line numbers are those of the content inside the text, 1-based and inclusive."""
    text = "Fix it:\n\n```python title=x\na = 1\n\nb = 2\n```\nthen\n~~~~\nls ```\n~~~\n~~~~\n"
    assert list(code_blocks(text)) == [
        CodeBlock("a = 1\n\nb = 2", "python", 4, 6, "Fix it:", True, True, 12),
        CodeBlock("ls ```\n~~~", None, 10, 11, "then", True, None, 10),
    ]


def test_a_block_without_closing_fence_reaches_to_the_end() -> None:
    """An answer cut short keeps its code, and the block says that it was not closed."""
    assert list(code_blocks("```py\nx = (")) == [CodeBlock("x = (", "py", 2, 2, None, False, False, 5)]


def test_blank_blocks_and_inline_code_are_no_blocks() -> None:
    """Three backticks inside a line, and a fence around nothing, give no block."""
    assert list(code_blocks("```\n \n```\nuse ```ls``` here\n```ls```\nthen\n")) == []


def test_an_indented_fence_loses_its_indentation() -> None:
    """A block in a list item holds its code as if it stood at the margin."""
    assert [block.content for block in code_blocks("1. do\n   ```sh\n   ls\n     pwd\n   ```\n")] == ["ls\n  pwd"]


@pytest.mark.parametrize("source", ["x = '\\d'", "(" * 5_000, "-" * 60_000 + "1", "a\x00b", "x" + ".a" * 30_000])
def test_python_that_the_parser_refuses_or_warns_of_is_answered(source: str) -> None:
    """Neither a warning, a NUL nor nesting beyond the parser's reach raises."""
    (block,) = code_blocks(f"```python\n{source}\n```")
    assert block.parseable is (source == "x = '\\d'")


def test_a_traceback_counts_once_and_ends_at_its_exception() -> None:
    """The line is that of the head, the match is the exception, and text after it is read on."""
    text = 'run\r\nTraceback (most recent call last):\r\n  File "a", line 1\r\nm.KeyError: 1\r\nValueError: x'
    assert list(errors(text)) == [
        ErrorLine("python_traceback", "m.KeyError: 1", "Traceback (most recent call last):", 2),
        ErrorLine("python_exception", "ValueError: x", "ValueError: x", 5),
    ]
    assert _found("Traceback (most recent call last):\n  File") == [
        ("python_traceback", "Traceback (most recent call last):", 1)
    ]


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("SyntaxError: invalid syntax", "syntax_error"),
        ("E   AssertionError: assert 1 == 2", "python_exception"),
        ("json.decoder.JSONDecodeError: Expecting value", "python_exception"),
        ("- E999 IndentationError: unexpected indent", "lint_error"),
        ("a.py:1:2: F821 undefined name 'x'", "lint_error"),
        ("FAILED tests/test_a.py::test_b", "test_failure"),
        ("-bash: foo: command not found", "command_not_found"),
        ("/bin/sh: 1: foo: not found", "command_not_found"),
        ("cat: x: No such file or directory", "no_such_file"),
        ("bash: ./x: Permission denied", "permission_denied"),
        ("gcc: fatal error: no input files", "error_message"),
        ("error[E0308]: mismatched types", "error_message"),
        ("  error: subprocess-exited-with-error", "error_message"),
        ("fatal: not a git repository", "error_message"),
        ("EXECUTION TIMED OUT", "timed_out"),
        ("Segmentation fault (core dumped)", "crash"),
    ],
)
def test_a_line_that_reports_an_error_has_its_pattern(line: str, pattern: str) -> None:
    """The pattern is a key of the table of risks, whatever colours the line has."""
    assert _found(f"ok\n\x1b[31m{line}\x1b[0m\n") == [(pattern, line.strip(), 2)]
    assert pattern in RISK


@pytest.mark.parametrize(
    "line",
    [
        '36:        raise RuntimeError("Cannot find version information")',
        "1480:        except (TypeError, ValueError) as error:",
        "12: cat: x: No such file or directory",
        "+    raise Permission denied",
        "ERRORS:",
        "Warning: _curses.error: setupterm: could not find terminfo database",
        "DO NOT re-run the same failed edit command. Running it again will lead to the same error.",
        "a.py:4: BytesWarning: Text is not bytes; assuming ASCII",
        "no error found",
        "0 errors, FAILED 0",
    ],
)
def test_a_line_that_shows_or_speaks_of_an_error_is_none(line: str) -> None:
    """Numbered lines of a file, diffs, warnings and prose are passed over."""
    assert _found(line) == []


def test_a_line_is_matched_as_the_terminal_shows_it_and_kept_as_written() -> None:
    """What a carriage return overwrote is not matched; it stays in the line."""
    assert list(errors("10%\r20%\rError: disk\n")) == [
        ErrorLine("error_message", "Error: disk", "10%\r20%\rError: disk", 1)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 2_000_000,
        " " * 2_000_000,
        "a." * 1_000_000,
        "\x1b[" * 1_000_000,
        "\r" * 2_000_000,
        "Traceback (most recent call last):\n" * 50_000,
        " Traceback (most recent call last):\n" * 50_000,
        "`" * 2_000_000,
        "```\n" * 200_000,
        "~~~x\n" * 200_000,
    ],
    ids=range(10),
)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    """Two megabytes that invite backtracking take under 5 s, where quadratic time takes hours."""
    started = time.process_time()
    sum(1 for _ in errors(text))
    sum(1 for _ in code_blocks(text))
    assert time.process_time() - started < 5
