"""The machine restarts, as far as the cluster can tell: its node does."""

import pytest

from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.engine import run
from user_analytics.cluster.kind import NODE

pytestmark = pytest.mark.timeout(900)


def test_everything_comes_back_with_its_data(published: KindCluster) -> None:
    metrics, purchases, objects = published.metrics(), published.purchases(), published.objects()
    assert purchases
    assert objects

    run("restart", NODE)
    published.make("cluster-up")

    published.wait(lambda: published.make("cluster-status", check=False).returncode == 0, "all parts to be ready", 240)
    assert published.metrics() == metrics
    # cluster-up would load the sample again where there is nothing: these are the rows and objects from before
    assert published.purchases() == purchases
    assert published.objects() >= objects
