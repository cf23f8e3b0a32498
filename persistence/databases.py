"""Whole databases by name: made for a demonstration, and dropped when nobody uses them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def created(dsn: str, name: str) -> AsyncIterator[None]:
    """Make a database, and hold one connection to it for as long as the block runs: it is then in use."""
    server = await asyncpg.connect(dsn)
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
    finally:
        await server.close()
    holding = await asyncpg.connect(dsn, database=name)
    try:
        yield
    finally:
        await holding.close()


async def drop_unused(dsn: str, prefix: str) -> tuple[list[str], list[str]]:
    """Drop the databases whose names begin with `prefix` and that nobody is connected to; (dropped, left)."""
    server = await asyncpg.connect(dsn)
    dropped: list[str] = []
    left: list[str] = []
    try:
        names = await server.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1", prefix)
        for row in names:
            try:
                await server.execute(f'DROP DATABASE "{row["datname"]}"')
            except asyncpg.ObjectInUseError:
                left.append(row["datname"])
            else:
                dropped.append(row["datname"])
    finally:
        await server.close()
    return dropped, left
