"""Fixtures of the tests of what the cluster is made with."""

import fcntl
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.kubernetes_api import KubernetesApi
from tests.integration.cluster.idle_cluster import Cluster
from tests.integration.cluster.server_cluster import ServerCluster
from user_analytics.cluster import accounts, servers, volumes
from user_analytics.cluster.logs import NAMESPACES


@pytest.fixture
def podman_to_itself() -> Iterator[None]:
    """Nobody else of those who ask for this starts a container meanwhile, in whichever process: some look at all."""
    with Path(tempfile.gettempdir(), "user-analytics-tests-podman.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """What is done with signals is undone: who stops servers has some end the process as exceptions."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def installed_servers(
    kubernetes_controllers: KubernetesApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerCluster]:
    """The servers as Kubernetes has them, for all tests of a module; their volumes are folders here."""
    with ServerCluster(kubernetes_controllers, tmp_path_factory.mktemp("node")) as cluster:
        yield cluster


@pytest.fixture
def server_cluster(installed_servers: ServerCluster, monkeypatch: pytest.MonkeyPatch) -> ServerCluster:
    """The servers, all ready, with what they had at first."""
    monkeypatch.setattr(volumes, "inside_node", list)
    for module in (accounts, servers):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(servers, "START_SECONDS", 60.0)
    installed_servers.put_back()
    return installed_servers


@pytest.fixture
def cluster(kubernetes_api: KubernetesApi) -> Iterator[Cluster]:
    """The project's namespaces, with nothing in them and nobody at work."""
    kubernetes_api.make_namespaces(*NAMESPACES)
    cluster = Cluster(kubernetes_api)
    yield cluster
    cluster.clean()
