"""Dead letters in the index without a worker."""

from collections.abc import Sequence

import asyncpg

from persistence.letters import Letter, index
from tests.support.installation import Installation


async def put(installation: Installation, letters: Sequence[Letter]) -> None:
    """Write letters into the index, as a worker does."""
    connection = await asyncpg.connect(installation.dsn)
    try:
        await index(connection, letters, 3)
    finally:
        await connection.close()
