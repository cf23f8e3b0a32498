"""deploy/kubernetes, read as text and checked against Kubernetes' own schemas: no cluster is asked."""

import base64
import binascii
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import (
    CONTAINERS,
    CORE,
    DEPLOY,
    DOCUMENTS,
    FOREIGN,
    KUBERNETES,
    KUSTOMIZATIONS,
    OBJECTS,
    PATCHES,
    ROOT,
    WORKLOADS,
    containers_of,
    one,
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OLDEST, NEWEST = "1.31", "1.37"  # what docs/deployment.md promises, and the newest that the schemas know
BY_HAND = {"namespace.yaml", "secret.example.yaml"}  # in no kustomization
BUILDERS = [command for command in (["kustomize", "build"], ["kubectl", "kustomize"]) if shutil.which(command[0])]


def test_every_document_is_an_object() -> None:
    """Each document has a version and a kind, and each but a kustomization a name."""
    nameless = [f for f, d in DOCUMENTS if f not in KUSTOMIZATIONS and not d.get("metadata", {}).get("name")]
    assert [f for f, d in DOCUMENTS if not (d.get("apiVersion") and d.get("kind"))] == []
    assert nameless == []


def test_every_file_is_named_by_a_kustomization() -> None:
    """A file is a resource or a patch of one kustomization, which all exist, or is one of two applied by hand."""
    named = set(PATCHES)
    for file, kustomization in KUSTOMIZATIONS.items():
        for resource in kustomization.get("resources", []):
            path = (KUBERNETES / file).parent / resource
            path = path / "kustomization.yaml" if path.is_dir() else path
            named.add(str(path.resolve().relative_to(KUBERNETES)))
    files = {file for file, _ in DOCUMENTS}
    applied = {f for f in KUSTOMIZATIONS if f.split("/")[0] in ("migrate", "worker", "components")}
    assert files - named - applied == BY_HAND
    assert named - files == set()


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("document", CORE, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
def test_an_object_is_what_kubernetes_takes(document: dict[str, Any], version: str) -> None:
    """Each object of Kubernetes' own kinds has its schema's fields and no other, in the oldest and newest version."""
    assert kubernetes_validate.validate(document, version, strict=True) == version


def test_selectors_meet_the_pods() -> None:
    """What selects workers selects the Deployment's pods and not the Job's; the network policy selects both."""
    labels = {kind: one(kind)["spec"]["template"]["metadata"]["labels"].items() for kind in WORKLOADS}
    spread = [c["labelSelector"] for c in WORKLOADS["Deployment"]["topologySpreadConstraints"]]
    selectors = [one(kind)["spec"]["selector"] for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor")]
    for selector in [*selectors, *spread]:
        assert selector["matchLabels"].items() <= labels["Deployment"]
        assert not selector["matchLabels"].items() <= labels["Job"]
    policy = one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert [kind for kind in labels if not policy <= labels[kind]] == []


@pytest.mark.parametrize("name", CONTAINERS)
def test_an_image_is_this_projects_version(name: str) -> None:
    """The tag is the version in pyproject.toml."""
    assert CONTAINERS[name]["image"] == f"siltstone:{PROJECT['project']['version']}"


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_pod_has_nothing_to_spare(kind: str) -> None:
    """No token, no root, no capability, and nothing to write to but /tmp."""
    pod = WORKLOADS[kind]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert user
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user[1]),
        "runAsGroup": int(user[2]),
        "fsGroup": int(user[2]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert [pod[key] for key in ("automountServiceAccountToken", "enableServiceLinks")] == [False, False]
    assert one("ServiceAccount")["automountServiceAccountToken"] is False
    assert {"hostNetwork", "hostPID", "hostIPC"} & set(pod) == set()
    for container in containers_of(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable == {"/tmp"}  # noqa: S108
    assert {key for volume in pod["volumes"] for key in volume} == {"name", "secret", "emptyDir"}


def secret_of(container: str, kind: str) -> dict[str, str]:
    """Each variable of a container that names a mounted secret's file, and that secret."""
    volumes = {v["name"]: v["secret"]["secretName"] for v in WORKLOADS[kind]["volumes"] if "secret" in v}
    mounts = {m["mountPath"]: volumes.get(m["name"]) for m in CONTAINERS[container]["volumeMounts"]}
    files = {v["name"]: v["value"] for v in CONTAINERS[container].get("env", []) if v["name"].endswith("_FILE")}
    return {name: f"{mounts[str(Path(file).parent)]}/{Path(file).name}" for name, file in files.items()}


def test_only_the_migration_has_the_owners_login() -> None:
    """Workers mount their own secret, the migration the owner's, and the command that makes topics none."""
    assert secret_of("worker", "Deployment") == {"DATABASE_URL_FILE": "siltstone-worker/database_url"}
    owner = {"SILTSTONE_MIGRATION_DATABASE_URL_FILE": "siltstone-owner/database_url"}
    assert secret_of("db-upgrade", "Job") == owner
    assert secret_of("topics-apply", "Job") == {}
    assert {m["name"] for m in CONTAINERS["topics-apply"]["volumeMounts"]} == {"tmp"}


def test_the_example_of_the_secrets_cannot_be_applied() -> None:
    """It names every secret and key that is mounted, and none of its values is the base64 that a server takes."""
    examples = {d["metadata"]["name"]: d["data"] for f, d in OBJECTS if f == "secret.example.yaml"}
    assert {f"{name}/{key}" for name, data in examples.items() for key in data} == {
        *secret_of("worker", "Deployment").values(),
        *secret_of("db-upgrade", "Job").values(),
    }
    for value in (value for data in examples.values() for value in data.values()):
        with pytest.raises(binascii.Error):
            base64.b64decode(value, validate=True)
    assert [d["kind"] for f, d in OBJECTS if d["kind"] == "Secret" and f != "secret.example.yaml"] == []


def test_patches_name_containers_that_there_are() -> None:
    """A patch is of all containers of a workload, and mounts its secret where the component's settings look for it."""
    literals = KUSTOMIZATIONS["components/kafka-sasl/kustomization.yaml"]["configMapGenerator"][0]["literals"]
    folders = {str(Path(value).parent) for value in (text.partition("=")[2] for text in literals) if "/" in value}
    for file in PATCHES:
        [patch] = [d for f, d in DOCUMENTS if f == file]
        assert patch["metadata"]["name"] == one(patch["kind"])["metadata"]["name"]
        pod = patch["spec"]["template"]["spec"]
        base = WORKLOADS[patch["kind"]]
        assert [c["name"] for c in containers_of(pod)] == [c["name"] for c in containers_of(base)]
        [volume] = pod["volumes"]
        for container in containers_of(pod):
            [mount] = container["volumeMounts"]
            assert ({mount["mountPath"]}, mount["name"]) == (folders, volume["name"])
            assert [v["valueFrom"]["secretKeyRef"]["name"] for v in container["env"]] == [
                volume["secret"]["secretName"]
            ]


@pytest.mark.skipif(not BUILDERS, reason="neither kustomize nor kubectl is on PATH: nothing is built with kustomize")
def test_kustomize_builds_everything_if_it_is_installed(tmp_path: Path) -> None:
    """Workers with every component, and the migration with a login for Kafka, build to objects that are valid."""
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    for name, components in {"worker": ["keda", "kafka-sasl", "pod-monitor"], "migrate": ["kafka-sasl"]}.items():
        overlay = tmp_path / name
        overlay.mkdir()
        listed = [f"../kubernetes/components/{component}" for component in components]
        text = yaml.safe_dump({"resources": [f"../kubernetes/{name}"], "components": listed, "namespace": "siltstone"})
        (overlay / "kustomization.yaml").write_text(text, encoding="utf-8")
        built = subprocess.run([*BUILDERS[0], str(overlay)], capture_output=True, text=True, check=True, timeout=60)
        objects = list(yaml.safe_load_all(built.stdout))
        [config] = [o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap"]
        [pod] = [o["spec"]["template"]["spec"] for o in objects if o["kind"] in WORKLOADS]
        for container in containers_of(pod):
            assert container["envFrom"] == [{"configMapRef": {"name": config}}]
            assert {m["name"] for m in container["volumeMounts"]} <= {v["name"] for v in pod["volumes"]}
            assert "/run/secrets/siltstone-kafka" in {m["mountPath"] for m in container["volumeMounts"]}
        for document in objects:
            if not FOREIGN.match(document["apiVersion"]):
                kubernetes_validate.validate(document, NEWEST, strict=True)


def test_nothing_of_it_is_in_the_image() -> None:
    """Neither the build's context nor the wheel has deploy/."""
    assert "!deploy" not in (ROOT / ".dockerignore").read_text(encoding="utf-8")
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "deploy" not in {*wheel["packages"], *wheel["force-include"]}


def test_the_page_names_every_file() -> None:
    """docs/deployment.md says of each file and folder of deploy/ what it is, and which Kubernetes is needed."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    places = {str(p.relative_to(DEPLOY)) for p in DEPLOY.rglob("*.*") if p.parent != KUBERNETES and p.suffix != ".yaml"}
    places |= {f"{p.parent.relative_to(DEPLOY)}/" for p in KUBERNETES.rglob("kustomization.yaml")}
    places |= {f"kubernetes/{name}" for name in BY_HAND} | {"prometheus/alerts.yaml", "prometheus/alerts.test.yaml"}
    assert [place for place in sorted(places) if f"`{place}`" not in page] == []
    assert f"Kubernetes {OLDEST} or newer" in page
