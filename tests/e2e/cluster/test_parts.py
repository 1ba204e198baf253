"""What `make cluster-up` leaves: everything ready, tested, and the same when it runs again."""

import time

import pytest

from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.charts import NAMESPACES

pytestmark = pytest.mark.timeout(900)

AGAIN_SECONDS = 60


def identities(cluster: KindCluster) -> set[tuple[str, int]]:
    """Every pod that serves, with how often its containers were started."""
    return {(pod.uid, pod.restarts) for pod in cluster.pods() if pod.owner in {"StatefulSet", "ReplicaSet"}}


def test_every_part_is_ready(cluster: KindCluster) -> None:
    assert cluster.make("cluster-status").returncode == 0


@pytest.mark.usefixtures("scheduled")  # whose pods want the cores first
def test_going_up_again_takes_less_than_a_minute_and_restarts_nothing(cluster: KindCluster) -> None:
    before = identities(cluster)
    started = time.monotonic()

    cluster.make("cluster-up")

    assert time.monotonic() - started < AGAIN_SECONDS
    assert identities(cluster) == before


@pytest.mark.parametrize("name", sorted(set(NAMESPACES) - {"spark-operator"}))
def test_the_test_of_each_chart_passes(cluster: KindCluster, name: str) -> None:
    cluster.helm("test", name)
