"""Files of other tools, read by their importers: tests/cases has small ones, each for something that tools do."""

from io import BytesIO
from pathlib import Path
from typing import Any

from producers.imports.imported import Imported, Importer, Origin

CASES = Path(__file__).parents[1] / "cases"
ORIGIN = Origin("acme", "/importers/test")


def read(importer: Importer, content: bytes, name: str = "x", origin: Origin = ORIGIN) -> Imported:
    """The events of a file, and what is said of the rest."""
    items = list(importer(BytesIO(content), name, origin))
    return Imported([i for i in items if isinstance(i, dict)], [i for i in items if not isinstance(i, dict)])


def case(importer: Importer, path: str) -> Imported:
    """The same, of a file below tests/cases."""
    return read(importer, (CASES / path).read_bytes(), Path(path).name)


def of(found: Imported, noun: str) -> list[dict[str, Any]]:
    """The data of the events of one type."""
    return [event["data"] for event in found.events if event["type"] == f"siltstone.{noun}.v1"]


def said(found: Imported) -> list[str]:
    """What is said of the rest, in words."""
    return [str(word) for word in found.words]
