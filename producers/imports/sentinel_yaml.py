"""Test definitions in YAML: name, provider, model, prompt, assertions. Each document is one definition.

A definition keeps its text beside its JSON, byte for byte, so that the same YAML can be written again.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from producers.account import Part, Refused
from producers.imports.imported import (
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    MAX_NAME,
    Item,
    Named,
    Origin,
    Unreadable,
    timeline,
)
from producers.imports.yaml_text import BadYaml, load
from producers.storable import json_bytes

KIND = "sentinel-yaml"
BOM = "\ufeff"


def read(file: BinaryIO, name: str, origin: Origin) -> Iterator[Item]:
    """A definition.saved for each document that is a definition, one in memory at a time; the others are refused."""
    try:
        whole = file.read().decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name} is not UTF-8 at byte {error.start}; definitions are YAML in UTF-8") from None
    place = 0
    for place, document in enumerate(_documents(whole), 1):
        yield from _definition(document, f"document {place}", origin)
    if not place:
        raise Unreadable(f"{name} holds no definition")


def _documents(whole: str) -> Iterator[str]:
    """The text of each document that holds more than comments, without the `---` before it.

    Directives (`%YAML 1.1`) stay with the document that they stand before, and its `---` with them.
    """
    lines: list[str] = []
    for line in whole.splitlines(keepends=True):
        if not _is_mark(line, "---") or (any(map(_is_directive, lines)) and not any(map(_is_content, lines))):
            lines.append(line)
        else:
            yield from _kept(lines)
            lines = [] if line.rstrip() == "---" else [line.removeprefix("---")]
        if _is_mark(line, "..."):
            yield from _kept(lines)
            lines = []
    yield from _kept(lines)


def _kept(lines: list[str]) -> list[str]:
    return ["".join(lines)] if any(map(_is_content, lines)) else []


def _is_mark(line: str, mark: str) -> bool:
    return line.startswith(mark) and not line[len(mark) : len(mark) + 1].strip()


def _is_directive(line: str) -> bool:
    return line.lstrip(BOM).startswith("%")


def _is_content(line: str) -> bool:
    said = line.lstrip(BOM + " \t\r\n")
    return bool(said) and not (said.startswith(("#", "%")) or _is_mark(line, "---") or _is_mark(line, "..."))


def _definition(document: str, item: str, origin: Origin) -> list[Item]:
    if json_bytes(document) > MAX_JSON_BYTES:
        return [Refused(item, f"it has more than {MAX_JSON_BYTES} bytes")]
    try:
        spec = load(document)
    except BadYaml as error:
        return [Refused(item, str(error))]
    part = Part(item)
    title = part.text("name", spec.get("name"), MAX_NAME) if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or title is None:
        return [Refused(item, "it is not a mapping with a name")]
    line = timeline(origin, KIND, [title, document], None)
    line.add(
        "definition.saved",
        title,  # so that another text of the same name is its revision
        "",
        {
            "kind": part.text("kind", spec.get("kind"), MAX_LABEL) or "test",
            "name": title,
            "description": part.text("description", spec.get("description"), MAX_JSON_BYTES),
            "provider": part.text("provider", spec.get("provider"), MAX_LABEL),
            "model": part.text("model", spec.get("model"), MAX_MODEL),
            "version": part.text("version", _json(spec.get("version")), MAX_NAME),
            "spec": part.json("spec", _json(spec), MAX_JSON_BYTES * 2),
            "spec_yaml": document,
            **part.beside(),
        },
    )
    [event] = line.take()
    return [Named(event, item), *part.words]


def _json(value: Any) -> Any:
    """What JSON has for a value of YAML: dates as text, keys as text."""
    if isinstance(value, dict):
        return {str(key): _json(member) for key, member in value.items()}
    if isinstance(value, list | tuple | set):
        return [_json(member) for member in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
