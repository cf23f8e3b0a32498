"""deploy/kubernetes against the program: its settings, commands, port, paths, groups and measured needs."""

import csv
import re
from pathlib import Path
from typing import Any

import yaml
from faststream.kafka import KafkaRouter

from contracts.event_type import Family
from contracts.registry import PARTITIONS
from tests.docs.test_containers import seconds
from tests.support.manifests import (
    CONFIG,
    CONTAINERS,
    DEPLOY,
    KUBERNETES,
    KUSTOMIZATIONS,
    ROOT,
    WORKER,
    WORKLOADS,
    one,
    parsed,
    settings,
    variables,
)
from workers import kafka
from workers.assignment import Assignment
from workers.health import Health
from workers.hold import Hold
from workers.http import HttpServer
from workers.metrics import Metrics
from workers.settings import load, variable_names
from workers.subscriber import subscribe

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["worker"]
VARIABLE = re.compile(r"\b(?:(?:SILTSTONE|KAFKA|DB)_[A-Z][A-Z_]*|DATABASE_URL(?:_FILE)?)\b")
MIB = {"Mi": 1, "Gi": 1024}


def test_every_variable_is_a_setting() -> None:
    """Each variable of ours that any file of deploy/ names is one that the settings read."""
    named = {
        f"{path.relative_to(ROOT)}: {variable}"
        for path in DEPLOY.rglob("*.*")
        for variable in VARIABLE.findall(path.read_text(encoding="utf-8"))
        if variable not in variable_names()
    }
    assert named == set()
    given = {name for container in CONTAINERS.values() for name in variables(container)}
    assert given - variable_names() == set()


def test_the_settings_are_accepted(tmp_path: Path) -> None:
    """The program takes the values, and with a login for Kafka as the component gives it."""
    assert settings(WORKER).kafka_group_id == CONFIG["KAFKA_GROUP_ID"]
    component = KUSTOMIZATIONS["components/kafka-sasl/kustomization.yaml"]["configMapGenerator"][0]
    assert component["behavior"] == "merge"
    given = dict(literal.split("=", 1) for literal in component["literals"])
    secret = tmp_path / "password"
    secret.write_text("word\n", encoding="utf-8")
    del given["KAFKA_SSL_CA_LOCATION"]
    patched = {"KAFKA_SASL_USERNAME": "name", "KAFKA_SASL_PASSWORD_FILE": str(secret)}
    assert load(variables(WORKER) | {"DATABASE_URL_FILE": ""} | given | patched).kafka_security_protocol == "SASL_SSL"


def paths() -> set[str]:
    """Every path that a worker answers."""
    metrics = Metrics()
    server = HttpServer(Health([], metrics), metrics, 0)
    assert server._runner.app is not None
    return {resource.canonical for resource in server._runner.app.router.resources()}


