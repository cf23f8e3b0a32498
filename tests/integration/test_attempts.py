"""Attempts on what is not one's own: SQL in every text of an event and of a command, other tenants by every command."""
# ruff: noqa: S608 - statements are made of the catalogue's own names

import asyncio
import contextlib
import io
import itertools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from contracts.registry import EVENT_TYPES
from persistence.letters import Letter
from persistence.logs import LOG_BY_NAME
from tests.support import golden
from tests.support.decoding import decoded
from tests.support.installation import Installation
from tests.support.letters import put
from tests.support.storing import database_of, store_batch
from workers.cli.import_kinds import KINDS
from workers.cli.main import program
from workers.cli.terminal import CommandError

ATTEMPTS = (
    "'; DROP TABLE session; --",
    '"; DROP TABLE session; --',
    "$$; DROP TABLE session; $$",
    "\\'; DROP TABLE session; --",
    "' OR '1'='1",
    "x') OR true; --",
    '{a,NULL,"b"}',
    "\\N",
    "a\tb\nc\\.\n",
    "%s %(a)s $1 :a ?",
    "%' ESCAPE '\\",
    "NULL",
)
"""Texts that end a quote, a dollar quote, an array, a line of COPY, a placeholder or a pattern, where one is not kept
apart from the statement."""

TABLES = """
SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY 1
"""
OURS, THEIRS, CANARY = "acme", "globex", "canary-of-globex"


# --- Texts of events


def _texts(members: Mapping[str, Any], attempt: str) -> dict[str, str]:
    """The attempt in every member that may be such a text."""
    made = {}
    for name, member in members.items():
        for shape in (member, *member.get("anyOf", ())):
            if shape.get("type") == "string" and not shape.keys() & {"enum", "format", "pattern"}:
                made[name] = attempt[: shape.get("maxLength", 99)]
    return made


