"""The local stack's memory, ports and lock, without a server."""

import hashlib
import json
import shutil
import socket
from pathlib import Path

import platformdirs
import pytest

from localstack import folder as folders
from localstack import jars, ports
from localstack.errors import StackError, failed
from localstack.folder import State, parse
from localstack.kafka import answers
from localstack.kafka_jars import KAFKA_JARS, KAFKA_VERSION, Jar
from localstack.stack import Addresses, down, status


def test_state_survives_being_saved(tmp_path: Path) -> None:
    """What is saved is what is loaded, and a second save keeps what it does not name."""
    folders.claim(tmp_path / "s")
    folders.update(tmp_path / "s", kafka_port=9192, postgres_folder="/srv/a b")
    folders.update(tmp_path / "s", postgres_port=5433)
    assert folders.load(tmp_path / "s") == State(5433, 9192, None, "/srv/a b")


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", '{"kafka_port": "9092"}', '{"kafka_port": 0}', '{"kafka_port": 65536}',
             '{"kafka_port": true}', '{"postgres_folder": 5}']
)  # fmt: skip
def test_unreadable_state_is_unset(text: str) -> None:
    """Torn JSON, another shape, and what is no port count as never chosen."""
    assert parse(text) == State()


def test_one_bad_field_leaves_the_others() -> None:
    """A field that cannot be read does not cost the ones that can."""
    assert parse(json.dumps({"kafka_port": -1, "postgres_port": 5432})) == State(postgres_port=5432)


@pytest.mark.parametrize(
    ("kept", "taken", "chosen"),
    [
        (None, set(), 9092),
        (None, {9092}, 9094),  # 9093 is the controller's
        (40_000, set(), 40_000),
        (40_000, {40_000}, 9092),
        (40_000, {40_000, 9092}, 9094),
        (9093, set(), 9092),
    ],
)
def test_port_choice(kept: int | None, taken: set[int], chosen: int) -> None:
    """The kept port comes first, then the usual one, then those above it; never one that is spoken for."""
    assert ports.choose(kept, 9092, besides={9093}, free=lambda port: port not in taken) == chosen


def test_port_of_the_system_is_the_last_resort() -> None:
    """With all neighbours taken the system picks a port that can be bound."""
    port = ports.choose(None, 9092, free=lambda _: False)
    assert port not in range(9092, 9193)
    assert ports.is_free(port)


