"""The events that the benchmarks publish: the same for a seed, 690 bytes each as `extraction.recorded`."""

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

TENANTS = 20
SESSIONS = 2_000
AGENTS = 50


def extractions(count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """`count` whole events, ten milliseconds apart, the last of them now."""
    draw = random.Random(seed)
    base = datetime.now(UTC).replace(microsecond=0) - timedelta(milliseconds=10 * count)
    for i in range(count):
        session = draw.randrange(SESSIONS)
        yield {
            "specversion": "1.0",
            "id": str(uuid.UUID(int=draw.getrandbits(128))),
            "source": f"/agents/a{i % AGENTS}",
            "type": "siltstone.extraction.recorded.v1",
            "time": (base + timedelta(milliseconds=10 * i)).isoformat(timespec="microseconds"),
            "subject": f"sess-{session}",
            "tenantid": f"tenant-{session % TENANTS}",
            "datacontenttype": "application/json",
            "data": {
                "agent_name": f"agent-{i % AGENTS}",
                "event_type": draw.choice(["error", "code_block", "prompt", "tool"]),
                "pattern": "error_detection",
                "matched_value": "TypeError: undefined is not a function",
                "original_line": "x" * 120,
                "line_number": i % 5000,
                "risk_level": draw.choice(["low", "medium", "high"]),
                "auto_confirmable": False,
                "metadata": {"file": "a/b/c.py", "col": i % 80, "tags": ["a", "b"]},
            },
        }


def tenants() -> list[str]:
    """The tenants of those events."""
    return [f"tenant-{n}" for n in range(TENANTS)]


def encoded(event: dict[str, Any]) -> bytes:
    """One event as it is published."""
    return json.dumps(event).encode()
