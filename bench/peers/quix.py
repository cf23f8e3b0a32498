"""Quix Streams' PostgreSQL sink, run by the Python of `.bench/venv`."""

import os
import tempfile
from urllib.parse import urlsplit

from quixstreams import Application  # type: ignore[import-not-found]
from quixstreams.sinks.community.postgresql import PostgreSQLSink  # type: ignore[import-not-found]

from bench.peers.settings import QUIX, QUIX_SINK


def main() -> None:
    """Drain the topic until a signal ends it."""
    where = urlsplit(os.environ["DATABASE_URL"])
    with tempfile.TemporaryDirectory() as state:
        application = Application(
            broker_address=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            consumer_group=os.environ["KAFKA_GROUP_ID"],
            state_dir=state,
            loglevel="WARNING",
            **QUIX,
        )
        sink = PostgreSQLSink(
            host=where.hostname,
            port=where.port,
            user=where.username,
            password=where.password,
            dbname=where.path.removeprefix("/"),
            table_name="flat",
            **QUIX_SINK,
        )
        topic = application.topic(os.environ["KAFKA_TOPIC"], value_deserializer="json")
        application.dataframe(topic).sink(sink)
        application.run()


if __name__ == "__main__":
    main()
