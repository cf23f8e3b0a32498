"""Ctrl-C in a command that runs for long."""

import asyncio


def raise_if_cancelled() -> None:
    """Raise the cancellation of this task that a library has swallowed: asyncio.wait_for() of Python 3.11 may."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
