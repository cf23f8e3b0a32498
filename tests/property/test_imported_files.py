"""Files of other tools with anything in the place of anything: no importer fails, and each event can be published."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.decode import decode
from contracts.envelope import STRUCTURED
from contracts.refusal import Reason, Refusal
from contracts.window import TimeWindow
from producers.imports.imported import Importer, Unreadable
from tests.support.imported import CASES, ORIGIN

WINDOW = TimeWindow(datetime(1970, 1, 1, tzinfo=UTC))
NOW_MS = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000)
FOLDERS = {
    "otel": ["otel", "otel/exporters"],
    "swe_agent": ["recordings", "swe-agent"],
    "promptfoo": ["promptfoo"],
    "runs_json": ["runs-json"],
}
ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e300, float("nan"), 2**70, "", " ", "x", "\ud800", "\x00", "9" * 40, "0" * 32),
    *("1772000000000000000", "2026-01-01T00:00:00Z", "1,234", [], {}, [1], {"a": 1}, [[[]]]),
    {"stringValue": {"x": 1}},
    {"key": "\ud800", "value": {"intValue": "x"}},
]


class Document(NamedTuple):
    """One JSON of a case, and what reads it."""

    importer: Importer
    content: Any


def documents() -> Iterator[Document]:
    """Every JSON below the folders, whole files and lines."""
    for module, folders in FOLDERS.items():
        importer: Importer = import_module(f"producers.imports.{module}").read
        for path in sorted(path for folder in folders for path in (CASES / folder).iterdir() if path.is_file()):
            for content in parsed(path):
                yield Document(importer, content)


def parsed(path: Path) -> Iterator[Any]:
    """The JSON of a file, or of each of its lines that is some."""
    text = path.read_text(encoding="utf-8")
    for part in (text, *text.splitlines()):
        try:
            yield json.loads(part)
        except ValueError:
            continue
        if part is text:
            return


DOCUMENTS = list(documents())


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a JSON."""
    yield at
    for key, held in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(held, (*at, key))


def replaced(value: Any, at: tuple[Any, ...], by: Any) -> Any:
    """A JSON with another value in one place."""
    if not at:
        return by
    changed = copy.deepcopy(value)
    held = changed
    for key in at[:-1]:
        held = held[key]
    held[at[-1]] = by
    return changed


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(DOCUMENTS), st.data())
def test_no_value_in_no_place_fails_an_importer(document: Document, data: st.DataObject) -> None:
    """The file is read, or refused as a whole in words; whatever is made of it decodes, but for times before 1970."""
    content = document.content
    for _ in range(data.draw(st.integers(1, 3))):
        content = replaced(content, data.draw(st.sampled_from(list(places(content)))), data.draw(st.sampled_from(ODD)))
    try:
        items = list(document.importer(BytesIO(json.dumps(content).encode()), "x", ORIGIN))
    except Unreadable:
        return
    for item in items:
        if isinstance(item, dict):
            value = json.dumps(item, ensure_ascii=False).encode()
            try:
                decode(value, f"acme/{item['subject']}".encode(), [STRUCTURED], NOW_MS, WINDOW)
            except Refusal as refusal:  # a time of the file's own, which the command names
                assert refusal.reason is Reason.time_out_of_range  # noqa: PT017 - no other is allowed
        else:
            str(item).encode()


def test_there_are_documents_of_every_kind() -> None:
    """Their absence would make the test above pass."""
    assert len({document.importer for document in DOCUMENTS}) == len(FOLDERS)
    assert len(DOCUMENTS) > 40
