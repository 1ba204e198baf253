"""Fixtures of the tests of what the cluster is made with."""

import fcntl
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.kubernetes_api import KubernetesApi
from tests.integration.cluster.server_cluster import ServerCluster
from user_analytics.cluster import accounts, servers, volumes


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


@pytest.fixture
def server_cluster(
    kubernetes_controllers: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerCluster]:
    """The servers as Kubernetes has them, all ready; their volumes are folders here."""
    monkeypatch.setattr(volumes, "inside_node", list)
    for module in (accounts, servers):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(servers, "START_SECONDS", 60.0)
    with ServerCluster(kubernetes_controllers, tmp_path / "node") as cluster:
        servers.wait_until_ready(cluster.client)
        yield cluster
