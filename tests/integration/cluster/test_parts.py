"""Which parts there are, and which are not ready, as a real API server has them; nothing runs on it."""

from collections.abc import Iterator

import pytest
import yaml
from kubernetes.client import AppsV1Api, CoreV1Api

from tests.fixtures.kubernetes_api import KubernetesApi, collection
from user_analytics.cluster.parts import NOT_INSTALLED, STOPPED, parts


@pytest.fixture
def namespace(kubernetes_api: KubernetesApi) -> Iterator[str]:
    """A namespace of a real API server, on which nothing runs."""
    name = "parts"
    kubernetes_api.make_namespaces(name)
    yield name
    for kind in ("StatefulSet", "Deployment"):
        kubernetes_api.request("DELETE", collection("apps/v1", kind, name))


SERVER = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: parts, labels: {{app.kubernetes.io/instance: {name}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: {name}, image: none}}]}}
"""


def read_parts(api: KubernetesApi, *releases: str) -> dict[str, str]:
    client = api.client()
    return dict(parts(CoreV1Api(client), AppsV1Api(client), [("parts", name) for name in releases]))


def test_a_release_that_is_not_installed_is_a_part_that_is_not_ready(
    kubernetes_api: KubernetesApi, namespace: str
) -> None:
    assert read_parts(kubernetes_api, "minio")["parts/minio"] == NOT_INSTALLED


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
def test_servers_are_found_with_what_keeps_them_from_being_ready(
    kubernetes_api: KubernetesApi, namespace: str, kind: str
) -> None:
    body = SERVER.format(kind=kind, name="minio", replicas=1)
    kubernetes_api.make(yaml.safe_load(body))

    assert read_parts(kubernetes_api, "minio")["parts/minio"] == "it has no pod yet"


def test_a_server_that_was_stopped_is_not_ready(kubernetes_api: KubernetesApi, namespace: str) -> None:
    body = SERVER.format(kind="StatefulSet", name="minio", replicas=0)
    kubernetes_api.make(yaml.safe_load(body))

    assert read_parts(kubernetes_api, "minio")["parts/minio"] == STOPPED


def test_a_node_that_has_not_come_is_not_ready(kubernetes_api: KubernetesApi) -> None:
    assert read_parts(kubernetes_api)["node"] == "it has not told its state yet"
