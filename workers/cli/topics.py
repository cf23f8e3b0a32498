"""`siltstone topics`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.registry import PARTITIONS
from workers.cli.environment import settings
from workers.cli.terminal import Exit, Output, fail, print_rows, say

if TYPE_CHECKING:
    from workers.topics import Found


app = typer.Typer(no_args_is_help=True, help="The topics in Kafka.")


def _apply(*, create: bool, partitions: int = PARTITIONS) -> list[Found]:
    from aiokafka.errors import KafkaError

    from workers import topics as wanted
    from workers.kafka_trouble import remedy
    from workers.topics import TopicsRefused

    read = settings()
    try:
        return asyncio.run(wanted.apply(read, create=create, partitions=partitions))
    except TopicsRefused as error:
        fail(f"Kafka does not make these topics:\n{error}", Exit.SOME_FAILED)
    except (KafkaError, OSError) as error:
        servers = read.kafka_bootstrap_servers
        fail(f"Kafka at {servers}: {type(error).__name__}; {asyncio.run(remedy(read))}", Exit.UNAVAILABLE)


def _print(found: list[Found], output: Output) -> None:
    rows = [
        {
            "topic": f.name,
            "partitions": f.partitions,
            "state": "created" if f.made else "present",
            "drift": "; ".join(f.drift),
        }
        for f in found
    ]
    print_rows(rows, ["topic", "partitions", "state", "drift"], output)


@app.command()
def apply(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of topics that are made.")] = PARTITIONS,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Create the topics that are missing, and report those that differ; nothing is changed or deleted."""
    found = _apply(create=True, partitions=partitions)
    _print(found, output)
    if any(f.drift for f in found):
        say("some topics differ from what is wanted; they were left as they are")


@app.command("list")
def list_topics(
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """The topics, and where they differ from what is wanted."""
    found = _apply(create=False)
    if not found:
        fail("none of the topics is there; `siltstone topics apply` creates them", Exit.NOT_FOUND)
    _print(found, output)