def test_listened_port_is_not_free() -> None:
    """A port with a listener on every address is taken, and free again when that ends."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104 - the case at hand
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_silent_port_is_no_broker() -> None:
    """A listener that says nothing is not taken for a Kafka that is ready."""
    with socket.socket() as listener:
        listener.bind((ports.HOST, 0))
        listener.listen()
        assert not answers(listener.getsockname()[1])


def test_foreign_folder_is_neither_claimed_nor_deleted(tmp_path: Path) -> None:
    """A folder that holds something else is refused, and left as it was."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StackError, match=r"thesis\.txt"):
        folders.claim(tmp_path)
    with pytest.raises(StackError, match="nothing was deleted"):
        down(tmp_path, delete=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_claim_after_a_claim_that_was_killed(tmp_path: Path) -> None:
    """A folder with a lock and a half-written state alone is taken for an empty one."""
    (tmp_path / folders.LOCK_FILE).touch()
    (tmp_path / (folders.STATE_FILE + ".new")).write_text('{"kaf')
    folders.claim(tmp_path)
    assert folders.load(tmp_path) == State()


def test_remove_takes_the_mark_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that fails in the middle leaves the folder marked, so that it can be done again."""
    folders.claim(tmp_path / "s")
    (tmp_path / "s/kafka").mkdir()

    def refuse(_: Path) -> None:
        raise OSError(5, "no")

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", refuse)
        with pytest.raises(StackError, match="again"):
            folders.remove(tmp_path / "s", tmp_path / "s/postgres")
    assert folders.is_ours(tmp_path / "s")
    folders.remove(tmp_path / "s", tmp_path / "s/postgres")
    assert not (tmp_path / "s").exists()


def test_lock_has_one_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder keeps others out; one who waits gives up after the deadline, with the folder's name."""
    monkeypatch.setattr(folders, "LOCK_SECONDS", 0.1)
    said: list[str] = []
    with (
        folders.locked(tmp_path),
        pytest.raises(StackError, match="at work on"),
        folders.locked(tmp_path, said.append),
    ):
        pass
    assert said == [f"another command is at work on {tmp_path}; waiting for it"]
    with folders.locked(tmp_path):
        pass


def test_password_is_private(tmp_path: Path) -> None:
    """The password's file is its owner's alone, and holds what URLs and SQL take as it is."""
    made = folders.new_password()
    folders.keep_password(tmp_path, made)
    assert folders.password(tmp_path) == made
    assert (tmp_path / folders.PASSWORD_FILE).stat().st_mode & 0o777 == 0o600
    assert made.replace("-", "").replace("_", "").isalnum()


def test_environment_names_the_settings() -> None:
    """The addresses come under the names that every command reads."""
    addresses = Addresses("127.0.0.1:9092", "postgresql+asyncpg://u:p@127.0.0.1:5432/d")
    assert addresses.environment() == {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "DATABASE_URL": "postgresql+asyncpg://u:p@127.0.0.1:5432/d",
    }


def test_status_without_a_stack_makes_nothing(tmp_path: Path) -> None:
    """Asking for a stack that never was answers `stopped` and leaves no folder behind."""
    found = status(tmp_path / "none")
    assert (found.running, found.kafka.running, found.postgres.running, found.addresses) == (
        False,
        False,
        False,
        None,
    )
    assert not (tmp_path / "none").exists()


def test_default_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """SILTSTONE_STACK_DIR stands above the user's data folder."""
    monkeypatch.setenv("SILTSTONE_STACK_DIR", "/srv/stack")
    assert folders.default_folder() == Path("/srv/stack")
    monkeypatch.delenv("SILTSTONE_STACK_DIR")
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert folders.default_folder().is_relative_to("/home/ada")


def test_every_jar_is_locked_once() -> None:
    """The 46 jars have 46 file names and a whole SHA-256 each."""
    assert len({jar.filename for jar in KAFKA_JARS}) == len(KAFKA_JARS) == 46
    assert {len(bytes.fromhex(jar.sha256)) for jar in KAFKA_JARS} == {32}


def test_jar_with_another_digest_is_fetched_again_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn jar is replaced by a whole one; one whose digest is wrong never enters the cache."""
    good = Jar("g", "good", "1", hashlib.sha256(b"whole").hexdigest())
    bad = Jar("g", "bad", "1", hashlib.sha256(b"expected").hexdigest())
    fetched: list[str] = []

    def download(jar: Jar, repository: Path) -> Path:
        fetched.append(jar.artifact)
        (repository / "file").write_bytes(b"whole")
        return repository / "file"

    monkeypatch.setattr(jars, "_download", download)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path)
    cache = tmp_path / f"kafka-{KAFKA_VERSION}"
    cache.mkdir()
    (cache / good.filename).write_bytes(b"who")
    monkeypatch.setattr(jars, "KAFKA_JARS", (good,))
    assert [p.read_bytes() for p in jars.jars(lambda _: None)] == [b"whole"]
    monkeypatch.setattr(jars, "KAFKA_JARS", (good, bad))
    with pytest.raises(StackError, match=r"bad-1\.jar"):
        jars.jars(lambda _: None)
    assert fetched == ["good", "bad", "bad", "bad"]
    assert sorted(p.name for p in cache.iterdir()) == [".lock", "good-1.jar"]


def test_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    """The message has the log's path and its last eight lines."""
    log = tmp_path / "part.log"
    log.write_text("".join(f"line {n}\n" for n in range(20)))
    message = str(failed("it ended", log))
    assert message.splitlines()[0] == "it ended"
    assert str(log) in message
    assert [line.strip() for line in message.splitlines()[2:]] == [f"line {n}" for n in range(12, 20)]
