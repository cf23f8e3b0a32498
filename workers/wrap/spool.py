"""Sessions that are recorded and not sent yet: a folder each, in one folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

from producers.timeline import Timeline
from producers.wrap.journal import ABOUT, FRAMES, Reader, Saved, saved_in
from workers.settings import Settings

NO_SESSION = (OSError, ValueError, TypeError)  # of a folder that is none, or that was sent meanwhile


def folder_of(settings: Settings) -> Path:
    """Where sessions are kept."""
    return settings.spool_folder or platformdirs.user_state_path("siltstone") / "sessions"


def left_behind(root: Path, brokers: str | None = None) -> list[Path]:
    """Those that have ended and that nobody sends, the oldest first: whoever did gave up, or was killed.

    With `brokers`, those alone that were recorded where these were set.
    """
    return [folder for folder in _sessions(root) if _is_free(folder) and _is_for(folder, brokers)]


def waiting(root: Path) -> list[dict[str, Any]]:
    """Every session that is not sent, the oldest first."""
    rows = []
    for folder in _sessions(root):
        try:
            saved, size = saved_in(folder), (folder / FRAMES).stat().st_size
        except NO_SESSION:
            continue
        state = "waiting" if _is_free(folder) else "being sent"
        rows.append(
            {
                "session": session_id(saved),
                "folder": saved.id,
                "agent": saved.agent,
                "started": saved.started,
                "bytes": size,
                "state": state,
            }
        )
    return rows


def session_id(saved: Saved) -> str:
    """The session's id in the events, and so in the tables."""
    about = saved.about()
    return Timeline(about.key, about.tenant, about.source, about.started).session


def _sessions(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (folder for folder in sorted(root.iterdir()) if (folder / ABOUT).is_file())


def _is_free(folder: Path) -> bool:
    try:
        with Reader(folder) as reader:
            return reader.writer_is_gone()
    except NO_SESSION:
        return False


def _is_for(folder: Path, brokers: str | None) -> bool:
    try:
        return brokers is None or saved_in(folder).brokers in ("", brokers)
    except NO_SESSION:
        return False
