"""The files that `siltstone import` was given, and those in the folders among them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from workers.importing import File


class Found(NamedTuple):
    """What is to be imported; the files in folders that are not; the folders that have none."""

    files: list[File]
    passed_over: list[Path]
    without: list[Path]


def files_of(paths: Sequence[Path], endings: tuple[str, ...], archive: Path | None, *, check_counts: bool) -> Found:
    """Each file that is named, and of folders those in them, and below, whose names have one of the endings.

    What is hidden is not looked at, nor is the archive where it lies in such a folder; links to folders are not
    followed.
    """
    found = Found([], [], [])
    for path in paths:
        if not path.is_dir():
            found.files.append(File(path, check_counts=check_counts))
            continue
        before = len(found.files)
        for one in _below(path, archive):
            if one.name.lower().endswith(endings):
                found.files.append(File(one, one.parent.relative_to(path), check_counts=check_counts))
            else:
                found.passed_over.append(one)
        if len(found.files) == before:
            found.without.append(path)
    return found


def _below(folder: Path, archive: Path | None) -> Iterator[Path]:
    for below, folders, names in os.walk(folder):
        inner = (Path(below, name) for name in sorted(folders) if not name.startswith("."))
        folders[:] = [path.name for path in inner if archive is None or path.resolve() != archive.resolve()]
        yield from (Path(below, name) for name in sorted(names) if not name.startswith("."))
