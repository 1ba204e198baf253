"""What `make cluster-up` leaves: everything ready, tested, and the same when it runs again."""

import subprocess

import pytest

from tests.e2e.cluster.kind_cluster import ROOT, KindCluster
from user_analytics.cluster.charts import NAMESPACES
from user_analytics.cluster.go_programs import program_file
from user_analytics.cluster.kind import CONTEXT

pytestmark = pytest.mark.timeout(900)


def identities(cluster: KindCluster) -> set[tuple[str, int]]:
    """Every pod that serves, with how often its containers were started."""
    return {(pod.uid, pod.restarts) for pod in cluster.pods() if pod.owner in {"StatefulSet", "ReplicaSet"}}


def test_every_part_is_ready(cluster: KindCluster) -> None:
    assert cluster.make("cluster-status").returncode == 0


def test_going_up_again_restarts_nothing(cluster: KindCluster) -> None:
    before = identities(cluster)

    cluster.make("cluster-up")

    assert identities(cluster) == before


@pytest.mark.parametrize("name", sorted(set(NAMESPACES) - {"spark-operator"}))
def test_the_test_of_each_chart_passes(cluster: KindCluster, name: str) -> None:
    helm = [str(program_file("helm")), "--kube-context", CONTEXT, "--namespace", NAMESPACES[name]]

    done = subprocess.run([*helm, "test", name], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
