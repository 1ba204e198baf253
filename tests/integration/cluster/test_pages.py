"""The pages of a cluster, by the Services of a real API server."""

import pytest
from kubernetes.client import CoreV1Api, V1ObjectMeta, V1Service, V1ServicePort, V1ServiceSpec

from tests.integration.cluster.idle_cluster import Cluster
from user_analytics.cluster import kind
from user_analytics.cluster import pages as pages_module
from user_analytics.cluster.pages import AIRFLOW, CONSOLE, pages


def test_the_status_says_which_pages_the_node_does_not_have_and_why_others_do_not_answer(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "published_ports", lambda: {(8081, AIRFLOW), (9001, CONSOLE)})
    monkeypatch.setattr(pages_module, "problem", lambda _: "it answers with 503")
    core = CoreV1Api(cluster.client)
    node_ports = {"airflow-api-server": AIRFLOW, "minio-console": CONSOLE}
    for name, node_port in node_ports.items():
        ports = V1ServiceSpec(type="NodePort", ports=[V1ServicePort(port=80, node_port=node_port)])
        core.create_namespaced_service("user-analytics", V1Service(metadata=V1ObjectMeta(name=name), spec=ports))
    try:
        problems = {page.service: page.problem for page in pages(core)}
    finally:
        for name in node_ports:
            core.delete_namespaced_service(name, "user-analytics")

    assert problems.keys() == node_ports.keys()
    assert problems["airflow-api-server"].startswith(
        "the node does not answer on http://127.0.0.1:8080, as kind-config.yaml has it"
    )
    assert problems["minio-console"] == "it answers with 503"
