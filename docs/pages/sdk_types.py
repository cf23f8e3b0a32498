"""sdk/src/siltstone/_types.py: the data of each event, as Python's types, from the contracts."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import UnsetType

from contracts.event_type import EventType
from contracts.fields import kind_of, required_of
from contracts.registry import EVENT_TYPES
from contracts.schemas import meaning_of

TYPES = {
    "text": "str",
    "boolean": "bool",
    "integer": "int",
    "bigint": "int",
    "numeric": "Decimal | float | int",
    "timestamptz": "datetime | str",
    "json": "Any",
    "object": "dict[str, Any]",
}
BY_NAME = {
    "session.started": {"agent_name"},
    "session.state_changed": {"state"},
    "node.executed": {"node_name"},
    "assertion.evaluated": {"assertion_type", "passed"},
    "file.produced": {"filename"},
    "code_block.captured": {"content"},
}
"""What the SDK's methods take as arguments of their own: the types are of the others."""
KNOWN = {"node.executed": {"status"}}
"""What they know themselves, though it may be given."""
HEAD = '''"""What each event carries, beside what the methods take by name.

Made by `python -m docs.generate` from the contracts; edit those instead.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Required, TypedDict

FAMILIES = {
'''


def sdk_types() -> str:
    """The module's text."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    yield HEAD
    for kind in EVENT_TYPES.values():
        yield f'    "{kind.noun_verb}": "{kind.family.value}",\n'
    yield '}\n"""The family of each type of event, by its name without what is the same for all."""\n'
    verbs = [kind.noun_verb.split(".")[1] for kind in EVENT_TYPES.values() if kind.noun_verb.startswith("exception.")]
    lines = "".join(f'    "{verb}",\n' for verb in verbs)
    yield f"\nExceptionVerb = Literal[\n{lines}]\n"
    for kind in EVENT_TYPES.values():
        yield from _type(kind)


def _type(kind: EventType) -> Iterator[str]:
    hints = get_type_hints(kind.data, include_extras=True)
    names = dict(zip(kind.data.__struct_fields__, kind.data.__struct_encode_fields__, strict=True))
    # a session says its fills itself
    required = required_of(kind.data) - set(kind.fills) - KNOWN.get(kind.noun_verb, set())
    yield f'\n\nclass {kind.data.__name__}(TypedDict, total=False):\n    """{meaning_of(kind)}"""\n'
    fields = [(names[field], field in required, _annotation(hints[field])) for field in names]
    fields = [field for field in fields if field[0] not in BY_NAME.get(kind.noun_verb, ())]
    if fields:
        yield "\n"
    for name, is_required, annotation in fields:
        yield f"    {name}: {f'Required[{annotation}]' if is_required else annotation}\n"


def _annotation(hint: Any) -> str:
    parts = [hint] if get_origin(hint) in (Annotated, Literal) else list(get_args(hint))
    words = [part for part in parts if get_origin(part) is Literal]
    is_nullable = type(None) in parts
    of = [part for part in parts if part not in (type(None), UnsetType)]
    text = f"Literal{list(get_args(words[0]))!r}".replace("'", '"') if words else TYPES[kind_of(of[0])]
    return f"{text} | None" if is_nullable else text
