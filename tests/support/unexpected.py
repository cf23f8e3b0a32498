"""A defect in the midst of a command or a worker, with the environment's secrets in the reach of its traceback."""

import os
from typing import Any

from workers import topics
from workers.pipeline import Pipeline


def fail_within(*_: Any, **__: Any) -> Any:
    """Raise, with what must not be shown in a local variable of the very frame that a traceback ends in."""
    secrets = {name: os.environ[name] for name in ("DATABASE_URL", "KAFKA_SASL_PASSWORD")}
    raise LookupError(f"a defect, with {len(secrets)} secrets at hand")


def break_topics() -> None:
    """Comparing topics fails: in a command."""
    topics.wanted = fail_within


def break_settling() -> None:
    """Settling a batch fails: in a worker."""
    Pipeline.settle = fail_within  # type: ignore[method-assign]
