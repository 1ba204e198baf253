"""What was gone comes back with its data."""

import pytest

from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.engine import run
from user_analytics.cluster.kind import NODE
from user_analytics.cluster.secrets import SERVERS, read_secret

pytestmark = pytest.mark.timeout(900)


def test_after_a_restart_of_the_node_and_without_a_server_cluster_up_brings_all_back_with_its_data(
    published: KindCluster,
) -> None:
    views, purchases, objects = published.views(), published.purchases(), published.objects()
    passwords = read_secret(published.core, SERVERS, "postgres")
    assert purchases
    assert objects

    # to the end: what is left of it would be waited for by what is new
    published.helm("uninstall", "postgres", "--wait", "--cascade", "foreground")
    assert not [pod for pod in published.pods("app.kubernetes.io/instance=postgres") if pod.owner == "StatefulSet"]
    run("restart", NODE)
    published.make("cluster-up")

    published.wait_until_all_is_ready()
    assert published.views() == views
    # cluster-up would load the sample again where there is nothing: these are the rows and objects from before
    assert published.purchases() == purchases
    assert published.objects() >= objects
    assert read_secret(published.core, SERVERS, "postgres") == passwords
