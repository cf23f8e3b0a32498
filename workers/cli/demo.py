"""`siltstone demo`."""

from typing import Annotated

import typer


def demo(
    remove: Annotated[bool, typer.Option("--clean", help="Only remove what former demos left.")] = False,  # noqa: FBT002
) -> None:
    """Everything in one go, explained as it runs: a local stack, two workers, bad events, a SIGKILL, the counts.

    It has a database and topics of its own, and ignores KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL unless
    SILTSTONE_USE_EXTERNAL=1.
    """
    from workers.demo.command import show

    show(remove=remove)
