"""The way up, as far as it can be told without a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kubernetes.config import kube_config

from tests.fixtures.kubernetes_api import KubernetesApi
from user_analytics.cluster import kind, up
from user_analytics.cluster.charts import NAMESPACES
from user_analytics.cluster.kind import CONTEXT
from user_analytics.embedded.processes import free_port

# What the check of the prerequisites is made of.
CHECKS_WITH = ("bash", "env", "git", "sed")


def test_every_chart_of_the_cluster_is_installed_once() -> None:
    names = [step.name for step in up.steps()]

    assert sorted(name for name in names if name in NAMESPACES) == sorted(NAMESPACES)


def test_the_history_server_comes_after_the_folder_that_it_reads() -> None:
    names = [step.name for step in up.steps()]

    assert names.index("minio") < names.index("bucket") < names.index("spark-history-server")


def test_without_go_it_says_that_the_machine_lacks_it(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in CHECKS_WITH:
        found = next(folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder, name).exists())
        (programs / name).symlink_to(Path(found, name))

    done = subprocess.run(
        [sys.executable, "-m", "user_analytics.cluster.up"],
        env={"PATH": str(programs), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "prerequisites: This machine lacks:" in done.stderr
    assert "  - Go 1.21 or later" in done.stderr
    assert "Traceback" not in done.stderr


def use_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: dict[str, str] | None) -> None:
    """A kubeconfig that leads the commands to this server with a wrong token, or knows no cluster at all."""
    user = {"name": CONTEXT, "user": {"token": "wrong"}}
    context = {"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}
    known = {"clusters": [{"name": CONTEXT, "cluster": server}], "users": [user], "contexts": [context]}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(known if server else {}))
    monkeypatch.setenv("HOME", str(tmp_path))  # whoever is at work on another cluster
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    monkeypatch.setattr(kind, "node_state", lambda: "running")


def leave_only(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make the way up this one step."""
    found = [step for step in up.steps() if step.name == name]
    monkeypatch.setattr(up, "steps", lambda: found)


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


@pytest.mark.parametrize("server", [None, {"server": f"https://127.0.0.1:{free_port()}"}], ids=["unknown", "gone"])
def test_a_cluster_that_does_not_answer_ends_the_step_with_a_message(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    server: dict[str, str] | None,
) -> None:
    use_cluster(monkeypatch, tmp_path, server)
    leave_only(monkeypatch, "secrets")

    assert up.main() == 1
    assert "secrets: the cluster does not answer: " in capsys.readouterr().err


def test_ctrl_c_ends_it_saying_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(up, "steps", lambda: [up.Step("node", interrupt)])

    assert up.main() == 130
    assert capsys.readouterr().err.splitlines()[-1] == "Interrupted: `make cluster-up` goes on from here"
