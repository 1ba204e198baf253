"""The servers are stopped together and run again afterwards, on a real API server with its controllers."""

import os
import signal

import pytest

from tests.integration.cluster.server_cluster import ServerCluster
from user_analytics.cluster import servers
from user_analytics.cluster.servers import stopped, wait_until_ready
from user_analytics.errors import ClusterError

pytestmark = pytest.mark.usefixtures("signals_as_before")

ALL = dict.fromkeys(servers.NAMES, 1)
NONE = dict.fromkeys(servers.NAMES, 0)


def test_no_server_has_a_pod_inside_and_each_a_new_one_afterwards(server_cluster: ServerCluster) -> None:
    before = server_cluster.pods()

    with stopped(server_cluster.client):
        assert server_cluster.pods() == {}
        assert server_cluster.replicas() == NONE
    wait_until_ready(server_cluster.client)

    after = server_cluster.pods()
    assert after.keys() == before.keys() == {f"{name}-0" for name in servers.NAMES}
    assert not set(after.values()) & set(before.values())


def test_with_a_pod_of_the_pipeline_at_work_they_stay_as_they_are(server_cluster: ServerCluster) -> None:
    before = server_cluster.pods()
    server_cluster.make_pod_at_work()

    with pytest.raises(ClusterError, match="at work in user-analytics-jobs: driver"), stopped(server_cluster.client):
        pass
    assert server_cluster.pods() == before


def test_one_that_does_not_stop_is_named_and_all_run_on(
    server_cluster: ServerCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "STOP_SECONDS", 1.0)
    _keep_pod(server_cluster, ["user-analytics.test/kept"])

    try:
        with pytest.raises(ClusterError, match="minio does not stop"), stopped(server_cluster.client):
            pytest.fail("they are not stopped")
    finally:
        _keep_pod(server_cluster, None)
    assert server_cluster.replicas() == ALL


def _keep_pod(cluster: ServerCluster, finalizers: list[str] | None) -> None:
    cluster.core.patch_namespaced_pod("minio-0", "user-analytics", {"metadata": {"finalizers": finalizers}})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whatever_ends_it_they_run_again(server_cluster: ServerCluster, number: signal.Signals) -> None:
    with pytest.raises((SystemExit, KeyboardInterrupt)), stopped(server_cluster.client):
        os.kill(os.getpid(), number)

    assert server_cluster.replicas() == ALL


def test_one_that_does_not_become_ready_is_named_with_the_reason(
    server_cluster: ServerCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "START_SECONDS", 1.0)
    server_cluster.kubelet.servers_are_ready = False
    with stopped(server_cluster.client):
        pass
    server_cluster.wait(lambda: "minio-0" in server_cluster.pods())

    with pytest.raises(ClusterError, match=r"minio does not become ready: it is starting$"):
        wait_until_ready(server_cluster.client)


def test_those_that_were_left_stopped_are_known(server_cluster: ServerCluster) -> None:
    assert servers.left_stopped(server_cluster.client) == []

    server_cluster.scale(0)
    assert servers.left_stopped(server_cluster.client) == list(servers.NAMES)


def test_before_all_are_installed_they_do_not_have_their_volumes(server_cluster: ServerCluster) -> None:
    assert servers.have_volumes(server_cluster.client)

    server_cluster.core.delete_namespaced_persistent_volume_claim("data-postgres-0", "user-analytics")
    server_cluster.wait(lambda: not servers.have_volumes(server_cluster.client))
