"""What a database error means for a batch: retry, refuse the record, or stop. Judged by SQLSTATE, never by text."""

import asyncio
import ssl
from enum import Enum
from typing import NamedTuple

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from contracts.refusal import Reason
from persistence.database import MigratedAway

DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DBAPIError,
    PoolTimeoutError,
    OSError,
)
"""What Postgres, its driver, the pool and the network raise."""


class Verdict(Enum):
    """What happens next."""

    retry = "retry"  # hold the batch, back off, try it again
    refuse = "refuse"  # a record in it is bad, and will be on every try
    maintain = "maintain"  # a partition is missing: make it, then retry
    stop = "stop"  # every record would fail alike: end the process
    defect = "defect"  # not the database's error at all: our own


class Judgement(NamedTuple):
    """A verdict, and what may be said of its error: never a row's text."""

    verdict: Verdict
    sqlstate: str | None
    reason: Reason
    message: str
    place: str  # SQLSTATE and constraint or column: equal places are equal faults

    @property
    def kind(self) -> str:
        """The label of a retry: the SQLSTATE class, else `connection` or `pool`."""
        return self.sqlstate[:2] if self.sqlstate else self.place


# SQLSTATE classes and codes: PostgreSQL, appendix A. A longer prefix wins over a shorter one.
VERDICTS: dict[str, Verdict] = {
    "08": Verdict.retry,  # connection
    "0A000": Verdict.retry,  # cached plan must not change result type: a migration went by
    "22": Verdict.refuse,  # data
    "23": Verdict.refuse,  # constraints
    "25006": Verdict.retry,  # read-only: a failover
    "25P03": Verdict.retry,  # idle_in_transaction_session_timeout
    "25P04": Verdict.retry,  # transaction_timeout
    "40": Verdict.retry,  # deadlock, serialization
    "53": Verdict.retry,  # disk, memory, connections
    "54": Verdict.refuse,  # an indexed text too large
    "55P03": Verdict.retry,  # lock_timeout
    "57": Verdict.retry,  # shutting down, cancelled
    "58030": Verdict.retry,  # input or output error
}

_REMEDIES = {
    "28": "correct the login in DATABASE_URL",
    "3D": "create it, or correct DATABASE_URL",
    "3F": "is it migrated? `siltstone db status` tells",
    "42": "is it migrated? `siltstone db status` tells",
    "42501": (
        "is it migrated? `siltstone db status` tells; if so, grant the login the role that it takes, to migrate "
        "WITH ADMIN OPTION"
    ),
}
_OUT_OF_RANGE = frozenset({"22003", "22008"})
_TEXT = frozenset({"22021", "22P02", "22P05", "22P03"})
_CHECK_VIOLATION = "23514"


def judge(error: BaseException) -> Judgement:
    """The verdict on an error raised while storing."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else error
    match cause:
        case asyncpg.DataError() | ValueError() if _is_the_clients(cause):
            # asyncpg could not encode an argument: the same on every try. Its class is one of PostgresError or of
            # InterfaceError, by version, so it is tested before either.
            return Judgement(Verdict.refuse, None, Reason.unstorable_text, _place("a value", cause), "DataError")
        case asyncpg.PostgresError():
            return _judge_state(cause)
        case UnicodeEncodeError():
            return Judgement(
                Verdict.refuse, None, Reason.unstorable_text, _place("a text", cause), "UnicodeEncodeError"
            )
        case _:
            return _judge_connection(cause)


def _judge_connection(cause: BaseException | None) -> Judgement:
    """What no SQLSTATE tells: the line to Postgres, the pool, a migration; else our own code."""
    match cause:
        case asyncpg.ClientConfigurationError() | ssl.SSLCertVerificationError():
            said = getattr(cause, "verify_message", type(cause).__name__)
            message = f"no safe connection ({said}): check sslmode and sslrootcert in DATABASE_URL, and its host"
            return Judgement(Verdict.stop, None, Reason.unexpected, message, "TLS")
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | OSError() | asyncio.TimeoutError():
            return Judgement(Verdict.retry, None, Reason.unexpected, _place("the connection", cause), "connection")
        case MigratedAway():
            return Judgement(Verdict.retry, None, Reason.unexpected, str(cause), "migration")
        case PoolTimeoutError():
            return Judgement(Verdict.retry, None, Reason.unexpected, "no connection came free in the pool", "pool")
        case _:
            return Judgement(Verdict.defect, None, Reason.unexpected, _place("our code", cause), type(cause).__name__)


def _is_the_clients(error: BaseException) -> bool:
    """Whether asyncpg's DataError was raised before anything was sent: the server's has a severity."""
    if isinstance(error, asyncpg.PostgresError):
        return getattr(error, "severity", None) is None
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, asyncpg.ClientConfigurationError)


def named_objects(error: BaseException) -> str:
    """What the driver says of an error that names objects of the database, with what to do; else nothing.

    Errors of these classes never quote a row's values.
    """
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None) or ""
    remedy = _REMEDIES.get(state) or _REMEDIES.get(state[:2])
    return f": {cause}; {remedy}" if remedy else ""


def _judge_state(error: asyncpg.PostgresError) -> Judgement:
    state = error.sqlstate or "?????"
    verdict = next((VERDICTS[state[:n]] for n in (5, 2) if state[:n] in VERDICTS), Verdict.stop)
    constraint = getattr(error, "constraint_name", None)
    column = getattr(error, "column_name", None)
    table = getattr(error, "table_name", None)
    if state == _CHECK_VIOLATION and not constraint:
        verdict = Verdict.maintain  # no partition holds the row's event_uid
    where = "".join(
        f", {name} {value}"
        for name, value in (("table", table), ("constraint", constraint), ("column", column))
        if value
    )
    message = f"SQLSTATE {state} ({type(error).__name__}){where}"
    return Judgement(verdict, state, _reason(state), message, f"{state}/{constraint or column or ''}")


def _reason(state: str) -> Reason:
    if state in _OUT_OF_RANGE:
        return Reason.numeric_out_of_range
    if state in _TEXT:
        return Reason.unstorable_text
    return Reason.constraint_violation


def _place(what: str, error: BaseException | None) -> str:
    """The error's type and the line of code it came from; never its text, which may quote the row."""
    name = type(error).__name__
    trace = error.__traceback__ if error is not None else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return f"{name} for {what}"
    code = trace.tb_frame.f_code
    return f"{name} for {what}, in {code.co_qualname} at line {trace.tb_lineno}"
