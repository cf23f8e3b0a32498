"""How migrations run: as siltstone_owner, one at a time, each in a transaction, waiting for no lock for long."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from persistence.columns import metadata
from persistence.engine import engine_of
from persistence.migrate import ADVISORY_LOCK, BECOME_OWNER, run_script

import persistence.tables  # noqa: F401, isort: skip - fills `metadata`


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Partitions are the database's own affair: they are made by siltstone_maintain, not by a model."""
    return kind != "table" or (name or "") in metadata.tables


def migrate(connection: Connection) -> None:
    """Migrate within a session that holds the advisory lock: a second `db upgrade` waits for the first."""
    # The lock comes first: two that grant at once fail, and later statements wait no longer than lock_timeout.
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
    run_script(connection, BECOME_OWNER)
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_url(url: str) -> None:
    engine = engine_of(url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(migrate_url(context.config.get_main_option("sqlalchemy.url", "")))
