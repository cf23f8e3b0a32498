"""The compatibility of two schemas, judged in both directions by pairs made by hand (G8, ADR 12)."""

from typing import Any

import pytest

from docs.compatibility import Refused, UnknownSchema, moved, refused

NULL = {"type": "null"}
TEXT = {"type": "string"}


def either(*options: dict[str, Any]) -> dict[str, Any]:
    """A union."""
    return {"anyOf": list(options)}


def with_field(schema: dict[str, Any] | None, *, required: bool = False) -> dict[str, Any]:
    """An object with the required field `known`, and the field `f`, unless it is None."""
    fields = {"known": TEXT} | ({} if schema is None else {"f": schema})
    return {"type": "object", "properties": fields, "required": ["known"] + (["f"] if required else [])}


def field(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two objects whose optional field `f` differs."""
    return with_field(old), with_field(new)


PAIRS: dict[str, tuple[tuple[dict[str, Any], dict[str, Any]], bool, bool]] = {
    # what changed: (old, new), old producers are understood, old workers understand
    "nothing": (field(either(TEXT, NULL), either(NULL, TEXT)), True, True),
    "annotation": (field(TEXT, TEXT | {"title": "t", "description": "d"}), True, True),
    "optional field added": ((with_field(None), with_field(either(TEXT, NULL))), True, True),
    "required field added": ((with_field(None), with_field(TEXT, required=True)), False, True),
    "optional field removed": ((with_field(TEXT), with_field(None)), True, True),  # moved() says so
    "required field removed": ((with_field(TEXT, required=True), with_field(None)), True, False),
    "made required": ((with_field(TEXT), with_field(TEXT, required=True)), False, True),
    "made optional": ((with_field(TEXT, required=True), with_field(TEXT)), True, False),
    "null no longer taken": (field(either(TEXT, NULL), TEXT), False, True),
    "null taken": (field(TEXT, either(TEXT, NULL)), True, False),
    "type widened": (field({"type": "integer"}, {"type": "number"}), True, False),
    "type narrowed": (field({"type": "number"}, {"type": "integer"}), False, True),
    "type changed": (field(TEXT, {"type": "integer"}), False, False),
    "number or text, now a number": (field(either({"type": "number"}, TEXT), {"type": "number"}), False, True),
    "anything, now an object": (field({}, {"type": "object"}), False, True),
    "anything, said at length": (
        field({}, either(*({"type": t} for t in ("null", "boolean", "number", "string", "array", "object")))),
        True,
        True,
    ),
    "word added": (field({"enum": ["a"]}, {"enum": ["a", "b"]}), True, False),
    "word removed": (field({"enum": ["a", "b"]}, {"enum": ["b"]}), False, True),
    "words in another order": (field({"enum": ["a", "b"]}, {"enum": ["b", "a"]}), True, True),
    "words, now text": (field({"enum": ["a", "bb"]}, {"type": "string", "maxLength": 2}), True, False),
    "words, now shorter text": (field({"enum": ["a", "bb"]}, {"type": "string", "maxLength": 1}), False, False),
    "words, now of a pattern": (field({"enum": ["a", "b"]}, {"type": "string", "pattern": "^[ab]$"}), True, False),
    "true or false, listed": (field({"type": "boolean"}, {"enum": [True, False]}), True, True),
    "true is not one": (field({"type": "boolean"}, {"enum": [0, 1]}), False, False),
    "another constant": (field({"const": "v1"}, {"const": "v2"}), False, False),
    "a constant of one word": (field({"const": "v1"}, {"enum": ["v1"]}), True, True),
    "longest text longer": (field(TEXT | {"maxLength": 5}, TEXT | {"maxLength": 6}), True, False),
    "longest text shorter": (field(TEXT | {"maxLength": 5}, TEXT | {"maxLength": 4}), False, True),
    "longest text set": (field(TEXT, TEXT | {"maxLength": 4}), False, True),
    "shortest text longer": (field(TEXT, TEXT | {"minLength": 1}), False, True),
    "shortest text none": (field(TEXT, TEXT | {"minLength": 0}), True, True),
    "minimum raised": (field({"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 1}), False, True),
    "maximum raised": (field({"type": "integer", "maximum": 1}, {"type": "integer", "maximum": 2}), True, False),
    "pattern set": (field(TEXT, TEXT | {"pattern": "a"}), False, True),
    "pattern changed": (field(TEXT | {"pattern": "a"}, TEXT | {"pattern": "a|b"}), False, False),
    "format set": (field(TEXT, TEXT | {"format": "date-time"}), False, True),
    "free object, now with fields": (field({"type": "object"}, with_field(None)), False, True),
    "free object, now with an optional field": (
        field({"type": "object"}, {"type": "object", "properties": {"f": TEXT}, "required": []}),
        False,
        True,
    ),
    "deep inside": (field(with_field({"enum": ["a"]}), with_field({"enum": ["a", "b"]})), True, False),
}


@pytest.mark.parametrize("what", PAIRS)
def test_each_change_is_judged_for_old_producers_and_for_old_workers(what: str) -> None:
    """W(old) ⊆ R(new), and W(new) ⊆ R(old): each as it must be."""
    (old, new), producers, workers = PAIRS[what]
    assert (not list(refused(old, new)), not list(refused(new, old))) == (producers, workers)


def test_a_field_and_what_is_wrong_are_named() -> None:
    """The path of the field, and both sides."""
    old, new = (with_field(with_field(TEXT | {"maxLength": most})) for most in (640, 100))
    assert list(refused(old, new)) == [Refused("f.f", "maxLength 640 is sent, 100 accepted")]
    assert list(refused(with_field(None), with_field(TEXT, required=True))) == [
        Refused("f", "may be absent, and is required")
    ]


def test_what_is_accepted_and_means_something_else_is_found() -> None:
    """A field that is gone, in a union too, and another default."""
    old, new = (with_field(either(with_field(one), NULL)) for one in (TEXT, None))
    assert list(moved(old, new)) == [Refused("f.f", "is no longer a field")]
    assert list(moved(new, old)) == []
    was, now = (with_field(TEXT | {"default": word}) for word in ("a", "b"))
    assert list(moved(was, now)) == [Refused("f", 'its default was "a", and is "b"')]


@pytest.mark.parametrize(
    "unknown",
    [
        {"type": "array", "items": TEXT},
        {"type": "object", "additionalProperties": False},
        {"type": "integer", "multipleOf": 2},
        {"type": ["string", "null"]},
        {"type": "string", "enum": ["a"]},
        {"anyOf": [TEXT], "type": "string"},
        {"$ref": "#/$defs/x"},
        {"oneOf": [TEXT]},
        {"minLength": 1},
    ],
)
def test_a_keyword_that_it_does_not_know_is_an_error(unknown: dict[str, Any]) -> None:
    """It never guesses, on either side."""
    for old, new in (field(unknown, TEXT), field(TEXT, unknown)):
        with pytest.raises(UnknownSchema, match="cannot judge"):
            list(refused(old, new))


def test_two_alternatives_of_one_type_are_an_error() -> None:
    """A union of texts would need them joined first."""
    with pytest.raises(UnknownSchema, match="two alternatives"):
        list(refused(*field(TEXT, either(TEXT | {"maxLength": 1}, TEXT | {"minLength": 1}))))
