"""Sessions, runs, nodes and exceptions: each writes its first event when it is made, and its last when it ends."""

import contextlib
import datetime as dt
import logging
import time
import traceback
from abc import ABC, abstractmethod
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

from siltstone import _types
from siltstone._client import Client, client, new_id
from siltstone._json import text_of

log = logging.getLogger("siltstone")
T = TypeVar("T")

MAX_ERROR_CHARACTERS = 8_192
GIVEN_UP = ("CancelledError", "KeyboardInterrupt", "GeneratorExit")  # the last is of a consumer who wants no more

_session: ContextVar["Session | None"] = ContextVar("siltstone_session", default=None)
_run: ContextVar["Run | None"] = ContextVar("siltstone_run", default=None)
_node: ContextVar["Node | None"] = ContextVar("siltstone_node", default=None)


class _Scope(ABC):
    """What `with` and `async with` share: neither waits for anything."""

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left(error)

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left(error)

    def _left(self, error: BaseException | None) -> None:
        try:
            self._leave(error)
        except Exception:  # an agent's own exception goes on, whatever happens here
            log.exception("the end of a %s could not be recorded", type(self).__name__)

    @abstractmethod
    def _enter(self) -> None: ...

    @abstractmethod
    def _leave(self, error: BaseException | None) -> None: ...


class Session(_Scope):
    """One agent session: `session.started` at its beginning, `session.completed` at its end."""

    def __init__(
        self,
        agent: str,
        *,
        id: str | None = None,  # noqa: A002
        client: Client,
        **started: Unpack[_types.SessionStarted],
    ) -> None:
        self.id, self.agent, self._client = id or new_id(), agent, client
        self._started, self._extractions = started, 0
        self._token: Token[Session | None] | None = None
        self.exit_code: int | None = None

    def extraction(self, **data: Unpack[_types.ExtractionRecorded]) -> None:
        """Something was found in the agent's output."""
        self._extractions += 1
        self._client.emit("extraction.recorded", self.id, {"agent_name": self.agent, **data})

    def code_block(self, content: str, **data: Unpack[_types.CodeBlockCaptured]) -> None:
        """The agent showed a block of code; data are the other fields of `code_block.captured`."""
        self._client.emit("code_block.captured", self.id, {"agent_name": self.agent, **data, "content": content})

    def state(self, state: str, **data: Unpack[_types.SessionStateChanged]) -> None:
        """The session went into another state."""
        self._client.emit("session.state_changed", self.id, {**data, "state": state})

    def update(self, **data: Unpack[_types.SessionUpdated]) -> None:
        """Fields of the session became known."""
        self._client.emit("session.updated", self.id, data)

    def _enter(self) -> None:
        self._client.emit("session.started", self.id, {"agent_name": self.agent, **self._started})
        self._token = _session.set(self)

    def _leave(self, error: BaseException | None) -> None:
        _reset(_session, self._token)
        code = _exit_code(error) if self.exit_code is None else self.exit_code
        if error and self.exit_code is None and not isinstance(error, SystemExit):
            self.extraction(
                event_type="error",
                pattern="python_exception",
                matched_value=_text(error)[:1024],
                risk_level="high",
            )
        self._client.emit(
            "session.completed", self.id, {"exit_code": code, "total_extraction_events": self._extractions}
        )


class Run(_Scope):
    """One run: `run.started` at its beginning, `run.finished` at its end, failed when an exception ended it.

    What is set in `result` goes with the last event: tokens_input, cost_usd, results_summary and the like.
    """

    def __init__(self, *, id: str | None = None, client: Client, **started: Unpack[_types.RunStarted]) -> None:  # noqa: A002
        self.id, self._client, self._started = id or new_id(), client, started
        self.result: dict[str, Any] = {}
        self._began = 0.0
        self._token: Token[Run | None] | None = None

    def node(self, name: str, **data: Unpack[_types.NodeExecuted]) -> "Node":
        """A part of the run, as a context: one event when it ends."""
        return Node(self, name, data)

    def assertion(self, assertion_type: str, *, passed: bool, **data: Unpack[_types.AssertionEvaluated]) -> None:
        """An assertion about the run was evaluated."""
        self._client.emit("assertion.evaluated", self.id, {**data, "assertion_type": assertion_type, "passed": passed})

    def file(self, filename: str, **data: Unpack[_types.FileProduced]) -> None:
        """The run produced a file."""
        self._client.emit("file.produced", self.id, {**data, "filename": filename})

    def progress(self, **data: Unpack[_types.RunProgressed]) -> None:
        """The run went on."""
        self._client.emit("run.progressed", self.id, data)

    def update(self, **data: Unpack[_types.RunUpdated]) -> None:
        """Fields of the run became known."""
        self._client.emit("run.updated", self.id, data)

    def _enter(self) -> None:
        self._began = time.perf_counter()
        self._client.emit("run.started", self.id, self._started)
        self._token = _run.set(self)

    def _leave(self, error: BaseException | None) -> None:
        _reset(_run, self._token)
        error = _failure(error)
        finished = {
            "status": _ended(error),
            "duration_ms": _milliseconds(self._began),
            "error_message": _said(error),
            "error_info": _info(error),
        }
        self._client.emit("run.finished", self.id, finished | (self.result or {}))


