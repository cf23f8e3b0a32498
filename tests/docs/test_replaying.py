"""docs/wrap.md says what becomes of each part of a recording; every row is tried on the file it names."""

import re
from pathlib import Path
from typing import Any

import pytest

from producers.account import LeftOut, Refused, Remark, Word
from tests.support.imported import CASES
from workers.wrap.command import Wish, replayed

PAGE = Path(__file__).parents[2] / "docs" / "wrap.md"
ROWS = re.findall(
    r"^\| (.+?) \| (.+?) \| `((?:asciicast|script)/[\w./-]+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
)
WORDS = {"left out": LeftOut, "not understood": Remark, "refused": Refused}
WISH = Wish("acme", None, "/siltstone/wrap", None, None, mask=True, wait=False)


def read(case: str) -> tuple[list[dict[str, Any]], list[Word]]:
    """The events and the words of a recording."""
    found = replayed(CASES / case, WISH)
    return list(found.events), found.words


@pytest.mark.parametrize(("part", "becomes", "case"), ROWS, ids=[row[0] for row in ROWS])
def test_a_part_of_a_recording_becomes_what_the_page_says(part: str, becomes: str, case: str) -> None:
    """A word of the kind that is named, or an event of the type; metadata and output in those that have them."""
    events, words = read(case)
    types = [event["type"].removeprefix("siltstone.").removesuffix(".v1") for event in events]
    metadata = {key for e in events for key in (e["data"].get("metadata") or {}) if e["type"].endswith("updated.v1")}
    if word := next((kind for name, kind in WORDS.items() if becomes.startswith(name)), None):
        assert any(isinstance(one, word) for one in words)
    elif nouns := [noun for noun in re.findall(r"`([\w.]+)`", becomes) if "." in noun]:
        assert types[-1] == nouns[0]
        assert nouns[0] == "session.completed" or events[-1]["data"]["state"] == "ended"
    elif "metadata" in becomes:
        assert metadata - {"replayed"}, part
    else:
        assert "extraction.recorded" in types


def test_the_page_leaves_out_no_word_that_its_files_give() -> None:
    """Every kind of word stands in a row."""
    given = {type(word) for _, _, case in ROWS for word in read(case)[1]}
    assert len(ROWS) == 9
    assert given == {kind for _, becomes, _ in ROWS for name, kind in WORDS.items() if becomes.startswith(name)}
