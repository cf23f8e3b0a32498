"""The examples of docs/publishing.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "publishing.md"
EXAMPLES = "## One event, from anywhere"
SECTION = re.compile(r"^### (.+?)\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"```\w+\n(.*?)```", re.DOTALL)


def snippets() -> dict[str, str]:
    """The code of each example, by its heading; the event itself under `event`."""
    before, _, after = PAGE.read_text(encoding="utf-8").partition(EXAMPLES)
    assert before, "the page has its examples under another heading"
    found = {"event": BLOCK.findall(after)[0]}
    for heading, body in SECTION.findall(after):
        (found[heading],) = BLOCK.findall(body)
    return found
