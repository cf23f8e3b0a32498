"""What text and JSON no table can hold, found in the bytes before the database is asked."""

import re
from typing import Any

from contracts.refusal import Reason, Refusal, Stage

MAX_VALUE_BYTES = 1_048_576  # an event's value, and so any part of it
MAX_NESTING = 64
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
# One that is cut short goes to the end: were it no match, the next quote in it would begin one, and so on, n² steps.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)).difference(b"[]{}"))


def check_size(value: bytes) -> None:
    """Refuse a value above 1 MiB, before anything walks it."""
    if len(value) > MAX_VALUE_BYTES:
        message = f"the value has {len(value)} bytes; at most {MAX_VALUE_BYTES} are accepted"
        raise Refusal(Reason.too_large, Stage.decode, message)


def check_utf8(value: bytes) -> None:
    """Refuse bytes that are no UTF-8, anywhere in the value: what stays raw JSON is not decoded later."""
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            message = f"the value is no UTF-8 at byte {error.start}"
            raise Refusal(Reason.bad_utf8, Stage.decode, message) from None


def check_nesting(value: bytes, outer: int = 0) -> None:
    """Refuse JSON nested deeper than 64, `outer` levels around it counted.

    Its length or two counts settle nearly every one; the rest are walked once.
    """
    most = MAX_NESTING - outer
    if len(value) <= most or value.count(b"{") + value.count(b"[") <= most:
        return
    depth = outer
    for bracket in _STRING.sub(b"", value).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_NESTING:
            raise Refusal(Reason.too_large, Stage.decode, f"the JSON is nested deeper than {MAX_NESTING}")


def check_escapes(value: bytes) -> None:
    r"""Refuse `\u0000` and lone surrogates: valid JSON escapes that no Postgres text or jsonb holds."""
    if b"\\" not in value or _SUSPECT.search(value) is None:
        return
    high_ends_at = -1
    for escape in _ESCAPE.finditer(value):
        code = int(escape.group(1), 16) if escape.group(1) else -1
        low = 0xDC00 <= code <= 0xDFFF  # noqa: PLR2004 - Unicode, section 23.6
        if high_ends_at >= 0 and not (low and escape.start() == high_ends_at):
            raise _unstorable("a lone surrogate", high_ends_at - 6)
        if low and high_ends_at < 0:
            raise _unstorable("a lone surrogate", escape.start())
        if code == 0:
            raise _unstorable("the character U+0000", escape.start())
        high_ends_at = escape.end() if 0xD800 <= code <= 0xDBFF else -1  # noqa: PLR2004
    if high_ends_at >= 0:
        raise _unstorable("a lone surrogate", high_ends_at - 6)


def _unstorable(what: str, at: int) -> Refusal:
    return Refusal(
        Reason.unstorable_text, Stage.decode, f"{what} as an escape at byte {at}: Postgres text cannot hold it"
    )


def refuse_constant(name: str) -> Any:
    """For json.loads(parse_constant=…): NaN and Infinity are no JSON (RFC 8259, section 6)."""
    raise ValueError(f"{name} is no JSON")
