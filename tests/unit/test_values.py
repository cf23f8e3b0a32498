"""Values as others write them: understood, or said not to be."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.account import Differs, LeftOut, Part, Refused, Remark, Tally
from producers.values import (
    NotUnderstood,
    count,
    flag,
    instant,
    milliseconds,
    milliseconds_of_seconds,
    money,
    number,
    percent,
    text,
)

READERS = (text, number, count, milliseconds, milliseconds_of_seconds, money, percent, flag, instant)


@pytest.mark.parametrize(
    ("reader", "value", "wanted"),
    [
        (number, "0,160", Decimal("0.160")),
        (number, "12,5", Decimal("12.5")),
        (number, "1234,567", Decimal("1234.567")),
        (number, "1,203.5", Decimal("1203.5")),
        (number, "1,234,567", Decimal(1234567)),
        (number, " 1e3 ", Decimal(1000)),
        (count, "50", 50),
        (count, 2.0, 2),
        (milliseconds, 120.53, 121),
        (milliseconds_of_seconds, "0,003", 3),
        (money, "0.0125", "0.0125"),
        (money, 1, "1"),
        (percent, Decimal("0.5"), 50),
        (percent, 1, 1),
        (percent, "87.4", 87),
        (flag, "False", False),
        (flag, 1, True),
        (text, 5, "5"),
        (text, " ", None),
        (text, "a\x00", "a\ufffd"),
    ],
)
def test_a_value_is_read_in_the_forms_that_tools_write(reader: Any, value: Any, wanted: Any) -> None:
    """As numbers, as texts, with a point or a comma."""
    assert reader(value) == wanted


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        *((number, value) for value in ("1,234", "1.234,56", "0.01s", "", "²", "NaN", float("inf"), True, None, [1])),
        *((count, value) for value in (-1, 1.5, "a", 2**63)),
        *((milliseconds, value) for value in ("-1", 1e15)),
        *((money, value) for value in ("$1", -0.01, 10**12, "1e-99")),
        *((percent, value) for value in (101, -1, "1,000")),
        *((flag, value) for value in ("maybe", 2, None, 1.0)),
        *((text, value) for value in (True, ["a"], {"a": 1})),
        *((instant, value) for value in ("yesterday", "31.12.2025", "2026-02-30", float("nan"), 1e300, True, "")),
    ],
)
def test_a_value_that_cannot_be_read_is_not_understood(reader: Any, value: Any) -> None:
    """It is neither a default nor the nearest thing."""
    with pytest.raises(NotUnderstood):
        reader(value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00"),
        ("2026-03-01T10:00:00.1234567Z", "2026-03-01T10:00:00.123456"),
        ("2026-03-01 10:00:00 +0100", "2026-03-01T09:00:00"),
        ("2026/03/01 10:00:00", "2026-03-01T10:00:00"),
        ("2021-03-07T10:36:56 UTC", "2021-03-07T10:36:56"),
        ("Sat, 03 Dec 2022 23:10:07 GMT", "2022-12-03T23:10:07"),
        ("Sat, 03 Dec 2022 23:10:07 +0100", "2022-12-03T22:10:07"),
        ("Tue Nov 14 14:20:31 2017", "2017-11-14T14:20:31"),
        ("Sat 31 Jan 2026 01:00:00 PM UTC", "2026-01-31T13:00:00"),
        ("1772359200", "2026-03-01T10:00:00"),
        (1772359200123, "2026-03-01T10:00:00.123"),
        (Decimal("1772359200.5"), "2026-03-01T10:00:00.500"),
    ],
)
def test_a_moment_is_read_in_the_forms_that_tools_write(value: Any, wanted: str) -> None:
    """Without an offset it is taken for UTC."""
    assert instant(value) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.lists(st.integers()))
def test_a_reader_raises_nothing_else(value: Any) -> None:
    """Whatever a file holds; and no reader has a value for what is absent."""
    for reader in READERS:
        try:
            found = reader(value)
        except NotUnderstood:
            continue
        assert found is not None or (reader is text and isinstance(value, str) and not value.strip())


def test_a_part_tells_what_is_not_there_from_what_is_not_understood() -> None:
    """Nothing is said of the first, and nothing kept; the second is named, and its text kept."""
    part = Part("line 1")
    assert [part.read("a", value, count) for value in (None, "", " ", "7")] == [None, None, None, 7]
    assert (part.words, part.beside()) == ([], {})
    assert part.read("tokens", "many", count) is None
    assert part.words == [Remark("line 1", "tokens", "many", "is not a number")]
    assert part.beside() == {"not_understood": {"tokens": "many"}}


def test_what_is_cut_is_said() -> None:
    """Of texts by characters and by bytes, and of JSON; what fits says nothing."""
    part = Part("x")
    assert (part.text("a", "abc", 3), part.long_text("b", "abc", 5), part.json("c", {"d": 1}, 20)) == (
        "abc",
        "abc",
        {"d": 1},
    )
    assert part.words == []
    assert (part.text("a", "abcd", 3), part.long_text("b", "abcdef", 5)) == ("abc", "abc")
    assert part.json("c", {"d": "x" * 100}, 20) == {"left_out": "left out: 109 bytes, above the limit of 20"}
    assert [word.name for word in part.words if isinstance(word, Remark)] == ["a", "b", "c"]


def test_words_speak_to_a_person() -> None:
    """Each says what, of what, and why; a tally says each kind once."""
    tally = Tally()
    for kind in ("logs", "metrics", "logs"):
        tally.add(kind)
    words = [Refused("line 2", "it is not JSON"), Differs("suite s", "tests", 2, 1), *tally.words()]
    assert [str(word) for word in words] == [
        "line 2: it is not JSON",
        "suite s: it states 2 tests, and 1 were found in it",
        "left out: logs, 2",
        "left out: metrics, 1",
    ]
    assert tuple(tally.words()) == (LeftOut("logs", 2), LeftOut("metrics", 1))
