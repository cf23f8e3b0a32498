"""Every metric, as a typed list: its name, its unit, its labels (docs/metrics.md is generated from it)."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 5, 10, 50, 100, 250, 500, 1000, 2000, 4000, 8000)
VISIBLE = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400)


class Metrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = Counter(
            "siltstone_records",
            "Records settled; outcome: stored, duplicate or refused",
            ["topic", "outcome"],
            registry=self.registry,
        )
        self.dead_letters = Counter(
            "siltstone_dead_letters", "Dead letters acknowledged, by reason", ["reason"], registry=self.registry
        )
        self.retries = Counter(
            "siltstone_retries",
            "Tries of a held batch; kind: SQLSTATE class, connection, pool or kafka",
            ["kind"],
            registry=self.registry,
        )
        self.batch_records = Histogram(
            "siltstone_batch_records", "Records a batch", ["family"], buckets=SIZES, registry=self.registry
        )
        self.stage_seconds = Histogram(
            "siltstone_stage_seconds",
            "Time of a batch in a stage: decode, store, dead_letters or commit",
            ["family", "stage"],
            buckets=DURATIONS,
            registry=self.registry,
        )
        self.visible_seconds = Histogram(
            "siltstone_visible_seconds",
            "From an event's own time to its visible row; one observation a batch, of its newest event",
            ["family"],
            buckets=VISIBLE,
            registry=self.registry,
        )
        self.lag = Gauge(
            "siltstone_lag_records",
            "Records behind the end of a partition: its end less the position",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.holding = Gauge("siltstone_holding", "1 while a batch is held for an outage", registry=self.registry)
        self.letters_unresolved = Gauge(
            "siltstone_letters_unresolved",
            "Dead letters that are dead, redriving or parked, in the whole installation, read every 30 s",
            ["reason"],
            registry=self.registry,
        )
        self.letters_oldest_seconds = Gauge(
            "siltstone_letters_oldest_seconds",
            "Age of the oldest of these, since it was first refused; 0 when there are none",
            registry=self.registry,
        )
        self.lost = Counter(
            "siltstone_lost_records",
            "Records that Kafka's retention removed before they were read",
            ["topic"],
            registry=self.registry,
        )
