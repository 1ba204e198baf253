"""The way to a Service of a real API server."""

import pytest

from tests.fixtures.kubernetes_api import KubernetesApi
from user_analytics.cluster import forward
from user_analytics.cluster.forward import forwarded
from user_analytics.errors import ClusterError


def test_a_service_that_does_not_exist_is_named(kubernetes_api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig))
    monkeypatch.setattr(forward, "CONTEXT", "test")

    with (
        pytest.raises(ClusterError, match=r'cannot reach nowhere:80 in namespace default: .*"nowhere" not found'),
        forwarded("nowhere", 80, namespace="default"),
    ):
        pass
