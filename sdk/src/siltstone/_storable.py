# Made by `make docs` from producers/storable.py; edit that instead.
"""Text and JSON of another tool's file, made safe to store and to send.

Postgres refuses a NUL and a lone surrogate in text and jsonb, and NaN in jsonb; an event has 1 MiB at most.
Sizes here are those of JSON with every non-ASCII character escaped: no encoder writes more.
"""

import json
import math
import re
from decimal import Decimal
from typing import Any, cast

REPLACEMENT = "\ufffd"  # what stands for a NUL or a lone surrogate
MAX_DEPTH = 32  # levels kept of another tool's JSON; an event may have 64, its own included
MAX_JSON_TEXT_BYTES = 64 * 1024  # of one text inside another tool's JSON
INT64 = range(-(2**63), 2**63)

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Text without NUL and lone surrogates, each replaced by U+FFFD; the length stays."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def json_bytes(value: object) -> int:
    """Bytes of a value as ASCII JSON, an upper bound for every other encoding of it."""
    return len(json.dumps(value))


def cut(text: str, max_bytes: int) -> str:
    """The longest that is cheap to find of the text's beginnings whose ASCII JSON has at most max_bytes."""
    while (size := json_bytes(text)) > max_bytes:
        text = text[: len(text) * max_bytes // size]
    return text


def storable(value: object, max_bytes: int, *, max_text_bytes: int = MAX_JSON_TEXT_BYTES) -> Any:
    """JSON with clean texts, cut at max_text_bytes each, and numbers that every JSON reader holds.

    What lies deeper than MAX_DEPTH becomes a text that says so, as does the whole when it is above max_bytes.
    """
    return shortened(value, max_bytes, max_text_bytes=max_text_bytes)[0]


def shortened(value: object, max_bytes: int, *, max_text_bytes: int = MAX_JSON_TEXT_BYTES) -> tuple[Any, list[str]]:
    """The same, and what of it is not whole: the texts that were cut, and notes of what was left out."""
    lost: list[str] = []
    kept = _storable(value, MAX_DEPTH, max_text_bytes, lost)
    size = json_bytes(kept)
    if size <= max_bytes:
        return kept, lost
    note = f"left out: {size} bytes, above the limit of {max_bytes}"
    return {"left_out": note} if isinstance(kept, dict) else note, [note]


def _storable(value: object, depth: int, max_text_bytes: int, lost: list[str]) -> object:
    if isinstance(value, str):
        kept = cut(clean(value), max_text_bytes)
        if len(kept) < len(value):
            lost.append(value)
        return kept
    if isinstance(value, Decimal | float):  # NaN and Infinity too, which Python writes into JSON
        return float(value) if math.isfinite(float(value)) else str(Decimal(value))
    if not isinstance(value, dict | list):
        return str(value) if isinstance(value, int) and value not in INT64 else value
    if depth == 0:
        note = f"left out: nested deeper than {MAX_DEPTH} levels"
        lost.append(note)
        return note
    if isinstance(value, list):
        return [_storable(item, depth - 1, max_text_bytes, lost) for item in cast("list[object]", value)]
    members = cast("dict[str, object]", value)
    return {
        cut(clean(key), max_text_bytes): _storable(item, depth - 1, max_text_bytes, lost)
        for key, item in members.items()
    }
