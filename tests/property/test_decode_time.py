"""Decoding takes time in proportion to a record's size, whatever it is made of: no record holds a worker up."""

import gc
import json
import time
from collections.abc import Callable, Iterator

import pytest

from contracts.envelope import STRUCTURED
from contracts.refusal import Reason, Refusal
from contracts.text import MAX_VALUE_BYTES
from persistence.batch import arrived
from persistence.merge import fold
from persistence.state_sql import upsert
from tests.support import golden
from tests.support.decoding import Headers, decoded, finished
from tests.support.records import record_at
from workers.letter_index import letter_of

Input = tuple[bytes, Headers]

SMALL, LARGE = 200_000, 800_000  # bytes, about; the large one is below the limit
MOST = 10.0  # times as long for four times the size: n² takes sixteen
MOST_SECONDS = 3.0
NOISE_SECONDS = 0.002  # what a clock and a scheduler add

WHOLE = json.dumps(finished())
ALL_ATTRIBUTES = [(f"ce_{name}", value.encode()) for name, value in finished().items() if isinstance(value, str)]


def data(member: str) -> bytes:
    """An event with one more member, or several, in its data."""
    return WHOLE.replace('"completed"', '"completed", ' + member).encode()


def attribute(member: str) -> bytes:
    """An event with one more attribute, or several, at its start."""
    return ("{" + member + ", " + WHOLE[1:]).encode()


def instead(name: str, text: str) -> bytes:
    """An event with another JSON text as the value of an attribute."""
    return (
        attribute(f'"{name}": {text}')
        if name not in finished()
        else json.dumps(finished() | {name: "@"}).replace('"@"', text).encode()
    )


