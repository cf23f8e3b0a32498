"""The peers' programs, fetched once into `.bench/` at the top of the clone."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE.parent.parent / ".bench"
RECIPE = "made-from"  # written last, the whole recipe: a folder without it is half made, and one with another is old


class NotInstalled(Exception):
    """A peer's programs are not to be had here; the message says why in a line."""


def venv() -> Path:
    """The Python of a venv with quixstreams and matplotlib; raises NotInstalled."""
    requirements = HERE / "requirements.txt"

    def make(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", folder])
        _run([folder / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", requirements])

    return _made(PLACE / "venv", f"{sys.version}\n{requirements.read_text()}", make) / "bin/python"


def connect() -> Path:
    """A folder with Kafka Connect in `libs` and Debezium's sink in `plugins`; raises NotInstalled."""
    if shutil.which("java") is None:
        raise NotInstalled("there is no java on the PATH; it needs Java 17 or newer, and Maven")
    pom = HERE / "pom.xml"

    def make(folder: Path) -> None:
        _run(["mvn", "-B", "-q", "-C", "-f", pom, f"-Dconnect={folder}", "package"])

    return _made(PLACE / "connect", pom.read_text(), make)


def _made(folder: Path, recipe: str, make: Callable[[Path], None]) -> Path:
    """The folder as `recipe` makes it: as it was found, or made anew."""
    written = folder / RECIPE
    if not written.exists() or written.read_text() != recipe:
        print(f"making {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        written.write_text(recipe)
    return folder


def _run(command: Sequence[str | Path]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NotInstalled(f"there is no {command[0]} on the PATH") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        told = next((line for line in lines if "ERROR" in line), lines[-1])
        raise NotInstalled(f"{Path(command[0]).name} ended with {done.returncode}: {told[:300]}")
