"""The demonstration as a command: what it runs on, what can go wrong, what to type next."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
from aiokafka.errors import KafkaError

from persistence.verdict import DATABASE_ERRORS
from workers.cli.database import fail_for
from workers.cli.terminal import Exit, fail
from workers.demo.events import ExamplesMissing
from workers.demo.lag import StillBehind
from workers.demo.narration import Narrator
from workers.demo.place import USE_EXTERNAL, Place, clean, place_at, uses_external
from workers.demo.processes import WorkerFailed
from workers.demo.run import STEPS, Demonstration, NotExact
from workers.settings import InvalidSettings
from workers.topics import TopicsRefused


def show(*, remove: bool) -> None:
    """Run the demonstration, or only remove what former ones left; ends the program as a command does."""
    narrator = Narrator(STEPS)
    external = uses_external(os.environ)
    if not remove:
        narrator.step(*(_EXTERNAL if external else _STACK))
    place = _place(external, narrator)
    if remove or not external:
        _clean(place, told=remove, narrator=narrator)
    if remove:
        return
    logs = Path(tempfile.mkdtemp(prefix="siltstone-demo-"))
    try:
        _run(Demonstration(place, narrator, logs))
    except BaseException:
        narrator.say("", f"The logs of the workers are in {logs}")
        raise
    shutil.rmtree(logs, ignore_errors=True)
    _next(narrator, place, external=external)


_STACK = (
    "A local Kafka and Postgres: siltstone stack up",
    "Both are the real things, started without Docker; the first time they are fetched.",
)
_EXTERNAL = (
    f"Kafka and Postgres of your own, because {USE_EXTERNAL}=1",
    "Everything happens in a new database and in topics of a new prefix.",
)


def _place(external: bool, narrator: Narrator) -> Place:  # noqa: FBT001 - a question that was asked before
    try:
        if external:
            return place_at(None)
        return place_at(_stack_up(narrator))
    except InvalidSettings as error:
        fail(str(error), Exit.USAGE)


def _stack_up(narrator: Narrator) -> Mapping[str, str]:
    try:
        from localstack import stack  # noqa: PLC0415 - an extra, absent where only workers run
    except ModuleNotFoundError as error:
        fail(
            f"the local stack is not installed ({error.name} is missing): pip install 'siltstone[local]', or name "
            f"services of your own and set {USE_EXTERNAL}=1",
            Exit.UNAVAILABLE,
        )
    try:
        return stack.up(stack.default_folder(), say=narrator.say).environment()
    except stack.StackError as error:
        fail(f"{error}\nthe local stack did not start; `siltstone stack status` shows what runs", Exit.UNAVAILABLE)


def _clean(place: Place, *, told: bool, narrator: Narrator) -> None:
    with _explained(place):
        dropped, left = asyncio.run(clean(place))
    if dropped or told:
        narrator.say(f"removed {len(dropped)} databases of former demos, and their topics")
    if left:
        narrator.say(f"left {', '.join(left)}: somebody is connected")


def _run(demonstration: Demonstration) -> None:
    """Run it; SIGTERM and a closed terminal end it like Ctrl-C, its workers first."""

    async def cancellable() -> None:
        task = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel if task else lambda: None)
        await demonstration.run()

    with _explained(demonstration.place):
        try:
            asyncio.run(cancellable())
        except (asyncio.CancelledError, KeyboardInterrupt):
            fail("\nstopped; its workers are ended, the stack runs on (`siltstone stack down`)", Exit.STOPPED)


@contextlib.contextmanager
def _explained(place: Place) -> Iterator[None]:
    """What can go wrong, as a message that says what to do."""
    try:
        yield
    except (NotExact, StillBehind, WorkerFailed) as error:
        fail(f"the demonstration failed: {error}", Exit.CHECK_FAILED)
    except ExamplesMissing as error:
        fail(str(error), Exit.NOT_FOUND)
    except TimeoutError:
        fail(
            "the demonstration waited too long for a worker or for Postgres; is the machine very busy? run it again",
            Exit.UNAVAILABLE,
        )
    except TopicsRefused as error:
        fail(f"Kafka does not make these topics:\n{error}", Exit.SOME_FAILED)
    except KafkaError as error:
        servers = place.settings.kafka_bootstrap_servers
        fail(f"Kafka at {servers}: {type(error).__name__}; is it running? siltstone stack status", Exit.UNAVAILABLE)
    except asyncpg.InsufficientPrivilegeError:
        fail("the login may not create a database; give it CREATEDB, or use the local stack", Exit.UNAVAILABLE)
    except DATABASE_ERRORS as error:
        fail_for(error)
        raise


def _next(narrator: Narrator, place: Place, *, external: bool) -> None:
    """Commands that work when typed after the demonstration."""
    narrator.step("What to type next")
    if shutil.which("siltstone") is None:
        narrator.say(f'export PATH="{Path(sys.executable).parent}:$PATH"')
    narrator.say(
        *(() if external else ('eval "$(siltstone stack env)"',)),
        "",
        "# what this demo stored:",
        f'export DATABASE_URL="${{DATABASE_URL%/*}}/{place.database}"',
        "export " + " ".join(f"{name}={value}" for name, value in place.own_variables.items()),
        "siltstone dlq list",
        "siltstone verify",
    )
    if external:
        narrator.say("", "`siltstone demo --clean` removes the databases and topics of demos.")
        return
    narrator.say(
        "",
        "The stack keeps running, with its data; `siltstone stack down` stops it.",
        "The next demo removes what this one left; so does `siltstone demo --clean`.",
    )
