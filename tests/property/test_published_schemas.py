"""What old producers send, today's workers accept: drawn from the published schemas, judged by decode() (G8)."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator

from contracts.schemas import TIME_PATTERN
from docs.compatibility import Schema, alternatives
from docs.released import snapshots
from tests.support.decoding import decoded

PUBLISHED = [(release, name) for release, types in snapshots().items() for name in types]
TIMES = ("2000-01-01T00:00:00Z", "2026-01-31t12:00:00.1234567-01:30", "2024-02-29 23:59:59+0200")
DECIMALS = ("0", "-1.50", "1e5", "12345678901234567890.000000000000000001")
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS, lambda inner: st.lists(inner, max_size=2), max_leaves=3
)


def instances(schema: Schema) -> SearchStrategy[Any]:
    """Values of the closed schema: the fields that it names, and no others."""
    return st.one_of([_instances(one) for one in alternatives(schema)])


def _instances(one: Schema) -> SearchStrategy[Any]:
    if "enum" in one:
        return st.sampled_from(one["enum"])
    if "properties" in one:
        fields = {name: instances(said) for name, said in one["properties"].items()}
        needed = {name: fields.pop(name) for name in one["required"]}
        return st.fixed_dictionaries(needed, optional=fields)
    if one["type"] == "string":
        return _texts(one)
    if one["type"] == "integer":
        least, most = one["minimum"], one["maximum"]
        return st.integers(least, most) | st.integers(max(least, -(2**53)), min(most, 2**53)).map(float)
    free = {
        "number": NUMBERS,
        "array": st.lists(ANYTHING, max_size=2),
        "object": st.dictionaries(WORDS, ANYTHING, max_size=2),
    }
    return free[one["type"]]


def _texts(one: Schema) -> SearchStrategy[str]:
    """Texts of the length, of the shortest and the longest too; of a pattern, those that no clock or column refuses."""
    pattern = one.get("pattern", "")
    if pattern == TIME_PATTERN:
        return st.sampled_from(TIMES)
    if "[eE]" in pattern:
        return st.sampled_from(DECIMALS)
    if pattern:
        return st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii", min_codepoint=32))
    least, most = one.get("minLength", 0), one.get("maxLength", 300)
    edges = st.sampled_from(["é" * least, "é" * most, "x" * most])
    return edges | WORDS.filter(lambda text: least <= len(text) <= most)


VALUES = {(release, name): instances(snapshots()[release][name]) for release, name in PUBLISHED}
OLD = {(release, name): Draft202012Validator(snapshots()[release][name]) for release, name in PUBLISHED}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), which=st.sampled_from(PUBLISHED))
def test_what_a_published_schema_allows_is_accepted(data: st.DataObject, which: tuple[str, str]) -> None:
    """An event of any published type, with any of its fields at any value, decodes under its own name."""
    sent = data.draw(VALUES[which])
    assert OLD[which].is_valid(sent)
    event = decoded(json.dumps(sent).encode())
    assert (event.type_name, event.event_id) == (which[1], sent["id"])
