"""Older versions of event types, brought to today's (G8): what was accepted once decodes for ever.

An upcaster takes the raw data of one version and gives the name of the next with its data.
Every type is at version 1 today, so the table is empty; a second version adds its line here and its golden
message in tests/golden/.
"""

from collections.abc import Callable, Mapping

from msgspec import Raw

Upcaster = Callable[[Raw], tuple[str, Raw]]

UPCASTERS: Mapping[str, Upcaster] = {}


def upcast(name: str, data: Raw) -> tuple[str, Raw] | None:
    """Follow the upcasters from an old type name to a current one; None when there is no way."""
    upcaster = UPCASTERS.get(name)
    if upcaster is None:
        return None
    newer = upcaster(data)
    return upcast(*newer) or newer
