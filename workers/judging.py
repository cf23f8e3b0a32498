"""The one place where an error of the database becomes the exception that says what happens next."""

from collections.abc import Iterator
from contextlib import contextmanager

from persistence.verdict import Judgement, Verdict, judge, named_objects
from workers.failure import GivenUp, RetryLater, Stop


class BadRow(Exception):
    """Some record of the batch is refused by the database, or our own code fails on it."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(judgement.message)
        self.judgement = judgement


class PartitionMissing(RetryLater):
    """No partition holds a row: make it, then try again."""


@contextmanager
def judged(what: str, *, rows: bool = False) -> Iterator[None]:
    """Whatever is raised within becomes RetryLater, PartitionMissing or Stop; `what` begins a Stop's one line.

    With `rows`, an error that a record may be to blame for becomes BadRow; else it is a Stop as well.
    """
    try:
        yield
    except (RetryLater, GivenUp, Stop, BadRow):
        raise  # said already
    except Exception as error:
        raise _next_step(judge(error), error, what, rows=rows) from error


def _next_step(judgement: Judgement, error: Exception, what: str, *, rows: bool) -> Exception:
    match judgement.verdict:
        case Verdict.retry:
            return RetryLater(judgement.message, judgement.kind)
        case Verdict.maintain:
            return PartitionMissing(judgement.message, judgement.kind)
        case Verdict.refuse | Verdict.defect if rows:
            return BadRow(judgement)
        case Verdict.refuse | Verdict.defect | Verdict.stop:
            return Stop(f"{what}: {judgement.message}{named_objects(error)}")