def _members(declared: type[msgspec.Struct]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([declared])
    members: dict[str, Any] = components[declared.__name__]["properties"]
    return members


def _attempted(name: str, number: int, attempt: str) -> dict[str, Any]:
    """A golden message with the attempt in every text that it has: attributes, fields, and free JSON."""
    one: dict[str, Any] = json.loads(golden.value(name))
    kind = EVENT_TYPES[name]
    one["data"] |= _texts(_members(kind.data), attempt)
    free = {attempt: [attempt, {attempt: attempt}]}
    one["data"] |= {n: free for n, value in one["data"].items() if isinstance(value, dict) and n != "set"}
    if kind.changes is not None:
        one["data"]["set"] = (one["data"].get("set") or {}) | _texts(_members(kind.changes), attempt)
    one |= dict.fromkeys(("source", "traceparent", "tracestate"), attempt)
    return one | {"id": f"{number} {attempt}", "subject": f"{name} {attempt}", "anextension": attempt}


async def test_no_text_of_an_event_is_taken_for_sql(installation: Installation) -> None:
    """Each attempt in every text of every type is stored as it is, and nothing else happens."""
    before = await installation.fetch(TABLES)
    made = [(name, attempt) for attempt in ATTEMPTS for name in sorted(EVENT_TYPES)]
    sent = [_attempted(name, number, attempt) for number, (name, attempt) in enumerate(made)]
    database = database_of(installation.database_url)
    try:
        stored = await store_batch(database, [decoded(one) for one in sent])
    finally:
        await database.close()
    assert (stored.stored, stored.duplicate) == (len(sent), 0)
    assert await installation.fetch(TABLES) == before
    rows = {row["event_id"]: row for log in LOG_BY_NAME for row in await installation.fetch(f"SELECT * FROM {log}")}
    assert sorted(rows) == sorted(one["id"] for one in sent)
    checked = 0
    for (name, attempt), one in zip(made, sent, strict=True):
        row = rows[one["id"]]
        texts = {n: text for n, text in _texts(_members(EVENT_TYPES[name].data), attempt).items() if n in row}
        texts |= {"event_source": attempt, "traceparent": attempt}
        assert {n: row[n] for n in texts} == texts
        checked += len(texts)
    assert checked > 4 * len(made)


# --- Commands

APP = program()
HOW: Mapping[str, str] = {
    "publish": "--type siltstone.run.deleted.v1 --subject s --tenant acme --data {} --check",
    "schemas": "",
    "db upgrade": "",
    "tenants create": "new",
    "tenants suspend": "new",
    "tenants activate": "new",
    **{f"import {kind.name}": "missing --tenant acme --dry-run" for kind in KINDS},
    "import jsonl": "missing --mapping missing --tenant acme --dry-run",
    "wrap": "--replay missing --tenant acme --dry-run",
    "dlq list": "",
    "dlq show": f"{uuid.UUID(int=1)}",
    "dlq stats": "",
    "dlq export": "",
    "dlq import": "missing.jsonl",
    "dlq read": "",
    "dlq redrive": "",
    "dlq edit": "--set-text data.note=mended --no-check",
    "dlq park": "--yes",
    "dlq discard": "--yes --why w",
    "dlq restore": "--yes",
    "dlq purge": "--before 2020-01-01T00:00:00Z --yes",
}
"""Every command that takes a text, with what it needs to run."""
NO_TENANTS = {
    "publish",
    "wrap",
    "import jsonl",
    *(f"import {kind.name}" for kind in KINDS),
}  # --tenant is whose event they write, not whose they read


def _commands() -> Iterator[tuple[str, list[Any]]]:
    """The commands of the program and their parameters that take a text."""

    def walk(command: Any, path: str) -> Iterator[tuple[str, list[Any]]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{path} {name}".strip())
        if not hasattr(command, "commands"):
            texts = [p for p in command.params if p.type_descriptor.annotation in (str, list[str])]
            if texts and not path.startswith(("stack", "demo", "worker")):
                yield path, texts

    return walk(typer.main.get_command(APP), "")


def _run(*arguments: str) -> tuple[int, str]:
    """A command in this process: its exit code and all that it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            APP(list(arguments))
        except CommandError as error:
            return error.code, said.getvalue() + error.message
        except SystemExit as ended:
            return int(ended.code or 0), said.getvalue()
    return 0, said.getvalue()


@pytest.fixture
async def letters(installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Ours is number 1; what others have, and what no tenant has. Commands run in this process with its settings."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    await installation.create_topics(1)
    await put(
        installation, [_letter(installation, n, tenant) for n, tenant in enumerate((OURS, THEIRS, THEIRS, None), 1)]
    )
    await installation.execute("UPDATE dead_letter SET status = 'discarded' WHERE \"offset\" = 3")
    return await _of_others(installation)


def _letter(installation: Installation, number: int, tenant: str | None) -> Letter:
    told = "ours" if tenant == OURS else CANARY
    return Letter(
        id=uuid.UUID(int=number), tenant_id=tenant, topic=installation.topic("extraction"), partition=0, offset=number,
        consumer_group="g.extraction", event_type=told, event_id=told, subject=told, reason="schema_invalid",
        stage="schema", error=told, exception=None, sqlstate=None, key=told.encode(),
        value=b'{"data": {"x": "%s"}}' % told.encode(), header_names=[told], header_values=[told.encode()],
        record_timestamp=1, letter_topic=installation.dlq("extraction"), letter_partition=0, letter_offset=number,
        failed_at=datetime(2026, 1, 31, tzinfo=UTC), redrive_count=0,
    )  # fmt: skip


async def _of_others(installation: Installation) -> list[dict[str, Any]]:
    return await installation.fetch("SELECT * FROM dead_letter WHERE tenant_id IS DISTINCT FROM $1 ORDER BY id", OURS)


async def test_no_text_of_a_command_is_taken_for_sql(installation: Installation, letters: list[dict[str, Any]]) -> None:
    """An attempt in each text that each command takes finds nothing of others, and changes and breaks nothing."""
    before = await installation.fetch(TABLES)
    attempts = itertools.cycle(ATTEMPTS)
    tried = 0
    for path, texts in _commands():
        for parameter in texts:
            option, attempt = parameter.opts[0], next(attempts)
            given = HOW[path].split()
            if not option.startswith("-"):  # an argument stands for itself
                given = [attempt, *given[1:]] if given and not given[0].startswith("-") else [attempt, *given]
            elif parameter.name in ("actor", "why", "name"):
                given += [option, attempt, *(["--tenant", OURS] if "--tenant" in _options(texts) else [])]
            else:
                given.append(f"{option}={attempt}")
            code, said = await asyncio.to_thread(_run, *path.split(), *given)
            assert code in (0, 2, 3, 4), (path, option, attempt, code, said)
            assert CANARY not in said, (path, option, attempt)
            assert "SQLSTATE" not in said, (path, option, attempt, said)
            tried += 1
    assert tried > 100
    assert await installation.fetch(TABLES) == before
    assert await _of_others(installation) == letters


async def test_no_command_reaches_another_tenants_letters(
    installation: Installation, letters: list[dict[str, Any]]
) -> None:
    """Each command that a tenant narrows finds our letter, and neither shows nor changes one of another tenant."""
    found = set()
    for path, texts in _commands():
        if "--tenant" not in _options(texts) or path in NO_TENANTS:
            continue
        code, said = await asyncio.to_thread(_run, *path.split(), *HOW[path].split(), "--tenant", OURS)
        assert CANARY not in said, path
        assert await _of_others(installation) == letters, path
        found |= {path} if code == 0 else set()
    assert found == {f"dlq {c}" for c in ("list", "stats", "export", "redrive", "edit", "park", "discard", "restore")}


def _options(texts: Sequence[Any]) -> set[str]:
    return {option for parameter in texts for option in parameter.opts}
