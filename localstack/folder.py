"""The stack's folder: whose it is, who works in it now, and what it remembers."""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import platformdirs

from localstack.errors import StackError

STATE_FILE = "siltstone-stack.json"  # also the mark that a folder is ours to delete
LOCK_FILE = ".lock"
PASSWORD_FILE = "postgres-password"  # noqa: S105 - a file's name
LOCK_SECONDS = 300.0  # the longest honest holder: a first `up` that fetches the jars on a slow line


@dataclass(frozen=True)
class State:
    """What has to be the same after `down` and `up`; a port is None until it was chosen."""

    postgres_port: int | None = None
    kafka_port: int | None = None
    controller_port: int | None = None
    postgres_folder: str | None = None


def default_folder() -> Path:
    """`SILTSTONE_STACK_DIR`, else `stack` in the user's data folder."""
    if named := os.environ.get("SILTSTONE_STACK_DIR"):
        return Path(named).expanduser()
    return platformdirs.user_data_path("siltstone") / "stack"


def claim(folder: Path) -> None:
    """Make `folder` a stack's, with its mark; refuse one that holds something else."""
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root's Postgres runs as another user
        others = [p.name for p in folder.iterdir() if p.name not in (LOCK_FILE, STATE_FILE + ".new")]
        if STATE_FILE not in others:
            if others:
                raise StackError(f"{folder} is not a siltstone stack's: it holds {others[0]}; name an empty --folder")
            save(folder, State())
    except OSError as error:
        raise StackError(f"cannot write in {folder}: {error.strerror}; name another --folder") from error


def is_ours(folder: Path) -> bool:
    return (folder / STATE_FILE).is_file()


def parse(text: str) -> State:
    """The state in `text`; what cannot be read is as if it was never chosen."""
    try:
        fields = json.loads(text)
    except ValueError:
        return State()
    if not isinstance(fields, dict):
        return State()
    ports = {
        name: value
        for name in ("postgres_port", "kafka_port", "controller_port")
        if type(value := fields.get(name)) is int and 0 < value <= 65_535  # noqa: PLR2004 - the last TCP port
    }
    place = fields.get("postgres_folder")
    return State(postgres_folder=place if isinstance(place, str) else None, **ports)


def load(folder: Path) -> State:
    """The remembered state; all unset where there is none."""
    try:
        return parse((folder / STATE_FILE).read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise StackError(f"cannot read {folder / STATE_FILE}: {error.strerror}") from error


def save(folder: Path, state: State) -> None:
    """Replace the state file whole: after a crash it is the old one or the new one."""
    write_whole(folder / STATE_FILE, json.dumps(asdict(state), indent=2) + "\n")


def update(folder: Path, **changes: int | str) -> State:
    """Remember `changes` beside what is remembered already."""
    before = load(folder)
    after = replace(before, **changes)  # type: ignore[arg-type]
    if after != before:
        save(folder, after)
    return after


def write_whole(path: Path, text: str) -> None:
    """Write `path`, readable by its owner alone, so that a crash leaves the old content or the new."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def password(folder: Path) -> str | None:
    """The database's password, if one was made."""
    try:
        return (folder / PASSWORD_FILE).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def new_password() -> str:
    """Of letters, digits, - and _ alone: URLs and SQL hold it as it is."""
    return secrets.token_urlsafe(24)


def keep_password(folder: Path, made: str) -> None:
    """Keep it in a file that its owner alone can read."""
    write_whole(folder / PASSWORD_FILE, made + "\n")


@contextmanager
def locked(folder: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """One command at a time works in `folder`, which exists; a dead holder's lock is free at once."""
    deadline = time.monotonic() + LOCK_SECONDS
    waiting = False
    while True:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_the_file(descriptor, folder / LOCK_FILE):
                break
        except BlockingIOError:
            if not waiting:
                say(f"another command is at work on {folder}; waiting for it")
                waiting = True
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise StackError(
                f"another command is at work on {folder} since {LOCK_SECONDS:.0f} s; end it, and try again"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(descriptor)


def _is_still_the_file(descriptor: int, path: Path) -> bool:
    """False when the holder before us deleted the folder: its lock file is then nobody's."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def remove(folder: Path, elsewhere: Path) -> None:
    """Delete what Postgres has outside of `folder`, then all of `folder`.

    The mark goes last: what was cut short can be done again.
    """
    try:
        if elsewhere.name.startswith("siltstone-postgres-") and elsewhere.is_dir():
            shutil.rmtree(elsewhere)
        for entry in sorted(folder.iterdir(), key=lambda p: p.name in (STATE_FILE, LOCK_FILE)):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        folder.rmdir()
    except OSError as error:
        raise StackError(
            f"cannot delete all of {folder}: {error}; run `siltstone stack down --delete` again"
        ) from error


def flush(place: Path) -> None:
    """Have the disk hold `place`: a file's content, or the names in a folder."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
