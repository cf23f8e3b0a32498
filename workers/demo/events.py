"""What the demonstration publishes: the committed examples, repeated and shuffled, refused ones, and a stream."""

import json
import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.envelope import STRUCTURED
from contracts.event_type import Family
from contracts.refusal import Reason
from contracts.registry import topic_of
from contracts.window import TimeWindow
from producers.event_lines import Defaults, Outgoing, RefusedLine, record_of
from workers.settings import Settings

TENANT = "acme"
SUSPENDED = "globex"
EXAMPLES = ("agent-sessions.jsonl", "graph-runs.jsonl", "business-exceptions.jsonl")
SEED = 20  # any; the order is out of order in the same way each time
REPEATED = 3  # every third event is sent twice

IN_FILE = (
    Reason.bad_json,  # cut in the middle
    Reason.bad_json,  # NaN
    Reason.not_cloudevent,  # a bare array
    Reason.not_cloudevent,  # specversion 0.3
    Reason.missing_id,
    Reason.bad_time,  # without an offset
    Reason.time_out_of_range,  # 1970
    Reason.schema_unsupported,  # a type that is unknown
    Reason.schema_unsupported,  # a major version that is unknown
    Reason.schema_invalid,  # a word where a number belongs
    Reason.schema_invalid,  # a required field is missing
    Reason.numeric_out_of_range,
    Reason.unstorable_text,  # \u0000
    Reason.tenant_missing,
    Reason.tenant_unknown,
    Reason.tenant_suspended,
)
"""The reason for each line of examples/refused.jsonl, in its order."""


class ExamplesMissing(Exception):
    """The folder of examples is not where this program is installed."""


def folder() -> Path:
    """Where the examples are: in a checkout beside the packages, in an installed wheel inside `workers`."""
    package = Path(__file__).parent.parent
    for place in (package / "_examples", package.parent / "examples"):
        if place.is_dir():
            return place
    raise ExamplesMissing(f"no folder of examples at {package.parent / 'examples'}; run the demo from a checkout")


def good() -> list[bytes]:
    """Every example event, as its line."""
    lines = [line for name in EXAMPLES for line in (folder() / name).read_bytes().splitlines()]
    return [line for line in lines if line.strip()]


def shuffled(lines: Sequence[bytes]) -> list[bytes]:
    """The same lines out of order, every third of them twice."""
    repeated = [*lines, *lines[::REPEATED]]
    random.Random(SEED).shuffle(repeated)  # noqa: S311 - an order, no secret
    return repeated


def records(settings: Settings, lines: Iterator[bytes] | Sequence[bytes]) -> Iterator[Outgoing | RefusedLine]:
    """Lines as records for the topics of `settings`."""
    defaults = Defaults(topic_prefix=settings.topic_prefix)
    window = TimeWindow(settings.oldest_time)
    for line in lines:
        yield record_of(line, defaults, window, check=False)


def refused(settings: Settings) -> list[tuple[Outgoing, Reason]]:
    """Records that no worker stores, and the reason that each must be given."""
    lines = (folder() / "refused.jsonl").read_bytes().splitlines()
    from_file = [record for record in records(settings, lines) if isinstance(record, Outgoing)]
    example = json.loads(good()[0])

    def raw(key: str, value: bytes) -> Outgoing:
        return Outgoing(topic_of(Family.extraction, settings.topic_prefix), key.encode(), value, [STRUCTURED])

    key = f"{TENANT}/session-refused"
    made = [
        (raw(key, json.dumps(example).encode().replace(b'"ci"', b'"\xff\xfe"', 1)), Reason.bad_utf8),
        (raw(key, b"\0\0\0\0\x07" + json.dumps(example).encode()), Reason.schema_registry_framed),
        (raw(key, json.dumps(example | {"note": "x" * 1_100_000}).encode()), Reason.too_large),
        (raw(f"{SUSPENDED}/session-refused", json.dumps(example).encode()), Reason.tenant_not_allowed),
    ]
    return [*zip(from_file, IN_FILE, strict=True), *made]


def stream(first: int, after: int) -> Iterator[bytes]:
    """Many extractions, numbers `first` to `after` less one: enough that a worker dies in the middle of them."""
    started = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    for number in range(first, after):
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": "/agents/build-agent-1",
            "type": "siltstone.extraction.recorded.v1",
            "time": (started + timedelta(milliseconds=number)).isoformat(timespec="milliseconds"),
            "subject": f"session-stream-{number % 40:02d}",
            "tenantid": TENANT,
            "data": {
                "agent_name": "build-agent",
                "event_type": "tool",
                "pattern": "shell",
                "line_number": number,
                "original_line": f"$ pytest -q tests/test_{number}.py",
            },
        }
        yield json.dumps(event).encode()
