"""The engine of a DATABASE_URL: asyncpg's, with TLS as libpq's parameters in the URL ask for it."""

from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl")


def engine_of(url: str, *, connect_args: dict[str, Any] | None = None, **options: Any) -> AsyncEngine:
    """An engine; nothing is connected yet. SQLAlchemy knows nothing of `TLS`, so asyncpg gets them in a DSN."""
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    tls = {name: value for name, value in parsed.query.items() if name in TLS}
    arguments = {"dsn": f"postgresql://?{urlencode(tls)}"} if tls else {}
    return create_async_engine(
        parsed.difference_update_query(tls), connect_args=arguments | (connect_args or {}), **options
    )
