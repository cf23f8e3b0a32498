"""Starting the two parts of a stack's folder, under its lock."""

from collections.abc import Callable, Mapping
from pathlib import Path

from localstack import folder as folders
from localstack import ports
from localstack.account import account, home
from localstack.errors import StackError, failed
from localstack.kafka import Kafka
from localstack.kafka_settings import Via
from localstack.postgres import Postgres

KAFKA_PORT, CONTROLLER_PORT, POSTGRES_PORT = 9092, 9093, 5432  # the usual ones
ATTEMPTS = 3  # starts: somebody may take a port between our look and our server's bind

Say = Callable[[str], None]


def quiet(_: str) -> None: ...


def kafka_of(folder: Path) -> Kafka:
    return Kafka(folder / "kafka")


def postgres_of(folder: Path) -> Postgres:
    """Where the server's data lies is chosen once, and remembered."""
    remembered = folders.load(folder).postgres_folder
    if remembered is None:
        who = account(folder / "postgres/data")
        return Postgres(home(folder, who), who)
    return Postgres(Path(remembered), account(Path(remembered) / "data"))


def run_kafka(folder: Path, say: Say, *, may_move: bool, via: Via | None = None) -> None:
    """Have Kafka answer, by starting it where it does not run; `via` is a second listener for that start."""
    kafka = kafka_of(folder)
    kept = folders.load(folder).kafka_port
    if kept is not None and kafka.ready(kafka.running(), kept):
        say(f"Kafka is running on {ports.HOST}:{kept}")
        return
    kafka.stop(say=say)  # one whose port was forgotten, or a format that outlived a killed `up`
    classpath = kafka.prepare(say)
    for _ in range(ATTEMPTS):
        state = folders.load(folder)
        kafka.stop(say=say)  # after a failed start: one that was too young to be seen before
        port = _port("Kafka", state.kafka_port, KAFKA_PORT, say, may_move=may_move)
        controller = ports.choose(state.controller_port, CONTROLLER_PORT, besides={port})
        folders.update(folder, kafka_port=port, controller_port=controller)
        say(f"starting Kafka on {ports.HOST}:{port}")
        if kafka.ready(kafka.launch(classpath, port, controller, via), port):
            return
        if ports.is_free(port) and ports.is_free(controller):
            break
    raise failed("Kafka ended while it was starting; see why in its log, and run `up` again", kafka.log)


def run_postgres(folder: Path, say: Say, extra: Mapping[str, str], *, may_move: bool) -> None:
    """Have Postgres answer, by starting it where it does not run; `extra` are settings for that start."""
    postgres = postgres_of(folder)
    folders.update(folder, postgres_folder=str(postgres.place))
    if postgres.place.parent != folder:
        say(f"Postgres does not run as root, and its user cannot reach {folder}; its data: {postgres.place}")
    password = _password(folder, postgres, say)
    if postgres.ready(postgres.running()) and (port := postgres.port()) is not None:
        folders.update(folder, postgres_port=port)
        say(f"Postgres is running on {ports.HOST}:{port}")
        return
    if not postgres.data.is_dir():
        say(f"making a database in {postgres.place}")
    postgres.prepare(password)
    for _ in range(ATTEMPTS):
        postgres.stop(say=say)
        port = _port("Postgres", folders.load(folder).postgres_port, POSTGRES_PORT, say, may_move=may_move)
        folders.update(folder, postgres_port=port)
        say(f"starting Postgres on {ports.HOST}:{port}")
        if postgres.ready(postgres.launch(port, extra)):
            return
        if ports.is_free(port):
            break
    raise failed("Postgres ended while it was starting; see why in its log, and run `up` again", postgres.log)


def _password(folder: Path, postgres: Postgres, say: Say) -> str:
    """The kept one; a new one is kept before a database is made with it, and after an old one took it."""
    if (kept := folders.password(folder)) is not None:
        return kept
    made = folders.new_password()
    if postgres.data.is_dir():
        say("the file with the database's password is gone; making a new one")
        postgres.set_password(made)
    folders.keep_password(folder, made)
    return made


def _port(name: str, kept: int | None, usual: int, say: Say, *, may_move: bool) -> int:
    wanted = kept or usual
    if not may_move and kept is not None and not ports.is_free(kept):
        raise StackError(f"port {kept} of {name} is taken by another program; free it, or run `siltstone stack up`")
    port = ports.choose(kept, usual, besides={CONTROLLER_PORT})
    if port != wanted:
        say(f"port {wanted} of {name} is taken by another program; using {port}")
    return port