class Node(_Scope):
    """One part of a run; nested ones are named by their path. `state` goes with its event as the snapshot."""

    def __init__(self, run: Run, name: str, data: _types.NodeExecuted) -> None:
        outer = _node.get()
        self.run: Run = run
        self.name: str = f"{outer.name}/{name}" if outer and outer.run is run else name
        self.state: dict[str, Any] | None = None
        self._data = data
        self._began, self._at = 0.0, dt.datetime.now(dt.UTC)
        self._token: Token[Node | None] | None = None

    def _enter(self) -> None:
        self._began, self._at = time.perf_counter(), dt.datetime.now(dt.UTC)
        self._token = _node.set(self)

    def _leave(self, error: BaseException | None) -> None:
        _reset(_node, self._token)
        error = _failure(error)
        data = {
            "node_name": self.name,
            "status": "failed" if error else "completed",
            "started_at": self._at,
            "duration_ms": _milliseconds(self._began),
            "state_snapshot": self.state,
            "error_message": _said(error),
        }
        self.run._client.emit("node.executed", self.run.id, data | self._data)  # noqa: SLF001 - its own


class BusinessException:
    """One exception of the business, from its creation on."""

    def __init__(self, id: str, actor: dict[str, Any], client: Client) -> None:  # noqa: A002
        self.id, self._actor, self._client = id, actor, client

    def event(self, verb: _types.ExceptionVerb, /, *, set: dict[str, Any] | None = None, **payload: Any) -> None:  # noqa: A002
        """What happened to it, such as `triage_completed`; `set` are the fields that changed.

        A verb that there is not is logged, and dropped: it does not stop the agent.
        """
        self._event(verb, set, payload)

    def update(self, /, **changes: Any) -> None:
        """Fields of it changed."""
        self._event("updated", changes, None)

    def _event(self, verb: str, changes: dict[str, Any] | None, payload: dict[str, Any] | None) -> None:
        data = {**self._actor, "set": changes or None, "payload": payload or None}
        self._client.emit(f"exception.{text_of(verb)}", self.id, data)


def session(agent: str, *, id: str | None = None, **started: Unpack[_types.SessionStarted]) -> Session:  # noqa: A002
    """A session of an agent, as a context; started are the other fields of `session.started`."""
    return Session(agent, id=id, client=client(), **started)


def run(*, id: str | None = None, **started: Unpack[_types.RunStarted]) -> Run:  # noqa: A002
    """A run, as a context."""
    return Run(id=id, client=client(), **started)


def exception(
    *,
    domain: str,
    type: str,  # noqa: A002 - the field's own name
    severity: Literal["low", "medium", "high", "critical"],
    source_system: str,
    id: str | None = None,  # noqa: A002
    actor_type: Literal["agent", "user", "system"] = "agent",
    actor_id: str | None = None,
    payload: dict[str, Any] | None = None,
    **more: Any,
) -> BusinessException:
    """A business exception came up; more are its other fields, such as entity and amount."""
    made = BusinessException(id or new_id(), {"actor_type": actor_type, "actor_id": actor_id}, client())
    facts = {"domain": domain, "type": type, "severity": severity, "source_system": source_system, **more}
    made._event("created", facts, payload)  # noqa: SLF001 - its own
    return made


def current_session() -> Session | None:
    """The session that this code runs in."""
    return _session.get()


def current_run() -> Run | None:
    """The run that this code runs in."""
    return _run.get()


def _ended(error: BaseException | None) -> str:
    if error is None:
        return "completed"
    return "cancelled" if type(error).__name__ in GIVEN_UP else "failed"


def _reset(variable: ContextVar[T], token: Token[T] | None) -> None:
    """As before; what ends in another context than it began in, or ends twice, changes nothing there."""
    if token:
        with contextlib.suppress(ValueError, RuntimeError):
            variable.reset(token)


def _exit_code(error: BaseException | None) -> int:
    """That of a program which this ends, as Python has it."""
    if not isinstance(error, SystemExit):
        return int(error is not None)
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    return 1


def _failure(error: BaseException | None) -> BaseException | None:
    """None too for the end of a program that went well."""
    return None if isinstance(error, SystemExit) and _exit_code(error) == 0 else error


def _milliseconds(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


def _said(error: BaseException | None) -> str | None:
    return _text(error)[:MAX_ERROR_CHARACTERS] if error else None


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {text_of(error)}"


def _info(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    lines = traceback.format_exception(error)
    return {"type": type(error).__name__, "traceback": "".join(lines)[-MAX_ERROR_CHARACTERS:]}
