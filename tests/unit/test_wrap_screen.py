"""What a terminal showed, as lines: each once, in order, as a person saw it."""

import random
import time

import pytest

from producers.wrap.screen import CUT_CHARACTERS, MAX_LINE_CHARACTERS, Screen


def _lines(output: bytes, *, columns: int = 40, rows: int = 10, pieces: int = 1) -> list[str]:
    screen = Screen(columns, rows)
    step = -(-len(output) // pieces)
    lines = [line for at in range(0, len(output), step) for line in screen.feed(output[at : at + step])]
    return [*lines, *screen.end()]


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (b"one\r\ntwo\nthree", ["one", "two", "three"]),
        (b"\x1b[1;31mred\x1b[0m and \x1b]8;;http://x\x1b\\link\x1b]8;;\x07\r\n", ["red and link"]),
        (b"\x1b[?2004h$ ls\x1b[?2004l\r\n\x1b[>1u\x1b[<ua\r\n", ["$ ls", "a"]),
        (b"10%\r55%\r100%\r\ndone\r\n", ["100%", "done"]),
        (b"abcdef\rXY\r\n", ["XYcdef"]),
        (b"|\x08/\x08-\x08ok\r\n", ["ok"]),
        (b"working\x1b[2K\rdone\r\n", ["done"]),
        (b"a\tb\r\n", ["a\tb"]),
        ("naïve ⏺ 漢字\r\n".encode(), ["naïve ⏺ 漢字"]),
        (b"\xff\xfe\x00x\r\n", ["\ufffd\ufffdx"]),
    ],
)
def test_a_line_is_as_it_was_seen(output: bytes, lines: list[str]) -> None:
    """Colours, links and keyboard protocols are not seen; what a CR, a backspace or an erasure wrote over is gone."""
    assert _lines(output) == lines


def test_lines_that_were_drawn_again_come_once() -> None:
    """A program that goes up two lines and writes them anew shows the last drawing alone."""
    frames = b"".join(b"task %d\r\nstep %d\r\n\x1b[2A" % (n, n) for n in range(5))
    assert _lines(b"begin\r\n" + frames + b"task x\x1b[K\r\nstep x\x1b[K\r\nend\r\n") == [
        "begin",
        "task x",
        "step x",
        "end",
    ]


def test_lines_above_a_status_that_stays_come_once() -> None:
    """A program that keeps a line at the bottom, and scrolls what it says above it."""
    output = b"".join(b"\r\x1b[2Klog %d\r\nstatus" % n for n in range(50)) + b"\r\n"
    assert _lines(output) == [*(f"log {n}" for n in range(50)), "status"]


def test_lines_above_rows_that_do_not_scroll_come_once() -> None:
    """A program whose terminal scrolls the upper rows alone, with its input below."""
    region = b"\x1b[10;1Hinput> \x1b[1;8r\x1b[8;1H"
    said = b"".join(b"\r\nlog %d" % n for n in range(50))
    assert _lines(region + said, pieces=7) == [*[""] * 8, *(f"log {n}" for n in range(50)), "", "input>"]


def test_what_has_scrolled_away_is_final_and_what_is_on_the_screen_is_not() -> None:
    """With ten rows, the eleventh line makes the first one final."""
    screen = Screen(40, 10)
    assert list(screen.feed(b"".join(b"%d\r\n" % n for n in range(9)))) == []
    assert list(screen.feed(b"9\r\n10\r\n")) == ["0", "1"]
    assert screen.last_lines(2) == ("", ["10"])
    assert list(screen.end()) == [str(n) for n in range(2, 11)]


def test_a_long_line_is_whole_also_where_the_cursor_went_up() -> None:
    """The window's width ends no line, neither in plain output nor in a drawing."""
    text = "x" * 100 + "y"
    drawn = f"first\r\n\x1b[1A\x1b[2Kagain\r\n{text}\x1b[K\r\nend\r\n".encode()
    assert _lines(f"{text}\r\n".encode()) == [text]
    assert _lines(drawn) == ["again", text, "end"]


def test_a_full_screen_program_leaves_what_it_showed_last() -> None:
    """The lines before it stay, what it scrolled is not repeated, and the shell goes on below."""
    full = b"\x1b[?1049h\x1b[Hfile\r\n~\r\n\x1b[Hfile2\x1b[?1049l"
    assert _lines(b"$ vi\r\n" + full + b"$ ls\r\n") == ["$ vi", "file2", "~", "$ ls"]


def test_what_a_clear_took_away_was_seen() -> None:
    """`clear` ends the lines on the screen; they come before those that follow."""
    assert _lines(b"old\r\n\x1b[H\x1b[2Jnew\r\n") == ["old", "new"]


@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("pieces", [1, 7])
def test_a_line_without_an_end_is_cut_behind_a_blank(blank: str, pieces: int) -> None:
    """A word across the limit stays whole, in whatever pieces the output comes."""
    before = "x" * (MAX_LINE_CHARACTERS - CUT_CHARACTERS) + blank
    assert _lines(f"{before}canary and more{blank}{'y' * 4_090}".encode(), pieces=pieces) == [
        f"{before}canary and more{blank}",
        "y" * 4_090,
    ]


def test_a_line_without_an_end_and_without_a_blank_near_its_limit_is_cut_there() -> None:
    """A blank further away than that is none to cut at."""
    line = "x" * (MAX_LINE_CHARACTERS - CUT_CHARACTERS - 1) + " " + "y" * 5_000
    assert _lines(line.encode()) == [line[:MAX_LINE_CHARACTERS], line[MAX_LINE_CHARACTERS:]]


@pytest.mark.parametrize("seed", range(20))
def test_pieces_change_nothing(seed: int) -> None:
    """Output in one piece and byte by byte gives the same lines, in the middle of characters and sequences too."""
    draw = random.Random(seed)
    parts = [
        b"plain\r\n",
        "⏺ é漢\r\n".encode(),
        b"\x1b[1A",
        b"\x1b[2K\r",
        b"\x1b[31mred\x1b[0m",
        b"a\x08b",
        b"\r",
        b"\n",
    ]
    output = b"".join(draw.choice(parts) for _ in range(200))
    assert _lines(output) == _lines(output, pieces=len(output))


@pytest.mark.parametrize(
    "output",
    [
        b"x" * 3_000_000,
        b"\r" * 300_000 + b"x" * 300_000,
        b"a\r" * 300_000,
        b"\x1b]0;" + b"t" * 1_000_000,
        bytes(range(256)) * 2_000,
    ],
)
def test_no_output_takes_long(output: bytes) -> None:
    """A line of megabytes, a title without an end, and binary data take time in proportion."""
    began = time.process_time()
    _lines(output)
    assert time.process_time() - began < 20


def test_bytes_at_random_raise_nothing() -> None:
    """Whatever a program prints, lines come out."""
    draw = random.Random(7)
    for _ in range(200):
        output = b"".join(
            draw.choice(
                [b"\x1b[", b"\x1b]", b"\x1b", b";", b"\r\n", b"?", b"H", b"J", b"m", b"r", bytes([draw.randrange(256)])]
            )
            for _ in range(200)
        )
        _lines(output)
