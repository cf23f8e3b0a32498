"""The documents say what the code does: generated pages, commands, guarantees, links."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from docs.generate import PAGES, SCHEMAS
from docs.pages.commands import help_of, names_of, program, walk
from docs.pages.schemas import schema_files
from docs.pages.settings import OTHERS
from workers.settings import variable_names

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
COMMANDS = dict(walk(program(), "siltstone"))
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
PLACES = re.compile(r"(?<![\w.:/])/(?:root|work|Users)/[\w.-]+|" + re.escape(str(ROOT)))
"""Folders in which a machine keeps somebody's files, and the one that this checkout is in."""


def project_files() -> list[Path]:
    """Every file of the project: what is committed, and what would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_what_the_code_gives(name: str) -> None:
    """docs/<page> is the text that `python -m docs.generate` writes."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"


def test_committed_schemas_are_what_the_code_gives() -> None:
    """schemas/ has one file for each type and the AsyncAPI document, as the generator writes them, and no others."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.json")}
    made = schema_files()
    differ = sorted(name for name in committed.keys() | made.keys() if committed.get(name) != made.get(name))
    assert differ == [], "run: make docs"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_has_help(path: str) -> None:
    """A command, each argument and each option says what it is for."""
    command = COMMANDS[path]
    silent = [names_of(p) for p in command.params if p.name != "help" and not getattr(p, "help", None)]
    assert (bool(help_of(command)), silent) == (True, [])


def test_commands_that_documents_name_exist() -> None:
    """`siltstone …` in any document is a command of the program, or a group of them."""
    groups = {path.split()[1] for path in COMMANDS if path.count(" ") > 1}
    known = {*COMMANDS, *(f"siltstone {group}" for group in groups)}
    named = set()
    for path in DOCS.rglob("*.md"):
        for said in re.findall(r"`(siltstone [a-z][a-z -]*)", path.read_text(encoding="utf-8")):
            words = said.split()
            named.add(" ".join(words[: 3 if words[1] in groups else 2]))
    assert named - known == set()


def test_every_variable_that_the_code_reads_is_documented() -> None:
    """A variable of ours that is named anywhere in the program is a setting, or is listed beside them."""
    named = set()
    program_folders = ("workers", "localstack", "persistence", "producers")
    for path in project_files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in program_folders:
            named |= set(re.findall(r'"(SILTSTONE_[A-Z_]+|DATABASE_URL|DB_[A-Z_]+)"', path.read_text(encoding="utf-8")))
    assert named - variable_names() - set(OTHERS) == set()


def test_every_guarantee_names_tests_that_exist() -> None:
    """docs/guarantees.md has G1 to G8, each with tests, and each test that it names is there."""
    text = (DOCS / "guarantees.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    held = {section.split(" ", 1)[0].rstrip("."): TEST_NAME.findall(section) for section in sections}
    assert [name for name in held if re.fullmatch(r"G\d", name)] == [f"G{n}" for n in range(1, 9)]
    assert [name for name, tests in held.items() if name.startswith("G") and not tests] == []
    missing = [
        f"{file}::{test}" for tests in held.values() for file, test in tests if test not in functions_of(ROOT / file)
    ]
    assert missing == []


def functions_of(path: Path) -> set[str]:
    """The test functions of a file."""
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_relative_links_lead_somewhere() -> None:
    """Every relative link of every Markdown file is a file or folder, and its anchor a heading there."""
    broken = []
    for path in project_files():
        if path.suffix == ".md":
            for link in LINK.findall(CODE.sub("", path.read_text(encoding="utf-8"))):
                if not re.match(r"[a-z]+:", link):
                    file, _, anchor = link.partition("#")
                    target = path.parent / file if file else path
                    if not target.exists() or (anchor and anchor not in anchors(target)):
                        broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert broken == []


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_decisions_are_numbered_and_short() -> None:
    """docs/adr/NNNN-title.md, without a gap, each under 60 lines."""
    decisions = sorted((DOCS / "adr").glob("*.md"))
    assert [path.name[:5] for path in decisions] == [f"{n:04}-" for n in range(1, len(decisions) + 1)]
    assert [path.name for path in decisions if len(path.read_text(encoding="utf-8").splitlines()) >= 60] == []


def test_no_file_names_a_place_of_one_machine() -> None:
    """No file of the project has an absolute path of a user's folder, or of a workspace."""
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {place}" for place in PLACES.findall(text)]
    assert found == []
