"""What Helm records of a release: a Secret for each revision, whose labels and content Helm itself reads."""

import base64
import gzip
import json
from typing import NamedTuple

import yaml
from kubernetes.client import AppsV1Api, CoreV1Api, V1Deployment, V1Secret, V1StatefulSet

Server = V1StatefulSet | V1Deployment
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


def present_workloads(apps: AppsV1Api) -> dict[Workload, Server]:
    """All that the cluster has, by what each is called: those of a list do not know their kind."""
    lists: dict[str, list[V1StatefulSet] | list[V1Deployment]] = {
        "StatefulSet": apps.list_stateful_set_for_all_namespaces().items,
        "Deployment": apps.list_deployment_for_all_namespaces().items,
    }
    return {
        Workload(kind, str(each.metadata.namespace), str(each.metadata.name)): each
        for kind, found in lists.items()
        for each in found
        if each.metadata
    }


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
