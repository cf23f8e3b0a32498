"""Which Postgres type holds which kind of field, and the names that every constraint gets."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Integer, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

NAMING_CONVENTION = {
    "pk": "%(table_name)s_pkey",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
}

metadata = MetaData(naming_convention=NAMING_CONVENTION)

TYPES: Mapping[str, TypeEngine[Any]] = {
    "text": Text(),
    "boolean": Boolean(),
    "integer": Integer(),
    "bigint": BigInteger(),
    "numeric": Numeric(),
    "timestamptz": DateTime(timezone=True),
    "json": JSONB(),
    "object": JSONB(),
}

SQL_NAMES: Mapping[str, str] = {"json": "jsonb", "object": "jsonb"}
"""The kind's name in SQL, where it differs from the kind's own."""


def sql_name(kind: str) -> str:
    """How SQL names the type of a kind of field."""
    return SQL_NAMES.get(kind, kind)