def test_probes_and_scrapes_ask_what_a_worker_answers() -> None:
    """Paths are the application's, and the port is the setting's, for probes, scrapes and the network policy."""
    probes = {name: WORKER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    endpoint = one("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert {*(probe["path"] for probe in probes.values()), endpoint["path"]} == paths()
    assert [probes[name]["path"].split("/")[-1] for name in probes] == ["live", "live", "ready"]
    [port] = WORKER["ports"]
    assert port["containerPort"] == settings(WORKER).http_port
    assert {endpoint["port"], *(probe["port"] for probe in probes.values())} == {port["name"]}
    ingress = one("NetworkPolicy")["spec"]["ingress"]
    assert [rule["port"] for entry in ingress for rule in entry["ports"]] == [port["containerPort"]]


def test_probes_have_the_times_of_the_image() -> None:
    """Start-up and liveness wait as long as the image's own probe, and a scrape ends before the next."""
    health = COMPOSE["healthcheck"]
    startup, liveness = WORKER["startupProbe"], WORKER["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == seconds(health["start_period"])
    assert liveness["periodSeconds"] == seconds(health["interval"])
    assert liveness["timeoutSeconds"] == seconds(health["timeout"])
    assert liveness["failureThreshold"] == health["retries"]
    endpoint = one("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert seconds(endpoint["scrapeTimeout"]) < seconds(endpoint["interval"])


def test_a_worker_has_time_to_stop() -> None:
    """The drain and the consumers' leaving take up to the shutdown timeout each: a kill comes after both."""
    grace = WORKLOADS["Deployment"]["terminationGracePeriodSeconds"]
    assert grace > 2 * settings(WORKER).shutdown_timeout_seconds
    assert grace == seconds(COMPOSE["stop_grace_period"])
    scale_down = one("ScaledObject")["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert scale_down["policies"][0]["periodSeconds"] > grace


def test_every_command_is_the_programs() -> None:
    """The arguments of each container call a command, with options that it has; the image's entry point stays."""
    called = {name: parsed(container["args"]) for name, container in CONTAINERS.items()}
    assert {name: path for name, (path, _) in called.items()} == {
        "worker": "siltstone worker",
        "db-upgrade": "siltstone db upgrade",
        "topics-apply": "siltstone topics apply",
    }
    assert called["topics-apply"][1]["partitions"] == PARTITIONS
    assert [name for name, container in CONTAINERS.items() if "command" in container] == []


def test_the_memory_is_above_what_was_measured() -> None:
    """The request is above the highest peak of a worker in the published run, the limit above the request."""
    with (ROOT / "bench" / "results_growth.csv").open(encoding="utf-8") as file:
        peaks = [float(r["peak_mb"]) for r in csv.DictReader(file) if r["what"].startswith("memory")]
    sizes = {kind: WORKER["resources"][kind]["memory"] for kind in ("requests", "limits")}
    mib = {kind: int(size[:-2]) * MIB[size[-2:]] for kind, size in sizes.items()}
    assert max(peaks) * 1e6 < mib["requests"] * 2**20
    assert mib["limits"] == 2 * mib["requests"]


def test_size_and_scale_follow_what_was_measured() -> None:
    """The CPU that is asked for, the lag of a worker and the connections are what README and performance.md give."""
    readme, performance, page = (
        (ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "docs/performance.md", "docs/deployment.md")
    )
    ((rows, cpu),) = re.findall(
        r"^\| Siltstone, one worker process \| ([\d,]+) \|[^|]+\| (\d+) \+", readme, re.MULTILINE
    )
    assert WORKER["resources"]["requests"]["cpu"] == "500m"
    assert "500m is 10,000 events a second of 50 µs" in page
    assert int(cpu) <= 50
    (threshold,) = {int(t["metadata"]["lagThreshold"]) for t in scaling()["triggers"]}
    assert f"for each {threshold:,} records behind, which one settles in less than 10 s" in page
    assert threshold / int(rows.replace(",", "")) < 10
    workers = dict(re.findall(r"^\| ([\d,]+) \| (\d+)(?:,[^|]+)? \| \d+ \|", performance, re.MULTILINE))
    assert f"{workers['10,000']} workers for up to 10,000 events" in page
    assert f"{workers['100,000']} for 100,000." in page
    most = load({}).db_pool_size + load({}).db_max_overflow
    assert f"a worker opens at most {most} (" in page
    assert f"a worker opens at most {most}; " in performance
    assert f"60 workers need `max_connections` above {60 * most}" in performance


def test_the_network_policy_lets_out_what_is_needed() -> None:
    """Out go names, the port of the brokers and that of the database, and nothing else."""
    egress = one("NetworkPolicy")["spec"]["egress"]
    ports = {rule["port"] for entry in egress for rule in entry["ports"]}
    brokers = {int(server.rpartition(":")[2]) for server in CONFIG["KAFKA_BOOTSTRAP_SERVERS"].split(",")}
    example = (KUBERNETES / "secret.example.yaml").read_text(encoding="utf-8")
    databases = {int(port) for port in re.findall(r"HOST:(\d+)/", example)}
    assert ports == {53} | brokers | databases


def scaling() -> dict[str, Any]:
    """The ScaledObject."""
    found: dict[str, Any] = one("ScaledObject")["spec"]
    return found


def test_lag_is_read_of_the_groups_and_topics_that_workers_use() -> None:
    """A trigger for each family: its group and its topic, from the brokers that workers are given."""
    read = settings(WORKER)
    triggers = {t["name"]: t["metadata"] for t in scaling()["triggers"]}
    assert {t["type"] for t in scaling()["triggers"]} == {"kafka"}
    expected = {f.value: (kafka.group_of(read, f), kafka.topics(read)[f]) for f in Family}
    assert {name: (t["consumerGroup"], t["topic"]) for name, t in triggers.items()} == expected
    assert {t["bootstrapServersFromEnv"] for t in triggers.values()} <= set(variables(WORKER))
    assert scaling()["scaleTargetRef"]["name"] == one("Deployment")["metadata"]["name"]


def test_lag_is_read_as_workers_begin() -> None:
    """A group without offsets is behind by as much as its workers will read; every value is a text, as KEDA wants."""
    hold = Assignment(Hold(Metrics()), 1.0)

    async def settle(_: Any) -> None:
        """Nothing."""

    made = subscribe(
        KafkaRouter(),
        ["t"],
        "g",
        hold,
        settle,
        lambda _: None,
        rebalance_timeout_seconds=1.0,
        max_records=1,
        max_bytes=1024,
        wait_ms=1,
        instance_id=None,
    )
    begins = made._connection_args["auto_offset_reset"]
    for metadata in (t["metadata"] for t in scaling()["triggers"]):
        assert metadata["offsetResetPolicy"] == begins
        assert (metadata["excludePersistentLag"], metadata["limitToPartitionsWithLag"]) == ("true", "true")
        assert [key for key, value in metadata.items() if not isinstance(value, str)] == []


def test_no_worker_is_without_partitions() -> None:
    """The most workers have no more consumers of a family than a topic has partitions."""
    consumers = parsed(WORKER["args"])[1]["consumers"]
    most, least = scaling()["maxReplicaCount"], scaling()["minReplicaCount"]
    assert most * consumers <= PARTITIONS < (most + 1) * consumers
    assert least <= scaling()["fallback"]["replicas"] <= most
    patch = KUSTOMIZATIONS["components/keda/kustomization.yaml"]["patches"][0]["patch"]
    assert yaml.safe_load(patch) == [{"op": "remove", "path": "/spec/replicas"}]
