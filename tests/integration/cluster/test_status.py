"""The status of a cluster of which nothing answers but its API server, a real one."""

import pytest
from kubernetes.client import CoreV1Api

from tests.fixtures.kubernetes_api import KubernetesApi
from user_analytics.cluster import forward
from user_analytics.cluster.status import Status, add_publications


def test_a_warehouse_out_of_reach_is_why_the_publications_could_not_be_read(
    kubernetes_api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig))
    monkeypatch.setattr(forward, "CONTEXT", "test")
    status = Status(parts=[], pages=[], runs=[])
    add_publications(status, CoreV1Api())

    assert status.unread.startswith("cannot reach bigquery-emulator:9050")