def of_golden(name: str, path: tuple[str, ...], text: str) -> bytes:
    """A golden message with another JSON text as the value at a path in its data."""
    one = json.loads(golden.value(f"siltstone.{name}.v1"))
    place = one["data"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "@"
    return json.dumps(one).replace('"@"', text).encode()


def amount(text: str) -> bytes:
    return of_golden("exception.created", ("set", "amount"), text)


def many(member: Callable[[int], str], size: int) -> str:
    """So many members that they have about `size` bytes."""
    return ",".join(member(n) for n in range(size // (len(member(9_999)) + 1)))


VALUES: dict[str, Callable[[int], bytes]] = {
    # Nesting and brackets.
    "arrays that nobody closes": lambda n: b"[" * n,
    "objects that nobody closes": lambda n: b'{"a":' * (n // 5),
    "deep data": lambda n: data('"x":' + "[" * (n // 2) + "]" * (n // 2)),
    "deep set": lambda n: of_golden("exception.created", ("set",), '{"a":' * (n // 6) + "1" + "}" * (n // 6)),
    "brackets in a text": lambda n: data(f'"x": "{"[" * n}"'),
    "flat brackets": lambda n: data('"x": [' + "[]," * (n // 3) + "0]"),
    "flat brackets in fields": lambda n: data(
        ",".join(f'"{name}": [{"[]," * (n // 12)}0]' for name in ("results_summary", "error_info", "y", "z"))
    ),
    "unknown attributes full of brackets": lambda n: attribute(many(lambda i: f'"a{i}": [{"[]," * 65}0]', n)),
    "closing brackets": lambda n: b"[" * 60 + b"]}" * (n // 2) + b"[" * 60,
    # Texts that nobody closes, below more brackets than may be nested: they are walked.
    "an open text of escaped quotes": lambda n: b"[" * 65 + b'"' + b'\\"' * (n // 2),
    "an open text of escaped backslashes": lambda n: b"[" * 65 + b'"' + b"\\\\" * (n // 2) + b"\\",
    "an open text in data": lambda n: data('"x": ' + "[]," * 65 + '"' + r"\"" * (n // 2)),
    "quotes": lambda n: b"[" * 65 + b'"' * n,
    "half texts": lambda n: b'["' * (n // 2),
    # Escapes.
    "escapes before one that is refused": lambda n: data('"x": "' + r"\n" * (n // 2) + r'\u0000"'),
    "escaped backslashes before one that is refused": lambda n: data('"x": "' + r"\\" * (n // 2) + r'\ud800"'),
    "surrogate pairs": lambda n: data('"error_message": "' + r"\ud83d\ude00" * (n // 12) + '"'),
    "an escaped name": lambda n: data('"' + r"\u0061" * (n // 6) + '": 1'),
    # Members.
    "many attributes": lambda n: attribute(many(lambda i: f'"a{i}": 1', n)),
    "many fields": lambda n: data(many(lambda i: f'"a{i}": null', n)),
    "many changes": lambda n: of_golden(
        "exception.created", ("set", "owner"), '"", ' + many(lambda i: f'"a{i}": 1', n)
    ),
    "one attribute again and again": lambda n: attribute(many(lambda _: '"id": "a"', n)),
    "data again and again": lambda n: attribute(many(lambda _: '"data": {}', n)),
    "types again and again": lambda n: attribute(many(lambda _: '"type": "siltstone.run.finished.v1"', n)),
    "one number again and again": lambda n: data(many(lambda _: '"cost_usd": 1.5', n)),
    "one object again and again": lambda n: data(many(lambda _: '"final_state": {"a": 1}', n)),
    "a long name": lambda n: data(f'"{"k" * n}": 1'),
    "nulls": lambda n: data('"error_info": [' + "null," * (n // 5) + "null]"),
    "many members cut short": lambda n: ("{" + many(lambda i: f'"a{i}": 1', n)).encode(),
    # Numbers.
    "digits for a text": lambda n: instead("id", "9" * n),
    "digits for a word": lambda n: data(f'"status": {"9" * n}'),
    "digits for a flag": lambda n: of_golden("assertion.evaluated", ("passed",), "9" * n),
    "digits for an integer": lambda n: data(f'"tokens_input": {"9" * n}'),
    "digits for a negative integer": lambda n: of_golden(
        "exception.created", ("set", "current_playbook_id"), f"-{'9' * n}"
    ),
    "a fraction for an integer": lambda n: data(f'"tokens_input": 1.{"0" * n}'),
    "an exponent for an integer": lambda n: data(f'"tokens_input": 1e{"9" * n}'),
    "digits and an exponent for an integer": lambda n: data(f'"tokens_input": {"1" * n}e-{n}'),
    "digits for a number": lambda n: amount("9" * n),
    "digits that a number holds": lambda n: amount("9" * (n // 8)),
    "a fraction for a number": lambda n: amount(f"0.{'3' * n}"),
    "an exponent for a number": lambda n: amount(f"1e{'9' * n}"),
    "an exponent of zeros for a number": lambda n: amount(f"1e{'0' * n}"),
    "a text of digits for a number": lambda n: amount(f'"{"9" * n}"'),
    "a text of digits and more for a number": lambda n: amount(f'"{"9" * n}x"'),
    "a text of escaped digits for a number": lambda n: amount('"' + r"\u0039" * (n // 6) + '"'),
    "a text of grouped digits for a number": lambda n: amount(f'"{"9_" * (n // 2)}9"'),
    "digits in free JSON": lambda n: data(f'"error_info": {"9" * n}'),
    "digits that end in a letter": lambda n: b"9" * n + b"x",
    "a fraction that ends in a letter": lambda n: b"0." + b"9" * n + b"x",
    # Times.
    "digits for the time": lambda n: instead("time", "9" * n),
    "a fraction of the time": lambda n: instead("time", f'"2026-01-31T12:00:00.{"9" * n}Z"'),
    "fractions of the time": lambda n: instead("time", f'"2026-01-31T12:00:00{".000000" * (n // 7)}Z"'),
    "an escaped fraction of the time": lambda n: instead(
        "time", '"2026-01-31T12:00:00.1234567' + r"\u0030" * (n // 6) + 'Z"'
    ),
    "an array for the time": lambda n: instead("time", "[" + "0," * (n // 2) + "0]"),
    "a fraction of a field's time": lambda n: of_golden(
        "node.executed", ("started_at",), f'"2026-01-31T12:00:00.{"9" * n}Z"'
    ),
    "digits for a field's time": lambda n: of_golden("node.executed", ("started_at",), "9" * n),
    "a fraction of a change's time": lambda n: of_golden(
        "exception.created", ("set", "sla_deadline"), f'"2026-01-31T12:00:00.{"9" * n}Z"'
    ),
    # Texts, space and what is no JSON.
    "a long tenant": lambda n: instead("tenantid", f'"{"a" * n}"'),
    "a long type": lambda n: instead("type", f'"siltstone{".a" * (n // 2)}"'),
    "a long word": lambda n: data(f'"status": "{"c" * n}"'),
    "a content type of spaces": lambda n: instead("datacontenttype", f'"{" " * n}"'),
    "a content type of parameters": lambda n: instead("datacontenttype", f'"application/json{";a=b" * (n // 4)}"'),
    "code": lambda n: of_golden("code_block.captured", ("content",), f'"{"é" * (n // 2)}"'),
    "space": lambda n: b" " * n + WHOLE.encode(),
    "lines and no JSON": lambda n: b"\n" * n + b"x",
    "events in an array": lambda n: b"[" + b",".join([WHOLE.encode()] * (n // len(WHOLE))) + b"]",
    "an array cut short": lambda n: b"[" + b"1," * (n // 2),
    "no UTF-8 at the end": lambda n: "é".encode() * (n // 2) + b"\xff",
}

HEADERS: dict[str, Callable[[int], Input]] = {
    "many headers": lambda n: (WHOLE.encode(), [STRUCTURED, *((f"x-{i}", b"1") for i in range(n // 10))]),
    "many content types": lambda n: (WHOLE.encode(), [("content-type", b"A" * 10)] * (n // 22)),
    "many headers, the last no UTF-8": lambda n: (WHOLE.encode(), [*[("x", "é".encode())] * (n // 3), ("y", b"\xff")]),
    "many attributes in headers": lambda n: (b"{}", [*ALL_ATTRIBUTES, *((f"ce_{i}", b"1") for i in range(n // 10))]),
    "one attribute again in headers": lambda n: (b"{}", [*ALL_ATTRIBUTES, *[("ce_id", b"1")] * (n // 6)]),
    "a long attribute in a header": lambda n: (b"{}", [*ALL_ATTRIBUTES, ("ce_x", b"1" * n)]),
    "a header of control characters": lambda n: (b"{}", [*ALL_ATTRIBUTES, ("ce_x", b"\1" * (n // 6))]),
    "a long name of a header": lambda n: (b"{}", [*ALL_ATTRIBUTES, ("ce_" * (n // 3), b"1")]),
    "a fraction of the time in a header": lambda n: (
        b'{"status": "completed"}', [*ALL_ATTRIBUTES, ("ce_time", b"2026-01-31T12:00:00." + b"9" * n + b"Z")],
    ),
    "a value in binary mode": lambda n: (b'{"x": [' + b"[]," * (n // 3) + b"0]}", ALL_ATTRIBUTES),
    "a value of escapes in binary mode": lambda n: (b'{"x": "' + rb"\n" * (n // 2) + rb'\u0000"}', ALL_ATTRIBUTES),
}  # fmt: skip

INPUTS: dict[str, Callable[[int], Input]] = {
    **{name: (lambda n, value=value: (value(n), (STRUCTURED,))) for name, value in VALUES.items()},  # type: ignore[misc]
    **HEADERS,
}


def settle(value: bytes, headers: Headers) -> Reason | None:
    """What a worker does with a record but for Kafka and Postgres; why it was refused."""
    try:
        event = decoded(value, headers, b"acme/x")
    except Refusal as refusal:
        letter_of("dlq.t", 0, 0, b"acme/x", value, headers)
        return refusal.reason
    arrived(event, record_at("t", 0))
    for state, changes in fold([event]).items():
        upsert(state, changes)
    return None


def seconds(made: Input, tries: int) -> float:
    """The least time of several tries: what it takes when nothing else runs."""
    times = []
    for _ in range(tries):
        began = time.process_time()
        settle(*made)
        times.append(time.process_time() - began)
    return min(times)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """The collector's own time grows with all that lives in the process, not with the record."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def check_growth(name: str, less: int, more: int) -> float:
    """The time at both sizes grows in proportion to them, noise aside; the time at the larger one."""
    small, large = INPUTS[name](less), INPUTS[name](more)
    assert len(large[0]) <= MAX_VALUE_BYTES, "nothing would walk it"
    took = seconds(small, 3), seconds(large, 2)
    if took[1] > MOST * (took[0] + NOISE_SECONDS):  # the machine may have been busy meanwhile
        took = seconds(small, 5), seconds(large, 5)
    assert took[1] <= MOST * (took[0] + NOISE_SECONDS), (name, less, more, took)
    return took[1]


@pytest.mark.parametrize("name", INPUTS)
def test_four_times_the_size_takes_no_more_than_ten_times_as_long(name: str) -> None:
    """The time grows with the size, not with its square, up to the limit; the largest takes below 3 seconds."""
    check_growth(
        name, SMALL // 32, SMALL // 8
    )  # a quadratic input is found out before the size at which it takes hours
    assert check_growth(name, SMALL, LARGE) < MOST_SECONDS
