"""Make the pages that say what the code says: `python -m docs.generate`. tests/docs fails when one is out of date."""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.pages.commands import commands
from docs.pages.events import events
from docs.pages.settings import metrics, settings
from docs.pages.tables import tables

FOLDER = Path(__file__).parent
PAGES: Mapping[str, Callable[[], str]] = {
    "events.md": events,
    "tables.md": tables,
    "settings.md": settings,
    "metrics.md": metrics,
    "commands.md": commands,
}


def main() -> None:
    """Write every page that differs."""
    for name, page in PAGES.items():
        path, text = FOLDER / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
