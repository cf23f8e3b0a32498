"""YAML that nobody vouches for: what its aliases expand to is counted before anything is made of it."""

from collections.abc import Iterator
from typing import Any

import yaml

from producers.imports.imported import MAX_JSON_BYTES

MAX_EXPANDED = 2 * MAX_JSON_BYTES  # nodes and characters; without aliases, a text has at most two for a byte
OF_PYYAML = (AttributeError, LookupError, TypeError, ValueError, RecursionError)  # what `!!bool x` and the like raise


class BadYaml(Exception):
    """The message says what is wrong, as `it …` does."""


def load(document: str) -> Any:
    """The value of one document. Raises BadYaml."""
    try:
        loader = yaml.SafeLoader(document)
        root = loader.get_single_node()
        if root is None:
            return None
        if _expanded(root, {}) > MAX_EXPANDED:
            raise BadYaml(f"its aliases expand to more than {MAX_EXPANDED} nodes and characters")
        return loader.construct_document(root)
    except (yaml.YAMLError, *OF_PYYAML) as error:
        mark = getattr(error, "problem_mark", None)
        raise BadYaml(f"it is no YAML{f' in its line {mark.line + 1}' if mark else ''}") from None


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes and characters stand in this one, with those behind its aliases; `known` are those counted."""
    own = id(node)
    if own not in known:
        known[own] = MAX_EXPANDED + 1  # while it is counted: one that holds itself has no end
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        known[own] = 1 + (sum(_expanded(n, known) for n in _flat(inner)) if inner else len(node.value))
    return known[own]


def _flat(items: list[Any]) -> Iterator[yaml.Node]:
    """The nodes of a sequence; those of a mapping stand in pairs."""
    for item in items:
        yield from item if isinstance(item, tuple) else (item,)
