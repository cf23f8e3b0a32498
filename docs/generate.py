"""Make the pages and schemas that say what the code says: `python -m docs.generate`.

tests/docs fails when one is out of date.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.pages.commands import commands
from docs.pages.events import events
from docs.pages.schemas import schema_files
from docs.pages.sdk_copies import sdk_copies
from docs.pages.sdk_types import sdk_types
from docs.pages.settings import metrics, settings
from docs.pages.tables import tables

FOLDER = Path(__file__).parent
SCHEMAS = FOLDER.parent / "schemas"
SDK_TYPES = FOLDER.parent / "sdk" / "src" / "siltstone" / "_types.py"
PAGES: Mapping[str, Callable[[], str]] = {
    "events.md": events,
    "tables.md": tables,
    "settings.md": settings,
    "metrics.md": metrics,
    "commands.md": commands,
}


def main() -> None:
    """Write every page and schema that differs; remove the schemas of types that are no more."""
    made = {FOLDER / name: page() for name, page in PAGES.items()}
    made |= {SCHEMAS / name: text for name, text in schema_files().items()}
    made |= {SDK_TYPES: sdk_types()} | {SDK_TYPES.with_name(name): text for name, text in sdk_copies().items()}
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in made.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(FOLDER.parent)}")
    for path in set(SCHEMAS.glob("*.json")) - made.keys():
        path.unlink()
        print(f"removed {path.relative_to(FOLDER.parent)}")


if __name__ == "__main__":
    main()
