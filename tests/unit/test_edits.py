"""Blocks that say what to search for in a file and what to put there: edits, and never code that does not parse."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from producers import swe_agent
from producers.found import edited
from producers.text_findings import code_blocks
from producers.wrap.frames import About, Frame, Kind
from producers.wrap.patterns import load
from producers.wrap.session import Session

PATTERNS = load((Path(__file__).parents[2] / "examples" / "patterns.yaml").read_text(), "examples/patterns.yaml")
ABOUT = About(b"k" * 32, "aider", "acme", "/siltstone/wrap", datetime(2026, 1, 1, tzinfo=UTC), 80, 24, {})
TEXT = """I will fix the greeting.

hello.py
```python
<<<<<<< SEARCH
    print("hello")
=======
    print("goodbye")
>>>>>>> REPLACE
```

And as it should look:

```python
print("goodbye")
```
"""
EDIT = TEXT.split("```python\n", 1)[1].split("```", 1)[0].rstrip("\n")


def imported() -> list[dict[str, Any]]:
    """The events of a run whose agent says TEXT."""
    run = {"trajectory": [{"action": "", "response": TEXT}], "info": {"exit_status": "submitted"}}
    return swe_agent.events(json.dumps(run).encode(), name="x", tenant="acme")


def wrapped() -> list[dict[str, Any]]:
    """The events of a session that prints TEXT."""
    session = Session(ABOUT, PATTERNS, lambda line: line)
    session.feed(Frame(0, Kind.OUTPUT, TEXT.replace("\n", "\r\n").encode()))
    session.feed(Frame(1, Kind.ENDED, b"0"))
    return session.take()


@pytest.mark.parametrize("events", [imported, wrapped])
def test_an_edit_is_one_and_code_is_code(events: Any) -> None:
    """With its file's name, its lines and all of its text; the block beside it is captured as code."""
    made = events()
    edits = [e["data"] for e in made if e["data"].get("pattern") == "search_replace"]
    blocks = [e["data"] for e in made if e["type"] == "siltstone.code_block.captured.v1"]
    [edit], [block] = edits, blocks
    assert (edit["event_type"], edit["matched_value"], edit["line_number"]) == ("file_edit", "hello.py", 5)
    assert edit["metadata"]["content"] == EDIT
    assert (block["content"], block["parseable"]) == ('print("goodbye")', True)


@pytest.mark.parametrize(
    ("content", "is_edit"),
    [
        (EDIT, True),
        ("a.py\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE", True),
        ("<<<<<<< ORIGINAL\na\n=======\nb\n>>>>>>> UPDATED", True),
        ("------- SEARCH\na\n=======\nb\n+++++++ REPLACE", True),
        ("<<<<<<< HEAD\na\n=======\nb\n>>>>>>> branch", False),
        ("<<<<<<< SEARCH\na\n=======\nb", False),
        ("print('<<<<<<< SEARCH')", False),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b", False),
    ],
)
def test_what_is_an_edit(content: str, *, is_edit: bool) -> None:
    """Aider's and Cline's markers, each on a line of its own and all three; a merge's conflict is code."""
    [block] = code_blocks(f"```\n{content}\n```\n")
    assert block.is_edit is is_edit


def test_prose_before_an_edit_names_no_file() -> None:
    """Nor does a line with blanks in the fence."""
    for text in ("I will change this:\n\n```\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n",):
        [block] = code_blocks(text)
        assert edited("aider", block, {})["matched_value"] is None
