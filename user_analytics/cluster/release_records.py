"""What Helm records of a release: a Secret for each revision, whose labels and content Helm itself reads."""

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import yaml
from kubernetes.client import AppsV1Api, CoreV1Api, V1Deployment, V1Secret, V1StatefulSet

# Of the hash that a revision is known by, beside Helm's own labels.
CONTENT_LABEL = "user-analytics-content"


class Workload(NamedTuple):
    """A Deployment or StatefulSet."""

    kind: str
    namespace: str
    name: str


class Revision(NamedTuple):
    """A revision of a release: Helm's word for its state, the hash it is known by, and what it wants at work."""

    status: str
    content: str | None
    workloads: frozenset[Workload]


def newest_revision(core: CoreV1Api, namespace: str, release: str) -> Revision | None:
    """The last that was begun, whatever became of it; None of a release that was never installed."""
    found = core.list_namespaced_secret(namespace, label_selector=f"owner=helm,name={release}").items
    if not found:
        return None
    newest = max(found, key=lambda secret: int(_labels(secret)["version"]))
    labels = _labels(newest)
    wanted = frozenset() if labels["status"] == "uninstalled" else _wanted(newest, namespace)
    return Revision(labels["status"], labels.get(CONTENT_LABEL), wanted)


def present_workloads(apps: AppsV1Api) -> frozenset[Workload]:
    """All that the cluster has."""
    stateful_sets = apps.list_stateful_set_for_all_namespaces().items
    deployments = apps.list_deployment_for_all_namespaces().items
    return frozenset([*workloads("StatefulSet", stateful_sets), *workloads("Deployment", deployments)])


def workloads(kind: str, objects: Iterable[V1StatefulSet | V1Deployment]) -> Iterator[Workload]:
    """What objects of a kind are called; those of a list do not know their kind."""
    for each in objects:
        if each.metadata:
            yield Workload(kind, str(each.metadata.namespace), str(each.metadata.name))


def _wanted(secret: V1Secret, namespace: str) -> frozenset[Workload]:
    # Kubernetes' base64 around Helm's own
    packed = base64.b64decode(base64.b64decode((secret.data or {})["release"]))
    manifest = json.loads(gzip.decompress(packed))["manifest"]
    objects = filter(None, yaml.load_all(manifest, yaml.CSafeLoader))
    return frozenset(
        Workload(each["kind"], each["metadata"].get("namespace") or namespace, each["metadata"]["name"])
        for each in objects
        if each["kind"] in {"Deployment", "StatefulSet"}
    )


def _labels(secret: V1Secret) -> dict[str, str]:
    return (secret.metadata and secret.metadata.labels) or {}
