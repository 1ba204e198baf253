"""The way up on an API server that refuses, a real one."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.fixtures.kubernetes_api import KubernetesApi
from tests.unit.cluster.test_up import leave_only, use_cluster
from user_analytics.cluster import kind, up
from user_analytics.cluster.kind import CONTEXT


@pytest.mark.parametrize("name", ["namespaces", "secrets", "servers", "minio", "bucket", "sample"])
def test_a_cluster_that_refuses_ends_the_step_with_a_message(
    kubernetes_api: KubernetesApi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    [known] = yaml.safe_load(kubernetes_api.kubeconfig.read_text())["clusters"]
    use_cluster(monkeypatch, tmp_path, known["cluster"])
    leave_only(monkeypatch, name)

    assert up.main() == 1
    assert f"{name}: the cluster refuses: Unauthorized" in capsys.readouterr().err


def test_a_cluster_of_kind_that_refuses_is_not_taken_over(
    kubernetes_api: KubernetesApi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [known] = yaml.safe_load(kubernetes_api.kubeconfig.read_text())["clusters"]
    use_cluster(monkeypatch, tmp_path, known["cluster"])
    of_kind = {**yaml.safe_load((tmp_path / "kubeconfig").read_text()), "current-context": CONTEXT}
    monkeypatch.setattr(kind, "is_complete", lambda: False)
    monkeypatch.setattr(kind, "is_foreign", lambda: True)
    monkeypatch.setattr(kind, "node_ports", dict)
    monkeypatch.setattr(kind, "_kind", lambda *_: yaml.safe_dump(of_kind))
    monkeypatch.setattr(kind, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    leave_only(monkeypatch, "node")

    assert up.main() == 1
    assert "node: the cluster refuses: Unauthorized" in capsys.readouterr().err
