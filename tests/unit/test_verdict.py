"""What each database error means: judged by SQLSTATE, never by text (docs/guarantees.md, G4 and G5)."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from contracts.refusal import Reason
from persistence.verdict import Verdict, judge

CANARY = "canary7f3a"


def error_of(sqlstate: str, **fields: str) -> asyncpg.PostgresError:
    """The driver's error of a SQLSTATE, with the record's text wherever the server puts it."""
    letters = {"constraint": "n", "column": "c", "table": "t"}
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(
        {"S": "ERROR", "C": sqlstate, "M": f"bad {CANARY}", "D": f"Failing row contains ({CANARY}).", "H": CANARY}
        | {letters[name]: value for name, value in fields.items()}
    )
    return error


RETRY = [
    "08000", "08003", "08006", "08P01", "25006", "25P03", "25P04", "40001", "40P01", "40002",
    "53000", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P02", "57P03", "57P05", "58030", "0A000",
]  # fmt: skip
REFUSE = ["22001", "22003", "22008", "22021", "22P02", "22P05", "23502", "23505", "23503", "54000", "54001"]
STOP = [
    "28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703", "42601", "XX000", "XX001",
    "25001", "25P01", "25P02", "55000", "55006", "58000", "58P01", "0A001", "0B000", "21000", "P0001", "F0000", "99999",
]  # fmt: skip


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [*((s, Verdict.retry) for s in RETRY), *((s, Verdict.refuse) for s in REFUSE), *((s, Verdict.stop) for s in STOP)],
)
def test_a_sqlstate_has_its_verdict(sqlstate: str, expected: Verdict) -> None:
    """Listed classes are retried or refused; every other SQLSTATE, an unknown one too, stops the worker."""
    judgement = judge(error_of(sqlstate))
    assert (judgement.verdict, judgement.sqlstate) == (expected, sqlstate)


def test_a_missing_partition_is_maintained_a_check_is_refused() -> None:
    """23514 without a constraint's name means that no partition holds the row; with one the row is bad."""
    assert judge(error_of("23514", table="run_event")).verdict is Verdict.maintain
    assert judge(error_of("23514", table="run_event", constraint="c")).verdict is Verdict.refuse


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("22003", Reason.numeric_out_of_range),
        ("22008", Reason.numeric_out_of_range),
        ("22021", Reason.unstorable_text),
        ("22P02", Reason.unstorable_text),
        ("22P05", Reason.unstorable_text),
        ("22001", Reason.constraint_violation),
        ("23502", Reason.constraint_violation),
        ("54000", Reason.constraint_violation),
    ],
)
def test_a_refusal_has_its_reason(sqlstate: str, expected: Reason) -> None:
    """Numbers, texts and all other faults of a row are three reasons."""
    assert judge(error_of(sqlstate)).reason is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.DataError(CANARY), Verdict.refuse),
        (asyncpg.exceptions._base.DataError(CANARY), Verdict.refuse),
        (UnicodeEncodeError("utf-8", CANARY, 0, 1, "surrogates not allowed"), Verdict.refuse),
        (asyncpg.InterfaceError(CANARY), Verdict.retry),
        (asyncpg.InternalClientError(CANARY), Verdict.retry),
        (asyncpg.ConnectionDoesNotExistError(CANARY), Verdict.retry),
        (ConnectionRefusedError(CANARY), Verdict.retry),
        (TimeoutError(CANARY), Verdict.retry),
        (PoolTimeoutError(CANARY), Verdict.retry),
        (ValueError(CANARY), Verdict.defect),
        (KeyError(CANARY), Verdict.defect),
    ],
)
def test_an_error_of_the_client_has_its_verdict(error: Exception, expected: Verdict) -> None:
    """The driver's DataError is a record's fault though it is an InterfaceError too; lines and pools are retried."""
    judgement = judge(error)
    assert judgement.verdict is expected


def test_a_data_error_of_the_server_has_its_sqlstate() -> None:
    """The same class raised for the server's answer is judged by SQLSTATE, the client's own is unstorable_text."""
    server, client = judge(error_of("22003")), judge(asyncpg.DataError(CANARY))
    assert (server.verdict, server.sqlstate, server.reason) == (Verdict.refuse, "22003", Reason.numeric_out_of_range)
    assert (client.verdict, client.sqlstate, client.reason) == (Verdict.refuse, None, Reason.unstorable_text)


def test_sqlalchemy_s_wrapper_is_looked_through() -> None:
    """An error that SQLAlchemy wrapped has the verdict of the driver's."""
    adapted = Exception("adapted")
    adapted.__cause__ = error_of("40P01")
    assert judge(DBAPIError("SELECT", None, adapted)).verdict is Verdict.retry


def test_a_judgement_names_places_not_content() -> None:
    """The message has SQLSTATE, table, constraint and column; never the server's text, detail or hint."""
    judgement = judge(error_of("23502", table="run_event", constraint="k", column="run_id"))
    assert judgement.message == "SQLSTATE 23502 (NotNullViolationError), table run_event, constraint k, column run_id"
    assert judgement.place == "23502/k"
    everything = [error_of("22P02"), asyncpg.DataError(CANARY), asyncpg.InterfaceError(CANARY), ValueError(CANARY)]
    for error in everything:
        assert CANARY not in "".join(str(part) for part in judge(error))
