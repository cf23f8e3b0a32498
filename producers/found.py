"""What was found in an agent's output, as the data of its event."""

from typing import Any

from producers.storable import clean, cut
from producers.text_findings import MAX_LINE_CHARACTERS, MAX_MATCH_CHARACTERS, RISK, CodeBlock, ErrorLine

MAX_CODE_BYTES = 768 * 1024  # as ASCII JSON; with the envelope and its context an event stays under 1 MiB


def captured(agent: str, block: CodeBlock, context: dict[str, Any]) -> dict[str, Any]:
    """The data of a code_block.captured; the context also says what stood before, and what was cut."""
    content = cut(clean(block.content), MAX_CODE_BYTES)
    context = context | {"before": block.before, "closed": block.closed}
    if len(content) < block.characters:
        context["cut_from_characters"] = block.characters
    return {
        "agent_name": agent,
        "content": content,
        "language": block.language,
        "line_start": block.line_start,
        "line_end": block.line_end,
        "context": context,
        "parseable": block.parseable,
    }


def edited(agent: str, block: CodeBlock, context: dict[str, Any]) -> dict[str, Any]:
    """The data of an extraction.recorded of an edit: the file that it names, and all of it in the metadata."""
    content = cut(clean(block.content), MAX_CODE_BYTES)
    first = content.partition("\n")[0].strip()
    named = block.before or "" if first[:5] in ("<<<<<", "-----") else first
    file = clean(named).strip("`*:# ")
    context = context | {"content": content, "closed": block.closed, "line_end": block.line_end}
    if len(content) < block.characters:
        context["cut_from_characters"] = block.characters
    return {
        "agent_name": agent,
        "event_type": "file_edit",
        "pattern": "search_replace",
        "matched_value": None if not file or " " in file else file[:MAX_MATCH_CHARACTERS],  # prose names no file
        "original_line": first[:MAX_LINE_CHARACTERS],
        "line_number": block.line_start,
        "metadata": context,
    }


def reported(error: ErrorLine) -> dict[str, Any]:
    """The data of an extraction.recorded of an error, but whose it is."""
    return {
        "event_type": "error",
        "pattern": error.pattern,
        "matched_value": error.matched,
        "original_line": error.line,
        "line_number": error.line_number,
        "risk_level": RISK[error.pattern],
    }
