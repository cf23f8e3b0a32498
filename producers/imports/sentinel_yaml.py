"""Test definitions in YAML: name, provider, model, prompt, assertions. Each document is one definition.

A definition keeps its text beside its JSON, byte for byte, so that the same YAML can be written again.
"""

from typing import Any

import yaml

from producers.imports.imported import (
    MAX_JSON_BYTES,
    MAX_LABEL,
    MAX_MODEL,
    MAX_NAME,
    Imported,
    Origin,
    Refused,
    Unreadable,
    of_whole,
    text,
    timeline,
)
from producers.storable import json_bytes, storable

KIND = "sentinel-yaml"


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """A definition.saved for each document that is a definition; the others are refused."""
    try:
        whole = content.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name} is no UTF-8 at byte {error.start}; definitions are YAML in UTF-8") from None
    found = Imported()
    for place, document in enumerate(_documents(whole), 1):
        if document.strip():
            _definition(document, place, origin, found)
    if not found.events and not found.refused:
        raise Unreadable(f"{name} holds no definition")
    return found


read = of_whole(events)


def _documents(whole: str) -> list[str]:
    """The text of each document: what stands between lines of `---`, which belong to none."""
    documents: list[list[str]] = [[]]
    for line in whole.splitlines(keepends=True):
        if line.rstrip() == "---":
            documents.append([])
        else:
            documents[-1].append(line)
    return ["".join(lines) for lines in documents]


def _definition(document: str, place: int, origin: Origin, found: Imported) -> None:
    item = f"document {place}"
    try:
        spec = yaml.safe_load(document)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in its line {mark.line + 1}" if mark else ""
        found.refused.append(Refused(item, f"it is no YAML{where}"))
        return
    title = text(spec.get("name"), MAX_NAME) if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or title is None:
        found.refused.append(Refused(item, "it is no mapping with a name"))
        return
    if json_bytes(document) > MAX_JSON_BYTES:
        found.refused.append(Refused(f"{item}, {title}", f"it has more than {MAX_JSON_BYTES} bytes"))
        return
    model, provider = spec.get("model"), spec.get("provider")
    line = timeline(origin, KIND, [title, document], None)
    version = spec.get("version")
    line.add(
        "definition.saved",
        title,  # so that a later text of the same name is its next revision
        "",
        {
            "kind": text(spec.get("kind"), MAX_LABEL) or "test",
            "name": title,
            "description": text(spec.get("description"), MAX_JSON_BYTES),
            "provider": text(provider, MAX_LABEL),
            "model": text(model, MAX_MODEL),
            "version": None if version is None else text(str(version), MAX_NAME),
            "spec": storable(_json(spec), MAX_JSON_BYTES * 2),
            "spec_yaml": document,
        },
    )
    found.events += line.take()


def _json(value: Any) -> Any:
    """What JSON has for a value of YAML: dates as text, keys as text."""
    if isinstance(value, dict):
        return {str(key): _json(member) for key, member in value.items()}
    if isinstance(value, list | tuple | set):
        return [_json(member) for member in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
