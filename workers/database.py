"""The engine of this process, as its settings ask for it."""

from persistence.database import Database, PoolLimits
from persistence.roles import WORKER
from workers.settings import Settings


def database(settings: Settings, application: str, role: str | None = WORKER) -> Database:
    """Nothing is connected yet; `role` None is the login's own."""
    pool = PoolLimits(
        size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        timeout_seconds=settings.db_pool_timeout,
        statement_cache_size=settings.db_statement_cache_size,
        echo=settings.db_echo,
    )
    return Database(settings.database_url.get_secret_value(), role, pool=pool, application=application)
