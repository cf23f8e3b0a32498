"""Broken messages without end: golden messages changed in their bytes, members, headers and keys, from one seed.

About a quarter of them is still an event. Whatever text a message holds has CANARY in it, so that a test can tell
whether something that is said of the message quotes it.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from random import Random
from typing import NamedTuple

from contracts.envelope import STRUCTURED
from contracts.record import Message
from contracts.text import MAX_VALUE_BYTES
from tests.support import golden
from tests.support.decoding import Headers

SEED_VARIABLE = "SILTSTONE_TEST_SEED"
CANARY = "kanarienvogel"
TENANTS = ("acme", "globex")
SUBJECTS = 40  # few, so that several events change one state

Members = list[tuple[str, str]]
"""The members of an object: names and values as JSON texts, so that a name may repeat and a value be no JSON."""


def drawn_seed() -> int:
    """The seed of this run: what SILTSTONE_TEST_SEED says, so that a run can be repeated, else a new one."""
    seed = int(os.environ.get(SEED_VARIABLE) or Random().randrange(1 << 32))
    print(f"{SEED_VARIABLE}={seed}")  # noqa: T201 - pytest shows it when a test fails
    return seed


def _quoted(*texts: str) -> tuple[str, ...]:
    return tuple(json.dumps(text) for text in texts)


def _nested(depth: int) -> tuple[str, ...]:
    return "[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth


WORDS = _quoted(
    CANARY, "", " ", "acme", "completed", "running", "failed", "high", "open", "agent", "é😀\x7f\u2028\ufeff"
)
NUMBERS = (
    *("0", "1", "-1", "-0", "7", "100", "101", "1.0", "1.5", "0.1", "1e2", "1E+2", "2147483647", "2147483648"),
    *(str(2**63 - 1), str(2**63), str(-(2**63)), str(-(2**63) - 1), str(2**64), "1" + "0" * 400, "9" * 5_000),
    *("1e400", "-1e400", "1e-400", "1e131071", "1e131072", "1e-16383", "1e-16384", "1e400000", "1e2147483648"),
    *("1e99999999999999999999", "1e-99999999999999999999", "0e99999999999", "0." + "3" * 5_000),
)
DECIMALS = _quoted(
    *("1.10", "-0.0", "1e5", "1_0", " 1", "+1", "١", "NaN", "sNaN", "-Infinity", "1e131072", "0x1"),  # noqa: RUF001
    *("1e999999999999999999999", "9" * 131_073, f"1{CANARY}"),
)
TIMES = _quoted(
    *("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.1234567+01:00", "2026-01-31t12:00:00z", "2026-01-31 12:00:00Z"),
    *("2026-01-31T12:00:00", "2026-01-31", "2026-01-31T12:00:60Z", "2026-01-31T24:00:00Z", "2026-02-30T12:00:00Z"),
    *("2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00+23:59", "1769860800"),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999Z", "0000-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59-23:59", "1999-12-31T23:59:59.999Z", "2000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"),
    *(f"2026-01-31T12:00:00.{'9' * 5_000}Z", f"2026-01-31T12:00:00{CANARY}", "2026-01-31T12:00:00.Z", "T"),
)
CONTAINERS = (
    *("[]", "{}", "[null]", '{"": ""}', '{"a": null, "a": 1}', f'{{"{CANARY}": ["{CANARY}", 1.10, {{}}]}}'),
    *_nested(61), *_nested(62), *_nested(63), *_nested(64), *_nested(65), *_nested(1_000),
)  # fmt: skip
LONG = _quoted(*(CANARY + "x" * (n - len(CANARY)) for n in (32, 33, 50, 51, 63, 64, 100, 101, 128, 129, 255, 256)))
NOISE = "".join(map(chr, Random(1).choices(range(0x4E00, 0x9FFF), k=2_000)))  # no index makes it shorter
LONGER = _quoted(*("ü" * n for n in (257, 640, 641)), "😀" * 640, NOISE, NOISE[:250], NOISE[:640])
ESCAPES = (r'"\u0000"', r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\u00e9\/\b\f\n\r\t\"\\"', r'"\\u0000"')
NO_JSON = (
    *("NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "-", "1e", "0x1", "tru", "nul", "undefined", "''", ""),
    *(f'"{CANARY}', r'"\q"', r'"\u12g4"', '"\t"', '"\0"', "[1,]", '{"a":1,}', "[1 2]", "/**/1", "1 1", "\ufeff1"),
    *(f'"{CANARY}\\', '"\ud800"', "[" * 70 + '"' + '\\"' * 70),
)
ANY_JSON = (*WORDS, *NUMBERS, *DECIMALS, *TIMES, *CONTAINERS, *LONG, *LONGER, *ESCAPES, "null", "null", "true", "false")
KINDS: tuple[Sequence[str], ...] = (
    *(WORDS, NUMBERS, DECIMALS, TIMES, CONTAINERS, LONG, LONGER, ESCAPES, NO_JSON),
    *(("null",), ("true", "false")),
)

TOKENS = (
    *(b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b'"', b"\\", b"\\u", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\x1f", b"-"),
    *(b"null", b"true", b"NaN", b"Infinity", b"1e999999999", b"9" * 400, b"[" * 100, b"]" * 100, b'{"a":' * 100),
    *(b'"id":"a",', b'"data":{},', b'"specversion":"2.0",', b'"time":null,', b"/**/", CANARY.encode()),
)
KEYS: tuple[bytes | None, ...] = (
    *(None, b"", b"acme", b"acme/", b"/", b"globex/x", b"acme\0/x", b"\xff\xfe/x", b"ACME/x", b"k" * 5_000),
    CANARY.encode() + b"/x",
)
CONTENT_TYPES: tuple[bytes | None, ...] = (
    *(b"application/json", b"Application/JSON ; charset=utf-8", b"", b";", b"text/plain", b"application/json\0", None),
    *(b"application/cloudevents+json", b"APPLICATION/CLOUDEVENTS+JSON", b"application/cloudevents-batch+json"),
    *(b"application/avro", b"\xff", "application/jsön".encode(), CANARY.encode(), b"x" * 5_000),
)
HEADER_NAMES = (
    *("ce_id", "ce_time", "ce_type", "ce_source", "ce_subject", "ce_tenantid", "ce_specversion", "ce_sequence"),
    *("ce_data", "ce_", "ce_datacontenttype", "CE_ID", "ce_ce_id", f"ce_{CANARY}", "content-type", "Content-Type"),
    *("", CANARY, "a\0b", "é😀", "n" * 5_000, "x-dlq-reason", "x-dlq-tenant", "__dlq.errors.topic", "x-dlq-app"),
)
HEADER_VALUES: tuple[bytes | None, ...] = (
    *(None, b"", b"\xff", b"\0", b"1.0", b"null", b"\\u0000", "é😀".encode(), "é😀".encode()[:-1], b"v" * 5_000),
    *(b"2026-01-31T12:00:00Z", b"acme", CANARY.encode()),
)
COUNTS = ("", "0", "1", "-1", "2147483647", "2147483648", "9" * 30, "9" * 5_000, "1e3", "1_0", "١", CANARY)  # noqa: RUF001


class Draft(NamedTuple):
    """A message while it is changed: its members in three objects, one within the other."""

    attributes: Members
    data: Members
    changes: Members

    def objects(self) -> tuple[Members, ...]:
        """Those that can be changed; `set` is of exceptions alone."""
        return (self.attributes, self.data, self.changes) if self.changes else (self.attributes, self.data)


def mutants(random: Random, count: int) -> Iterator[Message]:
    """So many messages; those that keep their id and time differ in both from each other."""
    yield from (_mutant(random, number) for number in range(count))


def _mutant(random: Random, number: int) -> Message:
    draft, tenant, subject = _draft(random, f"{CANARY}-{random.getrandbits(40):x}-{number}")
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        random.choice(_EDITS)(random, random.choice((*draft.objects(), draft.data)))
    key = f"{tenant}/{subject}".encode()
    if random.random() < 0.2:
        value, headers = _binary(random, draft)
    else:
        value, headers = _structured(random, draft)
    whole: bytes | None = value
    if random.random() < 0.3:
        for _ in range(random.choice((1, 1, 1, 2, 5))):
            whole = value = random.choice(_BYTE_EDITS)(random, value)
    if random.random() < 0.003:
        longer = value.replace(b": ", b": " + b"1" * 140_000, 3)
        large = (longer, value.ljust(MAX_VALUE_BYTES + 1), b"[" * MAX_VALUE_BYTES)
        whole = random.choice((None, None, b"", b"\0" + value, *large))
    return Message(random.choice(KEYS) if random.random() < 0.1 else key, whole, tuple(headers))


@cache
def _golden() -> tuple[tuple[Members, Members, Members], ...]:
    """The members of every golden message, without `data` and `set`."""
    drafts = []
    for name in golden.names():
        one = json.loads(golden.value(name))
        data = one.pop("data")
        changes = data.pop("set", {})
        drafts.append((_members(one), _members(data), _members(changes)))
    return tuple(drafts)


def _members(one: dict[str, object]) -> Members:
    return [(json.dumps(name), json.dumps(value)) for name, value in one.items()]


def _draft(random: Random, event_id: str) -> tuple[Draft, str, str]:
    """A golden message with an id, a time, a tenant and a subject of its own, and the last two."""
    attributes, data, changes = random.choice(_golden())
    tenant, subject = random.choice(TENANTS), f"{CANARY}-{random.randrange(SUBJECTS)}"
    own = {
        '"id"': json.dumps(event_id),
        '"time"': f'"2026-01-31T{random.randrange(24):02}:{random.randrange(60):02}:00.{random.randrange(10**6):06}Z"',
        '"tenantid"': json.dumps(tenant),
        '"subject"': json.dumps(subject),
        '"source"': json.dumps(f"/{CANARY}"),
    }
    named = [(name, own.get(name, text)) for name, text in attributes]
    return Draft(named, [*data, (json.dumps(CANARY), json.dumps(CANARY))], list(changes)), tenant, subject


def _text(members: Members) -> str:
    return "{" + ", ".join([f"{name}: {value}" for name, value in members]) + "}"


def _data(draft: Draft) -> str:
    changes = [('"set"', _text(draft.changes))] if draft.changes else []
    return _text([*draft.data, *changes])


# One change of an object's members.


def _odd_value(random: Random, members: Members) -> None:
    at = random.randrange(len(members)) if members else 0
    members[at : at + 1] = [(members[at][0] if members else '"a"', random.choice(random.choice(KINDS)))]


def _odd_of_its_kind(random: Random, members: Members) -> None:
    """A text for a text, a time for a time, a number for a number: often still an event."""
    if members:
        at = random.randrange(len(members))
        name, value = members[at]
        kinds = (TIMES,) if value[:3] == '"20' else (WORDS, LONG, LONGER) if value[:1] == '"' else (NUMBERS, DECIMALS)
        members[at] = (name, random.choice(random.choice((CONTAINERS,) if value[:1] in "[{" else kinds)))


def _null(random: Random, members: Members) -> None:
    if members:
        at = random.randrange(len(members))
        members[at] = (members[at][0], "null")


def _drop(random: Random, members: Members) -> None:
    if members:
        del members[random.randrange(len(members))]


def _rename(random: Random, members: Members) -> None:
    if members:
        at = random.randrange(len(members))
        name = members[at][0]
        escaped = name.replace("a", r"\u0061").replace("i", r"\u0069")
        odd = (f'"{CANARY}"', '""', name.upper(), escaped, name[:-2] + '"', "null", "1")
        members[at] = (random.choice(odd), members[at][1])


def _repeat(random: Random, members: Members) -> None:
    if members:
        name, value = random.choice(members)
        again = random.choice((value, random.choice(ANY_JSON)))
        members.insert(random.randrange(len(members) + 1), (name, again))


def _foreign_member(random: Random, members: Members) -> None:
    of_another = random.choice(random.choice(_golden()))
    if of_another:
        member = random.choice(of_another)
        members[:] = [*(m for m in members if m[0] != member[0]), member]


def _unknown_member(random: Random, members: Members) -> None:
    name = random.choice((f'"{CANARY}-2"', '""', '"é😀"', r'"\u0061"', '"' + "n" * 5_000 + '"'))
    members.insert(random.randrange(len(members) + 1), (name, random.choice(ANY_JSON)))


def _shuffle(random: Random, members: Members) -> None:
    random.shuffle(members)


_EDITS: tuple[Callable[[Random, Members], None], ...] = (
    *(_odd_value, _odd_value, _odd_of_its_kind, _odd_of_its_kind, _odd_of_its_kind, _null, _drop, _rename, _repeat),
    *(_foreign_member, _unknown_member, _unknown_member, _shuffle),
)


# One change of bytes.


def _place(random: Random, value: bytes) -> tuple[int, int]:
    start = random.randrange(len(value) + 1)
    return start, min(len(value), start + random.choice((1, 1, 2, 5, 20, 200)))


def _flip(random: Random, value: bytes) -> bytes:
    if not value:
        return value
    at = random.randrange(len(value))
    return value[:at] + bytes([value[at] ^ 1 << random.randrange(8)]) + value[at + 1 :]


def _insert(random: Random, value: bytes) -> bytes:
    at, _ = _place(random, value)
    return value[:at] + random.choice(TOKENS) + value[at:]


def _replace(random: Random, value: bytes) -> bytes:
    start, end = _place(random, value)
    return value[:start] + random.choice(TOKENS) + value[end:]


def _delete(random: Random, value: bytes) -> bytes:
    start, end = _place(random, value)
    return value[:start] + value[end:]


def _double(random: Random, value: bytes) -> bytes:
    start, end = _place(random, value)
    return value[:end] + value[start:end] * random.choice((1, 1, 2, 30)) + value[end:]


def _splice(random: Random, value: bytes) -> bytes:
    other = golden.value(random.choice(golden.names()))
    return value[: random.randrange(len(value) + 1)] + other[random.randrange(len(other)) :]


def _cut(random: Random, value: bytes) -> bytes:
    return value[: random.randrange(len(value) + 1)]


def _pad(random: Random, value: bytes) -> bytes:
    return random.choice((b"\xef\xbb\xbf", b" ", b"\n\t", b"\0")) + value + random.choice((b"", b" ", b"\0", b"{}"))


_BYTE_EDITS: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_flip, _flip, _flip, _insert, _replace, _delete, _double, _splice, _cut, _pad),
)


# Headers.


def _structured(random: Random, draft: Draft) -> tuple[bytes, Headers]:
    value = _text([*draft.attributes, ('"data"', _data(draft))])
    headers: list[tuple[str, bytes | None]] = [STRUCTURED]
    if random.random() < 0.2:
        headers += _ce_headers(draft)
    if random.random() < 0.15:
        _odd_headers(random, headers)
    return value.encode(errors="surrogatepass"), headers


def _binary(random: Random, draft: Draft) -> tuple[bytes, Headers]:
    headers = _ce_headers(draft)
    if random.random() < 0.9:
        odd = random.random() < 0.2
        headers.append(("content-type", random.choice(CONTENT_TYPES) if odd else b"application/json"))
    if random.random() < 0.4:
        _odd_headers(random, headers)
    return _data(draft).encode(errors="surrogatepass"), headers


def _ce_headers(draft: Draft) -> list[tuple[str, bytes | None]]:
    """The attributes as headers: the text of a JSON string, else the JSON itself, null as null."""
    headers: list[tuple[str, bytes | None]] = []
    for name, value in draft.attributes:
        text = None if value == "null" else value.strip('"').encode(errors="surrogatepass")
        headers.append(("ce_" + name.strip('"'), text))
    return [(name, text) for name, text in headers if name != "ce_datacontenttype"]


def _odd_headers(random: Random, headers: list[tuple[str, bytes | None]]) -> None:
    """Headers added, repeated, emptied, taken away; now and then those of a letter that somebody made up."""
    for _ in range(random.choice((1, 1, 2, 30))):
        at = random.randrange(len(headers) + 1)
        headers.insert(at, (random.choice(HEADER_NAMES), random.choice(HEADER_VALUES)))
    at = random.randrange(len(headers))
    match random.randrange(6):
        case 0:
            headers.append(headers[at])
        case 1:
            del headers[at]
        case 2:
            headers[at] = (headers[at][0], random.choice(HEADER_VALUES))
        case 3 | 4:
            letter = random.choice((str(uuid.UUID(int=random.getrandbits(128))), "", CANARY))
            headers[:] = [h for h in headers if h[1] is not None and h[1].isascii()]
            count = random.choice(COUNTS).encode()
            headers += [("x-dlq-id", letter.encode()), ("x-dlq-redrive-count", count)]
        case _:
            random.shuffle(headers)
