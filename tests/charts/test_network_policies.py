"""The pods of the charts, as network policies see them."""

import pytest

from tests.charts.test_pods import OUR_CHARTS
from tests.fixtures.helm import Helm, Object, pod_spec, task_pods
from tests.unit.manifests.test_network_policies import ADDRESS, OF_SERVERS_OUTSIDE, PEERS, Peer, denying, let_through


def of_policies(labels: dict[str, str]) -> dict[str, str]:
    """The labels that policies look at."""
    return {
        key: value
        for key, value in labels.items()
        if key.startswith("user-analytics/") or key in ("app.kubernetes.io/name", "app.kubernetes.io/component")
    }


def labels_of_pod(item: Object) -> dict[str, str]:
    labels: dict[str, str] = (item if item["kind"] == "Pod" else item["spec"]["template"])["metadata"]["labels"]
    return labels


@pytest.mark.parametrize(
    ("name", "switched_on"),
    [
        ("alerts-outside", {"alert": {"existingSecret": "slack"}}),
        ("git-outside", {"gitSync": {"repo": "https://example.com/dags.git"}}),
    ],
)
def test_alerts_and_dags_of_a_repository_let_those_parts_of_airflow_out_that_use_them(
    helm: Helm, name: str, switched_on: dict[str, object]
) -> None:
    policies = [denying("user-analytics"), *(each for each in OF_SERVERS_OUTSIDE if each["metadata"]["name"] == name)]

    def let_out(dags: dict[str, object]) -> set[str]:
        objects = helm.template("airflow", {"executor": "KubernetesExecutor", "dags": dags})
        labels = [labels_of_pod(item) for item in [*objects, *task_pods(objects)] if pod_spec(item)]
        return {
            each["app.kubernetes.io/component"]
            for each in labels
            if 443 in let_through(Peer("airflow", "user-analytics", each), "Egress", ADDRESS, policies)
        }

    assert let_out({}) == set()
    # the DAG processor tells of a task whose own process is gone
    assert let_out(switched_on) == {"scheduler", "dag-processor", "worker"}


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_pods_of_a_chart_are_the_peers_that_are_looked_at_here(chart: str, helm: Helm) -> None:
    pods = [item for item in helm.template(chart) if pod_spec(item)]
    labels = [labels_of_pod(item) for item in pods]
    peers = [peer.labels for peer in PEERS if peer.labels.get("app.kubernetes.io/name") == chart]

    assert sorted(map(of_policies, labels), key=str) == sorted(peers, key=str)
