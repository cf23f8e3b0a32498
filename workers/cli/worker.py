"""`siltstone worker`."""

import asyncio
from typing import Annotated

import typer

from contracts.event_type import Family
from workers.cli.environment import settings
from workers.cli.terminal import Exit, fail


def worker(
    family: Annotated[
        list[Family] | None, typer.Option(help="A family to settle; may be given more than once. All by default.")
    ] = None,
    consumers: Annotated[int, typer.Option(min=1, max=16, help="Consumers for each family.")] = 2,
) -> None:
    """Run a worker: settle events from Kafka into Postgres, until SIGTERM."""
    from workers import logs

    read = settings()
    logs.configure(read.log_format)
    families = list(dict.fromkeys(family or list(Family)))

    from workers.app import Worker

    async def run() -> str | None:
        return await Worker(read, families, consumers).run()

    if because := asyncio.run(run()):
        fail(f"stopped: {because}", Exit.UNEXPECTED)
