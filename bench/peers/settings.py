"""Every setting of a run that is not a program's default, of all systems, in one place; imports nothing of ours.

The same settings hold for throughput and for latency.
"""

POSTGRES = {
    "shared_buffers": "1GB",  # all rows of a run fit
    "max_wal_size": "8GB",  # no checkpoint for its size falls into a run
    "track_commit_timestamp": "on",  # latency is read from it
    "fsync": "on",  # as in production: a commit is on the disk
}

PARTITIONS = 12  # of every topic, as Siltstone's own have

PEERS_COMPRESSION = "lz4"  # of the peers' topics; Siltstone's producers take zstd

# Siltstone: nothing. A worker has two consumers, and batches as its own defaults say.
SILTSTONE: dict[str, str] = {}

# Java's own defaults: with the flags of Kafka's connect-standalone.sh (2 GB, pauses of 20 ms) a row took more CPU.
JAVA = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)

CONNECT = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "true",  # the sink takes its columns from the schema in each record
    "plugin.discovery": "service_load",  # a faster start; nothing while it runs
    "connector.client.config.override.policy": "All",
}

DEBEZIUM = {
    "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
    "insert.mode": "upsert",  # a redelivery changes nothing
    "primary.key.mode": "record_value",
    "primary.key.fields": "tenant_id,id",
    "schema.evolution": "none",  # the table is there
    "batch.size": "2000",  # rows a statement; 500 otherwise
    "use.reduction.buffer": "true",  # one row of each key in a batch, which the next needs
    "dialect.postgres.unnest.insert.enabled": "true",  # a batch is one statement of arrays
    "consumer.override.max.poll.records": "2000",  # as many as a batch takes; 500 otherwise
    "consumer.override.auto.offset.reset": "earliest",
    # For low latency nothing: a fetch returns at its first byte (fetch.min.bytes=1), and what is polled is written.
}

DEBEZIUM_URL_OPTIONS = "reWriteBatchedInserts=true"  # of the Postgres driver: a batch of inserts is one statement

QUIX = {
    "auto_offset_reset": "earliest",
    "commit_every": 2_000,  # messages a checkpoint, at most: its rows are one INSERT
    "commit_interval": 0.1,  # seconds a checkpoint, at most: rows wait for it; 5 otherwise
}

QUIX_SINK = {
    "primary_key_columns": ["tenant_id", "id"],
    "upsert_on_primary_key": True,  # a redelivery changes nothing
    "schema_auto_update": False,  # the table is there: no DDL while it writes
    "include_metadata": False,  # no columns of its own
}

NAIVE_SHARE = 50  # the naive consumer drains one in so many of the events, from a topic of its own
NAIVE_LATENCY_RATE = 40  # events a second

LATENCY_SHARE = 0.1  # latency is measured at this share of a system's own throughput
LATENCY_MAX_RATE = 2_000  # events a second
LATENCY_ROUNDS = 3
WARM_UP_SECONDS = 10
LATENCY_SECONDS = 20
