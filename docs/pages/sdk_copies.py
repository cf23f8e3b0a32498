"""Modules of the SDK that are copies of producers': the SDK is installed without them, and must read spans alike."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("spans", "values", "storable")
_IMPORT = re.compile(r"^from producers\.(\w+) import", re.MULTILINE)


def sdk_copies() -> dict[str, str]:
    """The text of each copy by its file's name; they import each other."""
    return {f"_{name}.py": _copy(ROOT / "producers" / f"{name}.py") for name in COPIED}


def _copy(original: Path) -> str:
    text = _IMPORT.sub(r"from siltstone._\1 import", original.read_text(encoding="utf-8"))
    return f"# Made by `make docs` from producers/{original.name}; edit that instead.\n{text}"
