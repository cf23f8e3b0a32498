# Made by `make docs` from producers/values.py; edit that instead.
"""What others write, read: texts, counts, times, durations, money. Each returns a value or raises NotUnderstood.

None of them is asked about what is absent: that is for the caller to see (producers/account.py). A blank text is
absent, and is None.
"""

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

from siltstone._storable import INT64, clean

LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # beyond what workers take; milliseconds may still be added
MAX_MS = 10**13  # 317 years
MAX_COST_USD = 10**12
COST_EXPONENTS = range(-30, 13)  # of the last digit of a cost
MILLISECONDS_FROM = 10**11  # a number of seconds since 1970 above it is one of milliseconds: 1973 in those
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+|[+-]?[1-9]\d{0,2}(,\d{3}){2,}", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_ZONE_BY_NAME = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_OFFSET_APART = re.compile(r"\s+([+-]\d\d:?\d\d)$")
_OFFSET = re.compile(r"[+-]\d\d:?\d\d$")
_BY_NAME = ("%a %b %d %H:%M:%S %Y", "%a %d %b %Y %I:%M:%S %p", "%a %d %b %Y %H:%M:%S", "%a %b %d %I:%M:%S %p %Y")
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905


class NotUnderstood(Exception):
    """A value is there and cannot be read; the message goes on from "it is …"."""


def text(value: Any) -> str | None:
    """A text, clean; a number is a text as well. None for a blank one."""
    if isinstance(value, str):
        return clean(value) if value.strip() else None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    raise NotUnderstood("not a text")


def number(value: Any) -> Decimal:
    """A finite number, also as a text: with a point, with commas between thousands, or with a comma for the point.

    `1,234` may be 1.234 or 1234: that is not understood. `0,160` and `1,203.5` can each be one number alone.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise NotUnderstood("not a number")
    said = str(value).strip()
    if isinstance(value, str):
        if _AMBIGUOUS.fullmatch(said):
            raise NotUnderstood("ambiguous: the comma may stand for a point or between thousands")
        if _THOUSANDS.fullmatch(said):
            said = said.replace(",", "")
        elif _COMMA.fullmatch(said):
            said = said.replace(",", ".")
        if not _NUMBER.fullmatch(said):
            raise NotUnderstood("not a number")
    try:
        found = Decimal(said)
    except InvalidOperation:
        raise NotUnderstood("not a number") from None
    if not found.is_finite() or abs(found.adjusted()) > 10_000:  # noqa: PLR2004 - an int of it would take for ever
        raise NotUnderstood("not a number that can be stored")
    return found


def count(value: Any) -> int:
    """A whole number of at least 0 that a bigint holds; digits in a text too."""
    found = number(value)
    if found < 0:
        raise NotUnderstood("below 0")
    if found >= INT64.stop:
        raise NotUnderstood("larger than can be stored")
    if found != found.to_integral_value():
        raise NotUnderstood("not a whole number")
    return int(found)


def milliseconds(value: Any) -> int:
    """Milliseconds, with a fraction or without, as a whole number of them."""
    return _whole_ms(number(value))


def milliseconds_of_seconds(value: Any) -> int:
    """Seconds, with a fraction or without, in whole milliseconds."""
    return _whole_ms(number(value) * 1000)


def _whole_ms(passed: Decimal) -> int:
    if passed < 0:
        raise NotUnderstood("below 0")
    if passed >= MAX_MS:
        raise NotUnderstood("more than 300 years")
    return int(passed.to_integral_value())


def money(value: Any) -> str:
    """A cost of at least 0, as decimal text with its digits."""
    cost = number(value)
    if not 0 <= cost < MAX_COST_USD:
        raise NotUnderstood("below 0 or above all costs")
    if cost.as_tuple().exponent not in COST_EXPONENTS:
        raise NotUnderstood("a number with more digits than can be stored")
    return format(cost.copy_abs(), "f")


def percent(value: Any) -> int:
    """A share of 1 with a fraction (0.5), or per cent (50)."""
    share = number(value)
    has_fraction = not isinstance(value, int) and "." in str(value)
    found = share * 100 if has_fraction and share <= 1 else share
    if not 0 <= found <= 100:  # noqa: PLR2004 - per cent
        raise NotUnderstood("not between 0 and 100 per cent")
    return round(found)


def flag(value: Any) -> bool:
    """True or false, also as a word or as 1 and 0."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        word = str(value).strip().lower()
        if word in TRUE or word in FALSE:
            return word in TRUE
    raise NotUnderstood("neither true nor false")


def instant(value: Any) -> datetime:
    """A moment, in UTC: ISO 8601, an HTTP date, ctime's form, or seconds or milliseconds since 1970.

    Without an offset it is taken for UTC. A text of digits alone is seconds or milliseconds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise NotUnderstood("not a time")
    try:
        found = _dated(value.strip()) if isinstance(value, str) else _since_1970(float(value))
        return min((found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC), LATEST)
    except (ValueError, OverflowError, OSError, ArithmeticError):
        raise NotUnderstood("not a time: one of ISO 8601, such as 2026-01-31T12:00:00Z, is expected") from None


def _since_1970(number: float) -> datetime:
    if math.isfinite(number):
        return datetime.fromtimestamp(0, UTC) + timedelta(
            seconds=number / 1000 if number > MILLISECONDS_FROM else number
        )
    raise ValueError(number)


def _dated(said: str) -> datetime:
    """Raises ValueError for what is none of the forms."""
    if re.fullmatch(r"\d{9,13}(\.\d{1,9})?", said, re.ASCII):
        return _since_1970(float(said))
    bare = _OFFSET_APART.sub(r"\1", said.replace("/", "-"))
    try:
        zoned = _ZONE_BY_NAME.sub("+00:00", bare)
        return datetime.fromisoformat(zoned)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(said) if "," in said and any(m in said.lower() for m in _MONTHS) else _named(said)
    except (TypeError, IndexError):
        raise ValueError(said) from None


def _named(said: str) -> datetime:
    """`Sat Jan 31 12:00:00 2026` and its relatives, with a name of UTC or an offset behind it, or neither."""
    words = " ".join(said.split())
    zone: timezone = UTC
    if found := _OFFSET.search(words):
        zone = datetime.strptime(found[0], "%z").tzinfo or UTC  # type: ignore[assignment] # %z makes a timezone
        words = words[: found.start()].rstrip()
    words = re.sub(r"\b(?:UTC|GMT)\b ?", "", words).rstrip()
    for form in _BY_NAME:
        try:
            return datetime.strptime(words, form).replace(tzinfo=zone)
        except ValueError:
            continue
    raise ValueError(said)
