"""The Dockerfile and .dockerignore, read as text: no engine is asked, so nothing here is built. The probe is run."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from workers.settings import variable_names

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def dockerfile() -> list[tuple[str, str]]:
    """Its instructions in order, as (NAME, rest), with continued lines joined and comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)]


def rest_of(name: str) -> list[str]:
    """What follows each instruction of that name."""
    return [rest for instruction, rest in dockerfile() if instruction == name]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Each stage's instructions after those of the stage that it starts from; the last, without a name, is `worker`."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for name, rest in dockerfile():
        if name == "FROM":
            base, _, own = rest.partition(" AS ")
            current = found[own or "worker"] = list(found.get(base, []))
        else:
            current.append((name, rest))
    return found


IMAGES = ("producers", "worker")


def locked(file: str) -> set[str]:
    """Every name==version of a lock."""
    return set(re.findall(r"^[\w.-]+==[\w.]+", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("image", IMAGES)
def test_variables_of_the_image_are_settings(image: str) -> None:
    """What the Dockerfile sets for the program is a setting too; the others are the interpreter's."""
    names = {pair.split("=")[0] for name, rest in stages()[image] if name == "ENV" for pair in rest.split()}
    assert names - variable_names() == {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def test_the_dockerfile_starts_from_a_pinned_image() -> None:
    """Every stage starts from another, or from one version of Python, by tag, that the project supports."""
    bases = {rest.split()[0] for rest in rest_of("FROM")}
    assert bases - set(stages()) == {"python:3.11-slim-bookworm"}
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert list(stages())[-1] == "worker"


@pytest.mark.parametrize("image", IMAGES)
def test_the_image_runs_as_nobody_in_particular(image: str) -> None:
    """The last USER is a number that is not root's, so that a cluster can check it."""
    assert [rest for name, rest in stages()[image] if name == "USER"] == ["10001:10001"]


@pytest.mark.parametrize(("image", "command"), [("worker", ["worker"]), ("producers", ["--help"])])
def test_the_image_starts_the_program_itself(image: str, command: list[str]) -> None:
    """ENTRYPOINT and CMD are in exec form, once each: a signal reaches the program and no shell."""
    started = [(name, json.loads(rest)) for name, rest in stages()[image] if name in ("ENTRYPOINT", "CMD")]
    assert started == [("ENTRYPOINT", ["siltstone"]), ("CMD", command)]
    assert [rest for name, rest in stages()[image] if name == "STOPSIGNAL"] == ["SIGTERM"]
    assert [rest for name, rest in stages()[image] if name == "EXPOSE"] == ["8080"] * (image == "worker")


def test_what_is_built_comes_from_the_checkout_and_the_locks() -> None:
    """COPY alone brings files in; pip installs what a lock hashes or the wheel just built, and keeps no cache."""
    names = {name for name, _ in dockerfile()}
    assert names & {"ADD", "ARG", "SHELL", "ONBUILD", "VOLUME", "MAINTAINER"} == set()
    commands = [part.strip() for rest in rest_of("RUN") for part in rest.split("&&")]
    assert [c for c in commands if re.search(r"\b(apt|apt-get|curl|wget|sudo)\b", c)] == []
    pips = [c for c in commands if c.startswith("pip ")]
    assert len(pips) == 5
    assert [c for c in pips if "--no-cache-dir" not in c.split()] == []
    offline = {"--no-deps", "--no-index"}, {"--no-deps", "--no-build-isolation"}
    bound = {"--require-hashes", "--only-binary", "-r"}, *offline
    assert [c for c in pips if not any(options <= set(c.split()) for options in bound)] == []
    read = {w for c in pips for w in c.split() if w.endswith((".lock", ".txt"))}
    assert read == {"requirements-build.lock", "requirements-producers.lock", "requirements-runtime.lock"}


def test_no_secret_is_baked_in() -> None:
    """No variable of the image is named like a secret."""
    assert [rest for rest in rest_of("ENV") if re.search("PASSWORD|SECRET|TOKEN|DATABASE_URL|KEY", rest)] == []


def test_the_build_sees_what_it_copies_and_no_more() -> None:
    """.dockerignore refuses everything, then lets in exactly the sources of COPY, all of which exist."""
    copied = {source for rest in rest_of("COPY") if not rest.startswith("--from=build") for source in rest.split()[:-1]}
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert {rule for rule in rules[1:] if not rule.startswith("!")} == {"**/__pycache__"}
    packaged = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*packaged["packages"], *packaged["force-include"]} <= copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_locks_of_the_image_agree_with_the_one_that_is_tested() -> None:
    """Each version in the image's locks is the tested lock's; no test tool or part of the local stack is in it."""
    runtime, build, more, tested = (
        locked(f"requirements{kind}.lock") for kind in ("-runtime", "-build", "-producers", "")
    )
    assert (runtime | build | more) - tested == set()
    assert runtime - more == set()
    extras = {name: named(some) for name, some in PROJECT["project"]["optional-dependencies"].items()}
    producers = extras.pop("producers")
    assert named(PROJECT["project"]["dependencies"]) - names_of(runtime) == set()
    assert names_of(runtime) & (producers | set().union(*extras.values())) == set()
    assert producers - names_of(more) == set()
    assert names_of(more) & (set().union(*extras.values()) - producers) == set()


def named(requirements: list[str]) -> set[str]:
    """The distributions that requirements name."""
    return {found[0] for one in requirements if (found := re.match(r"[\w-]+", one))}


def names_of(pins: set[str]) -> set[str]:
    """The distributions of a lock."""
    return {pin.split("==")[0] for pin in pins}


def probe() -> list[str]:
    """The image's HEALTHCHECK, as a list."""
    command: list[str] = json.loads(rest_of("HEALTHCHECK")[0].partition(" CMD ")[2])
    return command


def test_compose_probes_as_the_image_does() -> None:
    """The worker's probe in docker-compose.yml is the image's, with the same times."""
    health = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["worker"][
        "healthcheck"
    ]
    assert health["test"] == ["CMD", *probe()]
    options = dict(re.findall(r"--([a-z-]+)=(\w+)", rest_of("HEALTHCHECK")[0].partition(" CMD ")[0]))
    assert {k.replace("-", "_"): v for k, v in options.items()} == {k: str(v) for k, v in health.items() if k != "test"}


class Answers(BaseHTTPRequestHandler):
    """/health/live says what the server holds; every other path is not found."""

    def do_GET(self) -> None:
        assert isinstance(self.server, LiveServer)
        self.send_response(self.server.status if self.path == "/health/live" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class LiveServer(HTTPServer):
    """A worker's health endpoint."""

    status = 200


@pytest.fixture
def live() -> Iterator[LiveServer]:
    """A server on a free port."""
    with LiveServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run_probe(port: int) -> int:
    """The exit code of the probe, with a proxy in the environment that answers nobody."""
    environment = os.environ | {"SILTSTONE_HTTP_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, *probe()[1:]]
    return subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False).returncode


def test_the_probe_tells_alive_from_dead(live: LiveServer) -> None:
    """The probe ends with 0 for an answer of 200, else with 1: for 503, and where nobody listens."""
    assert probe()[0] == "python"
    assert run_probe(live.server_port) == 0
    live.status = 503
    assert run_probe(live.server_port) == 1
    assert run_probe(9) == 1
