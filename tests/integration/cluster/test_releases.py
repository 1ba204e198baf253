"""Releases by the real Helm on a real API server: installed when they are not there whole, with this content."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api

from tests.fixtures.forked import forked
from tests.fixtures.helm import Helm
from tests.fixtures.kubernetes_api import KubernetesApi
from user_analytics.cluster import releases
from user_analytics.cluster.parts import ABSENT, NOT_INSTALLED, parts
from user_analytics.cluster.releases import Release, ensure_installed
from user_analytics.errors import ClusterError

NAMESPACE = "releases"
# With a pod they are never ready, for no kubelet runs it; with none they are at once.
SERVERS = """
{{- range .Values.names }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ . }}, labels: {app.kubernetes.io/instance: {{ $.Release.Name }}}}
spec:
  replicas: {{ $.Values.replicas }}
  serviceName: {{ . }}
  selector: {matchLabels: {server: {{ . }}}}
  template:
    metadata: {labels: {server: {{ . }}}}
    spec: {containers: [{name: server, image: none}]}
{{- end }}
"""


@pytest.fixture
def api(
    helm: Helm, kubernetes_controllers: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ApiClient]:
    """A namespace without a release, and Helm's way to it."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "servers.yaml").write_text(SERVERS)
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: two, version: 0.1.0}")
    (tmp_path / "values.yaml").write_text("{names: [one, other], replicas: 0}")
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_controllers.kubeconfig))
    monkeypatch.setattr(releases, "CONTEXT", "test")
    kubernetes_controllers.make_namespaces(NAMESPACE)
    yield kubernetes_controllers.client()
    kubernetes_controllers.kubectl("delete", "statefulset,pod,secret", "--all", "--namespace", NAMESPACE, "--force")


@pytest.fixture
def good(tmp_path: Path) -> Release:
    return Release("two", NAMESPACE, tmp_path)


@pytest.fixture
def broken(tmp_path: Path) -> Release:
    """The same chart with values with which its servers do not become ready."""
    return Release("two", NAMESPACE, tmp_path, values={"replicas": 1})


def replicas(api: ApiClient) -> dict[str, int]:
    found = AppsV1Api(api).list_namespaced_stateful_set(NAMESPACE).items
    return {each.metadata.name: each.spec.replicas for each in found}  # type: ignore[union-attr, misc]


def states(api: ApiClient) -> list[str]:
    """Of all revisions that Helm keeps, the newest last."""
    secrets = CoreV1Api(api).list_namespaced_secret(NAMESPACE, label_selector="owner=helm").items
    labels = [secret.metadata.labels for secret in secrets]  # type: ignore[union-attr]
    return [each["status"] for each in sorted(labels, key=lambda each: int(each["version"]))]  # type: ignore[index]


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def problems(api: ApiClient) -> dict[str, str]:
    found = dict(parts(CoreV1Api(api), AppsV1Api(api), [(NAMESPACE, "two")]))
    return {name: problem for name, problem in found.items() if name.startswith(NAMESPACE)}


def test_a_release_is_installed_once(api: ApiClient, good: Release) -> None:
    assert ensure_installed(api, good)
    assert replicas(api) == {"one": 0, "other": 0}

    assert not ensure_installed(api, good)
    assert states(api) == ["deployed"]


def test_after_an_upgrade_that_failed_the_release_from_before_is_installed_again(
    api: ApiClient, good: Release, broken: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_installed(api, good)
    with monkeypatch.context() as patched:
        patched.setattr(releases, "TIMEOUT", "1s")
        with pytest.raises(ClusterError, match="helm cannot install two"):
            ensure_installed(api, broken)
    assert (states(api), replicas(api)) == (["deployed", "failed"], {"one": 1, "other": 1})

    assert ensure_installed(api, good)
    assert replicas(api) == {"one": 0, "other": 0}
    assert not ensure_installed(api, good)


def test_after_an_upgrade_that_was_killed_the_release_from_before_is_installed_again(
    api: ApiClient, kubernetes_controllers: KubernetesApi, good: Release, broken: Release
) -> None:
    def upgrade_in_a_group() -> None:
        os.setsid()
        ensure_installed(kubernetes_controllers.client(), broken)

    ensure_installed(api, good)
    with forked(upgrade_in_a_group) as upgrade:
        try:
            wait(lambda: replicas(api) == {"one": 1, "other": 1})
        finally:
            assert upgrade.pid
            os.killpg(upgrade.pid, signal.SIGKILL)  # Helm with whoever called it
    assert states(api) == ["deployed", "pending-upgrade"]

    assert ensure_installed(api, good)
    assert replicas(api) == {"one": 0, "other": 0}
    assert not ensure_installed(api, good)


def test_the_newest_revision_is_that_of_the_highest_number(api: ApiClient, good: Release, tmp_path: Path) -> None:
    for number in range(10):
        ensure_installed(api, Release("two", NAMESPACE, tmp_path, values={"number": number}))

    assert not ensure_installed(api, Release("two", NAMESPACE, tmp_path, values={"number": 9}))
    assert ensure_installed(api, Release("two", NAMESPACE, tmp_path, values={"number": 8}))


def test_a_server_that_was_deleted_is_a_part_that_is_gone_until_it_is_installed_again(
    api: ApiClient, good: Release
) -> None:
    ensure_installed(api, good)
    AppsV1Api(api).delete_namespaced_stateful_set("other", NAMESPACE)
    assert problems(api)[f"{NAMESPACE}/other"] == ABSENT
    assert problems(api)[f"{NAMESPACE}/one"] != ABSENT

    assert ensure_installed(api, good)
    assert replicas(api) == {"one": 0, "other": 0}
    assert ABSENT not in problems(api).values()
    assert not ensure_installed(api, good)


def test_when_all_servers_of_a_release_are_deleted_each_is_gone(api: ApiClient, good: Release) -> None:
    ensure_installed(api, good)
    AppsV1Api(api).delete_collection_namespaced_stateful_set(NAMESPACE)

    assert problems(api) == {f"{NAMESPACE}/one": ABSENT, f"{NAMESPACE}/other": ABSENT}


def test_a_release_that_was_uninstalled_with_its_history_kept_is_not_installed(
    api: ApiClient, helm: Helm, good: Release
) -> None:
    ensure_installed(api, good)
    uninstall = [str(helm.program), "uninstall", "two", "--namespace", NAMESPACE, "--keep-history"]
    subprocess.run(uninstall, check=True, capture_output=True)

    assert problems(api) == {f"{NAMESPACE}/two": NOT_INSTALLED}
    assert ensure_installed(api, good)
