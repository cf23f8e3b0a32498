"""Kafka's jars: fetched once from Maven Central into a cache that every stack of the user shares."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from localstack.errors import StackError
from localstack.kafka_jars import KAFKA_JARS, KAFKA_VERSION, Jar

LINES = 6  # fetched at once
TIMEOUT_SECONDS = 30  # without a byte
TRIES = 3


def jars(say: Callable[[str], None]) -> list[Path]:
    """Every jar that Kafka needs, each checked against its SHA-256; missing ones are fetched."""
    cache = platformdirs.user_cache_path("siltstone") / f"kafka-{KAFKA_VERSION}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        missing = [jar for jar in KAFKA_JARS if not _is_good(cache / jar.filename, jar)]
        if missing:
            with _alone(cache, say):
                missing = [jar for jar in missing if not _is_good(cache / jar.filename, jar)]
                if missing:
                    _fetch(missing, cache, say)
    except OSError as error:
        raise StackError(
            f"cannot keep Kafka's jars in {cache}: {error}; set XDG_CACHE_HOME to a folder that you may write"
        ) from error
    return [cache / jar.filename for jar in KAFKA_JARS]


def _is_good(path: Path, jar: Jar) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


@contextmanager
def _alone(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    with (cache / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another stack is fetching Kafka's jars; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(missing: Sequence[Jar], cache: Path, say: Callable[[str], None]) -> None:
    for left in cache.glob(".fetch-*"):  # by a fetch that was killed
        shutil.rmtree(left, ignore_errors=True)
    say(f"fetching Apache Kafka {KAFKA_VERSION}: {len(missing)} jars from Maven Central, kept in {cache}")
    staging = Path(tempfile.mkdtemp(dir=cache, prefix=".fetch-"))
    pool = ThreadPoolExecutor(LINES)
    try:
        waiting = {pool.submit(_fetch_one, jar, staging, cache): jar for jar in missing}
        for count, done in enumerate(as_completed(waiting), 1):
            done.result()
            if count % 10 == 0 or count == len(missing):
                say(f"fetched {count} of {len(missing)} jars")
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(staging, ignore_errors=True)


def _fetch_one(jar: Jar, staging: Path, cache: Path) -> None:
    """Download aside: jgo leaves a torn file when it is killed. Only a whole jar moves into the cache."""
    for left in reversed(range(TRIES)):
        own = Path(tempfile.mkdtemp(dir=staging))
        try:
            path = _download(jar, own)
            if _is_good(path, jar):
                path.replace(cache / jar.filename)
                return
            reason = "its SHA-256 is not the expected one"
        except Exception as error:  # noqa: BLE001 - jgo documents no types; whatever it was, it is shown
            reason = f"{type(error).__name__}: {error}"
        if not left:
            raise StackError(
                f"cannot fetch {jar.filename} of Apache Kafka: {reason[:500]}\n"
                "Kafka is fetched from Maven Central once, so the first `siltstone stack up` needs it; "
                "connect (HTTPS_PROXY and REQUESTS_CA_BUNDLE count), and try again: what came is kept"
            )


def _download(jar: Jar, repository: Path) -> Path:
    """The jar from a mirror named in jgo's own settings, else from Maven Central."""
    from jgo.config import GlobalSettings  # noqa: PLC0415 - a third of a second, needed once
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    remotes = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    context = MavenContext(repo_cache=repository, remote_repos=remotes, timeout=TIMEOUT_SECONDS)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    path: str | os.PathLike[str] = artifact.resolve()
    return Path(path)
