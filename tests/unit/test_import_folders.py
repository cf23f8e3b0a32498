"""Which files `siltstone import` takes of what it is given, and where they go when they are put away."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from contracts.window import TimeWindow
from producers.account import Differs, Refused
from producers.imports import junit
from tests.support.imported import CASES, ORIGIN
from workers import importing
from workers.import_folders import files_of
from workers.importing import File

XML = (".xml",)


def _read(file: File) -> File:
    window = TimeWindow(datetime(2000, 1, 1, tzinfo=UTC))
    for _ in importing.read(file, junit.read, ORIGIN, window, ""):
        pass
    return file


def test_a_folder_stands_for_the_files_below_it() -> None:
    """At any depth, as tools write a folder a run; each knows where it lies."""
    found = files_of([CASES / "folder" / "nested"], XML, None, check_counts=True)
    assert [(file.path.name, str(file.folder)) for file in found.files] == [("TEST-a.xml", "2026-03-01/run-1")]
    assert (found.passed_over, found.without) == ([], [])


def test_files_of_another_kind_are_passed_over() -> None:
    """They are told, and so is a folder that has no other; a file that is named is read whatever it is called."""
    folder = CASES / "folder" / "surefire-reports"
    found = files_of([folder, folder / "s.txt", CASES / "jsonl"], XML, None, check_counts=True)
    assert [file.path.name for file in found.files] == ["TEST-a.xml", "s.txt"]
    assert [path.name for path in found.passed_over] == ["s.txt", "claude-code.jsonl", "claude-code.yaml"]
    assert found.without == [CASES / "jsonl"]


def test_neither_the_archive_nor_what_is_hidden_is_looked_into(tmp_path: Path) -> None:
    """What was put away below the folder is not imported again; endings count in any case."""
    for name in ("a.XML", "done/b.xml", ".git/c.xml", ".d.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("<testsuite/>")
    found = files_of([tmp_path], XML, tmp_path / "done", check_counts=True)
    assert ([file.path.name for file in found.files], found.passed_over) == (["a.XML"], [])


def test_a_file_is_put_away_where_it_lay(tmp_path: Path) -> None:
    """Files of one name in two folders stay apart."""
    for run in ("run-1", "run-2"):
        shutil.copytree(CASES / "folder" / "nested" / "2026-03-01" / "run-1", tmp_path / "in" / run)
    for file in files_of([tmp_path / "in"], XML, None, check_counts=True).files:
        importing.put_away(_read(file), tmp_path / "out")
    archived = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.xml"))
    assert [str(path) for path in archived] == ["run-1/TEST-a.xml", "run-2/TEST-a.xml"]


def test_a_file_that_is_not_accounted_for_is_not_whole() -> None:
    """One that states other numbers than were found in it, or of which something was refused; counts may be let be."""
    path = CASES / "junit" / "flaky-and-rerun.xml"
    strict, lenient = _read(File(path)), _read(File(path, check_counts=False))
    assert (strict.said[Differs], strict.is_accounted_for, lenient.is_accounted_for) == (2, False, True)
    whole = _read(File(CASES / "junit" / "durations-unreadable.xml"))
    assert (whole.said[Refused], whole.is_whole) == (0, True)
