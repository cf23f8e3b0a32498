"""Today's types keep what was published (G8, ADR 12)."""

import dataclasses
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec
import pytest
from msgspec import UNSET, structs

from contracts.event_type import EventType
from contracts.fields import Count, Data, Flag, Label, Maybe, Name, Text
from contracts.registry import EVENT_TYPES
from contracts.schemas import schema_of, schemas
from docs.released import OLD_MEANING, OLD_PRODUCERS, OLD_WORKERS, RELEASED, breaches, release, snapshots

MAYBE: Any = Maybe


def maybe(field: Any) -> tuple[Any, Any]:
    """A field that may be absent or null."""
    return MAYBE[field], UNSET


RECORDED = "siltstone.extraction.recorded.v1"
HINTS = get_type_hints(EVENT_TYPES[RECORDED].data, include_extras=True)
FIELDS = {
    field.name: HINTS[field.name] if field.required else (HINTS[field.name], field.default)
    for field in structs.fields(EVENT_TYPES[RECORDED].data)
}
GONE: dict[str, Any] = {"pattern": None}
MUTATIONS: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    # what changes: fields declared otherwise, who is broken by which
    "nothing": ({}, set()),
    "optional field added": ({"confidence": maybe(Count)}, set()),
    "required field added": ({"confidence": Count}, {(OLD_PRODUCERS, "confidence")}),
    "optional field removed": ({"matched_value": None}, {(OLD_MEANING, "matched_value")}),
    "required field removed": (GONE, {(OLD_WORKERS, "pattern"), (OLD_MEANING, "pattern")}),
    "made required": ({"matched_value": Text}, {(OLD_PRODUCERS, "matched_value")}),
    "made optional": ({"pattern": maybe(Name)}, {(OLD_WORKERS, "pattern")}),
    "text shorter": ({"pattern": Label}, {(OLD_PRODUCERS, "pattern")}),
    "text longer": ({"pattern": Text}, {(OLD_WORKERS, "pattern")}),
    "number narrower": ({"line_number": maybe(Count)}, {(OLD_PRODUCERS, "line_number"), (OLD_WORKERS, "line_number")}),
    "number now text": ({"line_number": maybe(Text)}, {(OLD_PRODUCERS, "line_number"), (OLD_WORKERS, "line_number")}),
    "word added": (
        {"risk_level": maybe(Literal["low", "medium", "high", "critical", "none"])},
        {(OLD_WORKERS, "risk_level")},
    ),
    "word removed": ({"risk_level": maybe(Literal["low", "medium", "high"])}, {(OLD_PRODUCERS, "risk_level")}),
    "default changed": ({"auto_confirmable": (MAYBE[Flag], True)}, {(OLD_MEANING, "auto_confirmable")}),
}  # fmt: skip


def declared(changes: dict[str, Any]) -> EventType:
    """extraction.recorded with these changes; None takes a field away."""
    fields = {name: how for name, how in (FIELDS | changes).items() if how is not None}
    made: Any = msgspec.defstruct(
        "Recorded",
        [(name, *how) if isinstance(how, tuple) else (name, how) for name, how in fields.items()],
        bases=(Data,),
        module=__name__,
        kw_only=True,
    )
    return dataclasses.replace(EVENT_TYPES[RECORDED], data=made)


def test_todays_types_keep_what_was_published() -> None:
    """No type that was ever published is gone, or takes less or more in a field than it did."""
    broken = breaches(snapshots(), schemas())
    assert broken == [], "\n".join(map(str, broken))


def test_there_is_a_snapshot() -> None:
    """The first version is kept, with all of its types; no version is kept that is above today's."""
    published = snapshots()
    assert len(published["0.1.0"]) == 30
    assert max(tuple(map(int, name.split("."))) for name in published) <= tuple(
        map(int, version("siltstone").split("."))
    )
    assert [p for p in RELEASED.rglob("*") if p.is_file() and p.suffix != ".json"] == []


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_changed_declaration_is_judged_by_its_schema(what: str) -> None:
    """A published type with one field declared otherwise: who is broken, and by which field."""
    changes, expected = MUTATIONS[what]
    published = snapshots()["0.1.0"][RECORDED]
    found = breaches({"0.1.0": {RECORDED: published}}, {RECORDED: schema_of(declared(changes))})
    assert {(one.whom, one.field.removeprefix("data.")) for one in found} == expected


def test_a_breach_says_which_type_and_field_what_for_whom_and_what_to_do() -> None:
    """The whole sentence."""
    old, new = (schema_of(declared(changes)) for changes in ({}, {"pattern": Label}))
    (said,) = breaches({"1.2.3": {RECORDED: old}}, {RECORDED: new})
    assert str(said) == (
        "siltstone.extraction.recorded.v1, data.pattern: maxLength 255 is sent, 50 accepted. "
        "This breaks old producers, whose events today's workers would refuse. "
        "Keep siltstone.extraction.recorded.v1 as 1.2.3 published it, "
        "or make siltstone.extraction.recorded.v2 with an upcaster (contracts/upcast.py)."
    )


def test_a_type_may_be_added_and_goes_only_with_an_upcaster() -> None:
    """A new type breaks nobody; one that is gone breaks its producers, unless its data are brought to a newer one."""
    every = schemas()
    fewer = {name: schema for name, schema in every.items() if name != RECORDED}
    assert breaches({"1.2.3": fewer}, every) == []
    (said,) = breaches({"1.2.3": every}, fewer)
    assert str(said).startswith(f"{RECORDED}: the type is no longer accepted. This breaks old producers")
    assert breaches({"1.2.3": every}, fewer, {RECORDED}) == []


def test_the_envelope_is_compared_too() -> None:
    """An attribute that is narrowed breaks every type."""
    today = json.loads(json.dumps(schemas()))
    for schema in today.values():
        schema["properties"]["id"]["maxLength"] = 64
    found = breaches(snapshots(), today)
    assert len(found) == len(today)
    assert {(one.field, one.what, one.whom) for one in found} == {
        ("id", "maxLength 128 is sent, 64 accepted", OLD_PRODUCERS)
    }


def test_a_published_version_is_never_overwritten(tmp_path: Path) -> None:
    """The same again changes nothing; another content, and a breach of an older version, are refused."""
    before = {RECORDED: schema_of(declared({}))}
    grown = {RECORDED: schema_of(declared({"confidence": maybe(Count)}))}
    assert release(tmp_path, "1.0.0", before).startswith("wrote 1 files")
    assert "is there already" in release(tmp_path, "1.0.0", before)
    with pytest.raises(ValueError, match="never overwritten"):
        release(tmp_path, "1.0.0", grown)
    assert snapshots(tmp_path) == {"1.0.0": before}
    release(tmp_path, "1.1.0", grown)
    with pytest.raises(ValueError, match="confidence: is no longer a field"):
        release(tmp_path, "1.2.0", before)
    assert snapshots(tmp_path) == {"1.0.0": before, "1.1.0": grown}
