"""Markdown: a table, a page."""

from collections.abc import Iterable, Iterator, Sequence

HEADER = "<!-- Made by `python -m docs.generate`; edit the code instead. -->\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table; nothing when there are no rows."""
    listed = list(rows)
    if listed:
        yield ""
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        for row in listed:
            yield "| " + " | ".join(_cell(text) for text in row) + " |"
    yield ""


def _cell(text: str) -> str:
    """Text that neither ends a cell nor reads as HTML."""
    return (text if "`" in text else text.replace("<", "&lt;")).replace("|", "\\|").replace("\n", " ")


def page(title: str, intro: str, body: Iterator[str]) -> str:
    """A whole page."""
    lines = [HEADER, f"# {title}", "", intro, *body]
    text = "\n".join(lines).strip() + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text
