"""The golden messages: one real message an event type and version. They are only ever added (G8)."""

from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


def names() -> list[str]:
    """The full type names that have a golden message."""
    return sorted(path.stem for path in GOLDEN.glob("*.json"))


def value(name: str) -> bytes:
    """The message of a type, as its bytes were once accepted."""
    return (GOLDEN / f"{name}.json").read_bytes()
