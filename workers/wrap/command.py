"""Runs an agent's command and records it; or replays a recorded log."""

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple, NoReturn

from contracts.envelope import TENANT_PATTERN
from contracts.refusal import Refusal
from contracts.window import TimeWindow
from producers.account import Word
from producers.event_lines import Defaults, record_of
from producers.wrap import terminal
from producers.wrap.journal import Saved, begin, fingerprints, new_id
from producers.wrap.masking import Masker, NoMasker, secret_names
from producers.wrap.patterns import BadPatterns, Patterns, load
from producers.wrap.recorded import UnreadableRecording
from producers.wrap.recordings import Recording, recording
from producers.wrap.session import Session
from workers.settings import Settings
from workers.wrap import behind
from workers.wrap.default_patterns import default_patterns
from workers.wrap.spool import folder_of


class NotWrapped(Exception):
    """Nothing was run: the message says why."""


@dataclass(frozen=True)
class Wish:
    """What `siltstone wrap` was asked for, beside the command itself."""

    tenant: str
    agent: str | None
    source: str
    patterns: Path | None
    pty: bool | None  # None: when output goes to a terminal
    mask: bool
    wait: bool


def run(command: list[str], wish: Wish, settings: Settings) -> NoReturn:
    """Become the process that runs the command, whose exit code is the command's. Raises NotWrapped before."""
    _open_streams()
    text, patterns = _patterns(wish.patterns)
    agent = wish.agent or patterns.agent_of(_readable(command[0])).name
    saved = _saved(command, wish, agent, text if wish.patterns else None)
    saved = replace(saved, brokers=settings.kafka_bootstrap_servers)
    _check(saved, settings, patterns)
    root = folder_of(settings)
    try:
        file = begin(root / saved.id, saved)
        sender = behind.start(root / saved.id / "reader.log", "workers.wrap.recording", root / saved.id)
    except OSError as error:
        rmtree(root / saved.id, ignore_errors=True)
        why = f"a session cannot be kept in {root}: {error.strerror}; name another folder by SILTSTONE_SPOOL_FOLDER"
        raise NotWrapped(why) from None
    os.set_inheritable(file.fileno(), True)
    pty = os.isatty(1) if wish.pty is None else wish.pty
    how, waited_for = "pty" if pty else "pipes", str(sender.pid) if wish.wait else "0"
    started = str(datetime.fromisoformat(saved.started).timestamp())
    most = str(settings.spool_max_bytes)
    own = [*behind.PYTHON, "producers.wrap.attached", str(file.fileno()), most, started, how, waited_for]
    os.execv(sys.executable, [*own, *command])  # noqa: S606 - the command that the user gave


class Replayed(NamedTuple):
    """The session of a recorded log, its events, and a word on what is none of them, whole once they were read."""

    session: Session
    events: Iterator[dict[str, Any]]
    words: list[Word]


def replayed(file: Path, wish: Wish, start: datetime | None = None) -> Replayed:
    """A recorded log as a session; `start` where it has no time. Raises NotWrapped for a file that cannot be read."""
    _, patterns = _patterns(wish.patterns)
    try:
        recorded = recording(file, start)
    except OSError as error:
        raise NotWrapped(f"{file} cannot be read: {error.strerror}") from None
    except UnreadableRecording as error:
        raise NotWrapped(str(error)) from None
    mask = Masker(dict(os.environ) | _variables(recorded)) if wish.mask else NoMasker()
    told = {"replayed": mask.text(_readable(file.name)), **_masked(recorded.metadata, mask)}
    about = replace(
        _saved([], wish, wish.agent or "replay", None).about(),
        key=recorded.key,
        started=recorded.started,
        columns=recorded.columns,
        rows=recorded.rows,
        metadata=told,
    )
    session = Session(about, patterns, mask)
    return Replayed(session, _events(session, recorded), recorded.words)


def _variables(recorded: Recording) -> dict[str, str]:
    """The environment that a recording names: its secrets are masked as those of our own."""
    found = recorded.metadata.get("env")
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _masked(value: Any, mask: Masker | NoMasker) -> Any:
    """JSON whose texts are masked."""
    match value:
        case str():
            return mask.text(value)
        case list():
            return [_masked(item, mask) for item in value]
        case dict():
            return {name: _masked(held, mask) for name, held in value.items()}
        case _:
            return value


def _open_streams() -> None:
    """Those that were closed when we began: else the next file that is opened would be one of them."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) < terminal.FIRST_FILE:
        os.set_inheritable(lowest, True)
    os.close(lowest)


def _patterns(file: Path | None) -> tuple[str, Patterns]:
    try:
        text = file.read_text(encoding="utf-8") if file else default_patterns()
        return text, load(text, str(file or "examples/patterns.yaml"))
    except BadPatterns as error:
        raise NotWrapped(str(error)) from None
    except OSError as error:
        raise NotWrapped(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NotWrapped(f"{file} is no UTF-8") from None


def _saved(command: list[str], wish: Wish, agent: str, patterns: str | None) -> Saved:
    environment, session = dict(os.environ), new_id()
    mask = Masker(environment) if wish.mask else NoMasker()
    columns, rows = terminal.window()
    metadata = {
        "command": mask.words([_readable(argument) for argument in command]),
        "folder": mask.text(_readable(_folder())),
        "host": socket.gethostname(),
    }
    secrets = fingerprints(environment, secret_names(environment), session) if wish.mask else {}
    started = datetime.now(UTC).isoformat()
    return Saved(
        session, agent, wish.tenant, wish.source, started, columns, rows, metadata, wish.mask, patterns, secrets
    )


def _folder() -> str:
    """The one that the command runs in; as the shell knows it, once it was deleted."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return os.environ.get("PWD", "")


def _readable(text: str) -> str:
    """An argument or a path, whose bytes may be no UTF-8."""
    return os.fsencode(text).decode("utf-8", "replace")


def _check(saved: Saved, settings: Settings, patterns: Patterns) -> None:
    """Refuse a tenant, an agent or a source that no event may have, before anything runs."""
    if not re.fullmatch(TENANT_PATTERN, saved.tenant):
        raise NotWrapped(f"{saved.tenant!r} is no tenant's id: small letters, digits, - and _ , 63 at most")
    first = Session(saved.about(), patterns, NoMasker()).take()[0]
    window = TimeWindow(settings.oldest_time, settings.retention_months)
    try:
        record_of(json.dumps(first).encode(), Defaults(topic_prefix=settings.topic_prefix), window, check=True)
    except Refusal as refusal:
        raise NotWrapped(f"no session can be recorded so: {refusal.message}") from None


def _events(session: Session, recorded: Recording) -> Iterator[dict[str, Any]]:
    """The events of a recording. Where it breaks off its session is abandoned; then UnreadableRecording goes on."""
    yield from session.take()
    try:
        for frame in recorded.frames:
            session.feed(frame)
            yield from session.take()
    except UnreadableRecording:
        session.abandon()
        yield from session.take()
        raise
