"""A cluster that kind alone made is taken over when its API, a real one, has what the charts need."""

import subprocess
from collections.abc import Iterator, Mapping

import pytest
from kubernetes.client import StorageV1Api, V1ObjectMeta, V1StorageClass

from tests.fixtures.kubernetes_api import KubernetesApi
from tests.unit.cluster.test_kind import published
from user_analytics.cluster import kind
from user_analytics.errors import ClusterError


@pytest.fixture
def asked_of_kind(monkeypatch: pytest.MonkeyPatch, kubernetes_api: KubernetesApi) -> list[str]:
    """A cluster that kind alone made, whose API is a real one; what kind was asked for is noted."""
    answers = {"PortBindings": published(kind.node_ports()), "State.Status": "running\n"}
    asked: list[str] = []

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = " ".join(arguments)
        answer = next((answer for word, answer in answers.items() if word in command), "")
        return subprocess.CompletedProcess(arguments, 0, answer, "")

    def ask(*arguments: str) -> str:
        asked.append(" ".join(arguments))
        return kubernetes_api.kubeconfig.read_text()

    monkeypatch.setattr(kind, "run", run)
    monkeypatch.setattr(kind, "engine", lambda: "podman")
    monkeypatch.setattr(kind, "_kind", ask)
    return asked


EXPORT = f"export kubeconfig --name {kind.CLUSTER}"


@pytest.fixture
def storage(kubernetes_api: KubernetesApi) -> Iterator[StorageV1Api]:
    with kubernetes_api.client() as client:
        api = StorageV1Api(client)
        yield api
        api.delete_collection_storage_class()


def storage_class(name: str, annotations: Mapping[str, str]) -> V1StorageClass:
    return V1StorageClass(metadata=V1ObjectMeta(name=name, annotations=dict(annotations)), provisioner="none")


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {kind.DEFAULT_CLASS: "false"}, {"description": "true"}],
    ids=["none", "bare", "no", "other"],
)
def test_one_without_a_default_storage_class_is_not_taken_over(
    asked_of_kind: list[str], storage: StorageV1Api, annotations: Mapping[str, str] | None
) -> None:
    if annotations is not None:
        storage.create_storage_class(storage_class("standard", annotations))

    with pytest.raises(ClusterError, match=r"no default StorageClass.*is-default-class.*`make cluster-down`"):
        kind.adopt()
    assert EXPORT not in asked_of_kind


def test_one_with_a_default_storage_class_is_taken_over_into_the_kubeconfig(
    asked_of_kind: list[str], storage: StorageV1Api
) -> None:
    storage.create_storage_class(storage_class("slow", {}))
    storage.create_storage_class(storage_class("standard", {kind.DEFAULT_CLASS: "true"}))

    kind.adopt()

    assert asked_of_kind[-1] == EXPORT
