"""The consumer that is written first: one message a call, one upsert in a transaction of its own, then its offset."""

import asyncio
import json
import os
from datetime import datetime
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from pydantic import BaseModel
from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.types import TypeEngine


class Row(BaseModel):
    """A message."""

    tenant_id: str
    id: str
    source: str
    type: str
    session_id: str
    occurred_at: datetime
    agent_name: str
    event_type: str
    pattern: str
    matched_value: str | None
    original_line: str | None
    line_number: int | None
    risk_level: str | None
    auto_confirmable: bool
    metadata: str


TYPES: dict[str, TypeEngine[Any]] = {
    "occurred_at": DateTime(timezone=True),
    "line_number": Integer(),
    "auto_confirmable": Boolean(),
    "metadata": JSONB(),
}
TABLE = Table("flat", MetaData(), *(Column(name, TYPES.get(name, Text())) for name in Row.model_fields))


def main() -> None:
    """Drain the topic until a signal ends it."""
    engine = create_async_engine(os.environ["DATABASE_URL"])
    broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    topic, group = os.environ["KAFKA_TOPIC"], os.environ["KAFKA_GROUP_ID"]

    @broker.subscriber(topic, group_id=group, auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR)
    async def store(row: Row) -> None:
        values = row.model_dump() | {"metadata": json.loads(row.metadata)}
        statement = insert(TABLE).values(values)
        async with engine.begin() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "id"], set_=values))

    asyncio.run(FastStream(broker).run())


if __name__ == "__main__":
    main()
