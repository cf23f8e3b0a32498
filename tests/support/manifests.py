"""deploy/kubernetes as its tests read it: every document of every file, and what a container is given."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from docs.pages.commands import program
from workers.settings import Settings, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
FOREIGN = re.compile(r"keda\.sh/|monitoring\.coreos\.com/")  # kinds that are not Kubernetes' own


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each document of each file, with the file's path below deploy/kubernetes."""
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield str(path.relative_to(KUBERNETES)), document


DOCUMENTS = list(documents())
KUSTOMIZATIONS = {file: d for file, d in DOCUMENTS if file.endswith("kustomization.yaml")}
PATCHES = {
    str(Path(file).parent / patch["path"])
    for file, kustomization in KUSTOMIZATIONS.items()
    for patch in kustomization.get("patches", [])
    if "path" in patch
}
OBJECTS = [(file, d) for file, d in DOCUMENTS if file not in KUSTOMIZATIONS and file not in PATCHES]
CORE = [d for _, d in OBJECTS if not FOREIGN.match(d["apiVersion"])]
LITERALS = KUSTOMIZATIONS["common/kustomization.yaml"]["configMapGenerator"][0]["literals"]
CONFIG: dict[str, str] = dict(literal.split("=", 1) for literal in LITERALS)


def one(kind: str) -> dict[str, Any]:
    """The only object of a kind."""
    [found] = [d for _, d in OBJECTS if d["kind"] == kind]
    return found


def containers_of(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of a pod, those that run first included."""
    return [*pod.get("initContainers", []), *pod["containers"]]


WORKLOADS = {kind: one(kind)["spec"]["template"]["spec"] for kind in ("Deployment", "Job")}
WORKER = WORKLOADS["Deployment"]["containers"][0]
CONTAINERS: dict[str, dict[str, Any]] = {c["name"]: c for pod in WORKLOADS.values() for c in containers_of(pod)}


def variables(container: dict[str, Any]) -> dict[str, str]:
    """The variables that a container is given by value, with those of the ConfigMap."""
    return CONFIG | {v["name"]: v["value"] for v in container.get("env", []) if "value" in v}


def settings(container: dict[str, Any]) -> Settings:
    """What the program reads of them, without its secrets."""
    return load({name: value for name, value in variables(container).items() if not name.endswith("_FILE")})


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command that these words call, and its parameters; raises click's UsageError when there is none."""
    command, path, rest = program(), "siltstone", list(words)
    while hasattr(command, "commands"):
        command, path = command.commands[rest[0]], f"{path} {rest[0]}"
        rest = rest[1:]
    return path, command.make_context(path, rest).params
