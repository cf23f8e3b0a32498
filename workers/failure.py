"""What ends a batch or the process: an error's type says what happens next."""


class Stop(Exception):
    """Every record would fail alike, or going on would lose one: end the process, commit nothing."""


class GivenUp(Exception):
    """The batch is no longer ours, or we are stopping: nothing is committed, whoever owns it next reads it again."""


class NotHandedOver(GivenUp):
    """Records before the batch were never handed over to us: it is given up, and they are read again."""


class RetryLater(Exception):
    """An outage: hold the batch and try again. `kind` is a SQLSTATE class or a word, for the metrics."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
