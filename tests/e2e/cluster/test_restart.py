"""What was gone comes back with its data: all of the node, as when the machine restarts, and a server alone."""

import pytest

from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.engine import run
from user_analytics.cluster.kind import NODE
from user_analytics.cluster.secrets import SERVERS, read_secret

pytestmark = pytest.mark.timeout(900)


def test_everything_comes_back_with_its_data(published: KindCluster) -> None:
    views, purchases, objects = published.views(), published.purchases(), published.objects()
    assert purchases
    assert objects

    run("restart", NODE)
    published.make("cluster-up")

    published.wait_until_all_is_ready()
    assert published.views() == views
    # cluster-up would load the sample again where there is nothing: these are the rows and objects from before
    assert published.purchases() == purchases
    assert published.objects() >= objects


def test_a_server_that_is_installed_again_keeps_its_data_and_its_passwords(published: KindCluster) -> None:
    purchases, passwords = published.purchases(), read_secret(published.core, SERVERS, "postgres")
    assert purchases

    # to the end: what is left of it would be waited for by what is new
    published.helm("uninstall", "postgres", "--wait", "--cascade", "foreground")
    assert not [pod for pod in published.pods("app.kubernetes.io/instance=postgres") if pod.owner == "StatefulSet"]
    published.make("cluster-up")

    assert published.purchases() == purchases
    assert read_secret(published.core, SERVERS, "postgres") == passwords
    published.wait_until_all_is_ready()
