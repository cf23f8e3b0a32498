"""Names with an underscore that documents use are metrics of a worker, or roles and functions of the database."""

import re
from pathlib import Path

import pytest

from workers.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAME = re.compile(r"\bsiltstone_[a-z_]+")
SUFFIXES = {"counter": ("_total", "_created"), "gauge": (), "histogram": ("_bucket", "_sum", "_count", "_created")}


def names_of_metrics() -> set[str]:
    """Every name that `/metrics` gives, and each without the suffix of its kind."""
    return {metric.name + suffix for metric in Metrics().registry.collect() for suffix in ("", *SUFFIXES[metric.type])}


def names_in_the_database() -> set[str]:
    """The roles and functions that migrations make and SQL uses."""
    sources = [path for folder in ("alembic", "persistence") for path in (ROOT / folder).rglob("*.py")]
    return {name for path in sources for name in NAME.findall(path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_metrics_and_roles_that_a_document_names_exist(document: Path) -> None:
    """A document's `siltstone_…` is a metric that workers give, or a role or function of the database."""
    named = set(NAME.findall(document.read_text(encoding="utf-8")))
    assert named - names_of_metrics() - names_in_the_database() == set()
