"""docs/importing.md says what becomes of each part of each kind of file; every row is tried on the file it names."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from contracts.registry import EVENT_TYPES
from producers.account import Differs, LeftOut, Refused, Remark
from producers.imports.imported import Imported, Importer
from producers.imports.jsonl import importer
from producers.imports.mapping import mapping
from tests.support.imported import CASES, case, of
from workers.cli.import_kinds import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "importing.md"
ROW = re.compile(r"^\| (?:`([a-z-]+)` )?\| (.+?) \| (.+?) \| `([\w./-]+)` \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
NOUNS = {kind.noun_verb for kind in EVENT_TYPES.values()}
WORDS = {"refused": Refused, "not understood": Remark, "differs": Differs, "left out": LeftOut}
SKIP = "skip: [{type: summary}]\n"


class Promise(NamedTuple):
    """One row of the page: a part of a kind of file, and what becomes of it, as its case shows."""

    kind: str
    part: str
    becomes: str
    case: str

    @property
    def nouns(self) -> list[str]:
        """The types of event that it names."""
        return [code for code in CODE.findall(self.becomes) if code in NOUNS]


def promises() -> Iterator[Promise]:
    """The rows, in order; a row without a kind is of the last one that was named."""
    kind = ""
    for named, part, becomes, shown in ROW.findall(PAGE.read_text(encoding="utf-8")):
        kind = named or kind
        yield Promise(kind, part, becomes, shown)


PROMISES = list(promises())


def importer_of(kind: str) -> Importer:
    """What reads files of a kind; JSON lines by the mapping beside their case."""
    if kind == "jsonl":
        text = (CASES / "jsonl" / "claude-code.yaml").read_text(encoding="utf-8")
        return importer(mapping(SKIP + text.replace("$message.content.0.text", "$message.nothing"), "mapping"))
    [module] = [one.module for one in KINDS if one.name == kind]
    read: Importer = import_module(module).read
    return read


def imported(promise: Promise) -> Imported:
    """What becomes of the row's case."""
    return case(importer_of(promise.kind), promise.case)


def held(data: dict[str, Any], path: str) -> Any:
    """What stands at a path of an event's data."""
    found: Any = data
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


@pytest.mark.parametrize("promise", PROMISES, ids=lambda p: f"{p.kind}: {p.part}")
def test_a_part_becomes_what_the_page_says(promise: Promise) -> None:
    """Events of the types that it names, with something at the path behind the last; or the word it begins with."""
    found = imported(promise)
    codes = CODE.findall(promise.becomes)
    word = next((kind for name, kind in WORDS.items() if promise.becomes.startswith(name)), None)
    assert codes or word
    if word is not None:
        assert [w for w in found.words if isinstance(w, word)]
    if word is LeftOut:
        assert codes[0] in [w.kind for w in found.words if isinstance(w, LeftOut)]
        return
    for noun in promise.nouns:
        assert of(found, noun), noun
    if codes and codes[-1] not in promise.nouns:
        assert any(held(data, codes[-1]) not in (None, [], {}) for data in of(found, promise.nouns[-1]))


@pytest.mark.parametrize("kind", [*(kind.name for kind in KINDS), "jsonl"])
def test_the_page_leaves_out_nothing_that_a_kind_does(kind: str) -> None:
    """Every type of event and every word that its cases give stands in a row of it."""
    rows = [promise for promise in PROMISES if promise.kind == kind]
    found = [imported(promise) for promise in rows]
    types = {event["type"].removeprefix("siltstone.").removesuffix(".v1") for one in found for event in one.events}
    words = {type(word) for one in found for word in one.words}
    named = {kind for row in rows for name, kind in WORDS.items() if row.becomes.startswith(name)}
    assert types == {noun for row in rows for noun in row.nouns}
    assert words == named
