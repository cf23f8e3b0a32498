"""A mapping of JSON lines: paths into lists, lines that are skipped, names that no line has."""

import json
from typing import Any

import pytest

from producers.account import LeftOut, Remark
from producers.imports.imported import Imported
from producers.imports.jsonl import importer
from producers.imports.mapping import BadMapping, mapping
from tests.support.imported import CASES, case, read, said

TRANSCRIPT = (CASES / "jsonl" / "claude-code.yaml").read_text(encoding="utf-8")
SKIP = "skip:\n  - {type: summary}\n  - {type: file-history-snapshot}\n"


def _lines(mapped: str, *lines: Any) -> Imported:
    return read(importer(mapping(mapped, "m.yaml")), b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def test_a_path_leads_into_a_list_by_a_place() -> None:
    """Counted from 0; beyond its end there is nothing. In an object a number is a name."""
    found = case(importer(mapping(SKIP + TRANSCRIPT, "m.yaml")), "jsonl/claude-code.jsonl")
    assert [event["data"].get("matched_value") for event in found.events][:2] == ["hi", "Hello"]
    mapped = "events: [{type: session.started, subject: $a.1.b, data: {agent_name: $c.0}}]"
    made = _lines(mapped, {"a": [0, {"b": "s"}], "c": {"0": "n"}}, {"a": [0], "c": ["m"]}).events
    assert [(event["subject"], event["data"]["agent_name"]) for event in made] == [("s", "n"), ("", "m")]


def test_lines_that_are_skipped_are_counted_by_their_condition() -> None:
    """They are left out and not refused; without the condition they are refused."""
    found = case(importer(mapping(SKIP + TRANSCRIPT, "m.yaml")), "jsonl/claude-code.jsonl")
    assert found.words == [
        LeftOut("lines with type: summary", 1),
        LeftOut("lines with type: file-history-snapshot", 1),
    ]
    refused = case(importer(mapping(TRANSCRIPT, "m.yaml")), "jsonl/claude-code.jsonl").refused
    assert [word.item for word in refused] == ["line 1", "line 2"]


def test_a_member_that_no_line_has_is_said() -> None:
    """A name that is misspelt makes no event poorer unsaid; a path of a rule that takes no line says nothing."""
    mapped = """events:
      - {type: session.updated, when: {k: 1}, subject: $id, data: {environment: $wher.e, stdout_log_path: $o}}
      - {type: session.deleted, when: {k: 2}, subject: $nowhere, data: {}}"""
    found = _lines(mapped, {"k": 1, "id": "a"}, {"k": 1, "id": "b", "o": "x"})
    assert found.words == [
        Remark("the mapping's event 1", "member", "$wher.e", "is in none of the 2 lines that it is for")
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("skip: 5", "m.yaml: skip is a list of conditions"),
        ("skip: [{}]", "m.yaml: skip is a list of conditions"),
        ("skip: [{at: 2024-01-01}]", "m.yaml, skip 1: 2024-01-01 is a date to YAML"),
        ("skipp: []", "m.yaml: unknown: skipp; known: events, skip"),
    ],
)
def test_a_condition_that_cannot_be_used_says_where(text: str, wanted: str) -> None:
    """Before any file is read."""
    with pytest.raises(BadMapping) as raised:
        mapping(f"{text}\nevents: [{{type: session.deleted, subject: s, data: {{}}}}]", "m.yaml")
    assert wanted in str(raised.value)


def test_a_time_may_be_written_in_any_form_that_is_understood() -> None:
    """An HTTP date, digits in a text; what is none is refused with the line."""
    mapped = "events: [{type: session.deleted, subject: s, time: $at, data: {}}]"
    found = _lines(mapped, {"at": "Sat, 03 Dec 2022 23:10:07 GMT"}, {"at": "1772359200"}, {"at": "later"})
    assert [event["time"] for event in found.events] == ["2022-12-03T23:10:07.000000Z", "2026-03-01T10:00:00.000000Z"]
    assert said(found)[0].startswith("line 3: its time 'later' is not a time")


def test_lines_in_utf_16_are_refused_once() -> None:
    """With what to do."""
    mapped = "events: [{type: extraction.recorded, subject: s, data: {agent_name: a, event_type: e, pattern: p}}]"
    found = read(importer(mapping(mapped, "m")), "{}\n{}\n".encode("utf-16"))
    [refused] = found.words
    assert str(refused) == "line 1: it is UTF-16: write it as UTF-8, for example by iconv -f UTF-16 -t UTF-8"
