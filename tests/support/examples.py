"""Running the examples of docs/publishing.md: by the tools that the machine has, with packages of pinned versions.

Kafka's jars are the local stack's; packages/ has the locks of Go's and npm's, which `go get MODULE@VERSION` and
`npm install --package-lock-only` write anew there. Java, Go and TypeScript take minutes on a machine that has built
nothing yet: they run when SILTSTONE_TEST_CLIENTS is 1, as `make test-clients` sets it. What is not asked for, or not
on this machine, skips the test.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pytest

from localstack.errors import StackError
from localstack.jars import jars

PACKAGES = Path(__file__).parent / "packages"
FETCH_SECONDS = 500  # a first `go build` takes 35 s of CPU as it is called here, 55 s when it optimises
RUN_SECONDS = 60
ASKED_FOR = ("Java", "Go", "TypeScript")
JAVA, GO, NODE = (17,), (1, 26), (22, 22)

_JARS = ("kafka-clients-", "slf4j-api-")
_JAVA_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8")  # the first two save a third
_GO_SETTINGS = {
    "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"
}  # fmt: skip
_NO_REGISTRY = re.compile(
    r"dial tcp|i/o timeout|GOPROXY=off"  # go
    r"|code E(?:NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT|\w+UNREACH|NOTCACHED)"  # npm
)


def run(example: str, code: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Run an example's code to its end in a folder; skips when the machine lacks a tool or a package."""
    if example in ASKED_FOR and os.environ.get("SILTSTONE_TEST_CLIENTS") != "1":
        pytest.skip(f"{example}'s client is not run: make test-clients")
    make = {"Java": _java, "Go": _go, "TypeScript": _typescript, "Python": _python, "kcat": _kcat}.get(example, _shell)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    own = os.environ | environment | {"PATH": path}
    done = subprocess.run(
        make(code, folder), cwd=folder, env=own, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _shell(code: str, _: Path) -> list[str]:
    return ["sh", "-c", code]


def _kcat(code: str, folder: Path) -> list[str]:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not here: apt-get install kcat, or brew install kcat")
    return _shell(code, folder)


def _python(code: str, _: Path) -> list[str]:
    return [sys.executable, "-c", code]


def _java(code: str, folder: Path) -> list[str]:
    if _version(r"(?m)^jdk\.compiler@(\d+)", "java", "--list-modules") < JAVA:
        pytest.skip("no Java with a compiler is here: install a JDK, 17 or newer")
    try:
        needed = [str(jar) for jar in jars(lambda _: None) if jar.name.startswith(_JARS)]
    except StackError as error:
        pytest.skip(str(error))
    (folder / "Publish.java").write_text(code, encoding="utf-8")
    return ["java", *_JAVA_FLAGS, "-cp", os.pathsep.join(needed), "Publish.java"]


def _go(code: str, folder: Path) -> list[str]:
    if _version(r"go(\d+)\.(\d+)", "go", "version") < GO:
        pytest.skip("no Go is here that franz-go takes: install 1.26 or newer from https://go.dev/dl")
    for name in ("go.mod", "go.sum"):
        shutil.copy(PACKAGES / name, folder)
    (folder / "main.go").write_text(code, encoding="utf-8")
    _fetch(["go", "build", "-gcflags=all=-N -l", "-o", "publish", "."], folder, _GO_SETTINGS)
    return [str(folder / "publish")]


def _typescript(code: str, folder: Path) -> list[str]:
    """By the machine's Node.js, or by npm's where that is too old: it is in package-lock.json for Linux on x64."""
    get = "install Node.js 22.22 or newer with npm from https://nodejs.org"
    if shutil.which("npm") is None:
        pytest.skip(f"no npm is here: {get}")
    modules = _node_modules()
    nodes = ("node", str(modules / ".bin" / "node"))
    node = next((node for node in nodes if _version(r"v(\d+)\.(\d+)", node, "--version") >= NODE), None)
    if node is None:
        pytest.skip(f"no Node.js is here that @platformatic/kafka takes: {get}")
    (folder / "node_modules").symlink_to(modules)
    (folder / "publish.mts").write_text(code, encoding="utf-8")
    return [node, "publish.mts"]


def _node_modules() -> Path:
    """What package-lock.json names, installed once and kept beside Kafka's jars."""
    lock = (PACKAGES / "package-lock.json").read_bytes()
    kept = platformdirs.user_cache_path("siltstone") / f"npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".npm-") as name:
            made = Path(name)
            for file in ("package.json", "package-lock.json"):
                shutil.copy(PACKAGES / file, made)
            _fetch(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"], made, {})
            with contextlib.suppress(OSError):  # another run was first
                made.rename(kept)
    return kept / "node_modules"


def _version(pattern: str, *command: str) -> tuple[int, ...]:
    """The numbers that a tool says of itself; none, which is less than any, when it is not here."""
    if shutil.which(command[0]) is None:
        return ()
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    found = re.search(pattern, done.stdout)
    return tuple(map(int, found.groups())) if found else ()


def _fetch(command: list[str], folder: Path, own: Mapping[str, str]) -> None:
    """Run what fetches packages; an unreached registry skips, a package that is not the locked one fails."""
    own = os.environ | own
    done = subprocess.run(
        command, cwd=folder, env=own, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    if _NO_REGISTRY.search(done.stderr):
        pytest.skip(f"this example's packages are not here: connect once, for `{' '.join(command[:2])}` to fetch them")
    assert done.returncode == 0, done.stdout + done.stderr
