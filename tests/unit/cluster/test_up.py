"""The way up, as far as it can be told without a cluster."""

import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kubernetes.config import kube_config

from tests.fixtures.ports import free_port
from user_analytics.cluster import kind, up
from user_analytics.cluster.charts import NAMESPACES
from user_analytics.cluster.kind import CONTEXT


def test_every_chart_of_the_cluster_is_installed_once() -> None:
    names = [step.name for step in up.steps()]

    assert sorted(name for name in names if name in NAMESPACES) == sorted(NAMESPACES)


def test_the_history_server_comes_after_the_folder_that_it_reads() -> None:
    names = [step.name for step in up.steps()]

    assert names.index("minio") < names.index("bucket") < names.index("spark-history-server")


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


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (None, "the kubeconfig does not have the cluster, which gets there when its node is ready: "),
        ({"server": "https://127.0.0.1:1"}, "the cluster does not answer: "),
    ],
    ids=["unknown", "gone"],
)
def test_a_cluster_that_does_not_answer_ends_the_step_with_a_message(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    server: dict[str, str] | None,
    problem: str,
) -> None:
    use_cluster(monkeypatch, tmp_path, server)
    leave_only(monkeypatch, "secrets")

    assert up.main() == 1
    assert f"secrets: {problem}" in capsys.readouterr().err


def listen() -> socket.socket:
    """Take a port of this machine."""
    return socket.create_server(("127.0.0.1", 0))


def lack_ports_and_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int, *, state: str | None, image: bool = False
) -> None:
    """A machine with this state of the node, whose pages are to answer on `port`, and with 12 GB of free disk."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(kind, "node_state", lambda: state)
    monkeypatch.setattr(kind, "node_ports", lambda: {port: 30080})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=12 << 30))
    monkeypatch.setattr(up, "image_store", lambda: tmp_path)
    monkeypatch.setattr(up, "has_image", lambda _: image)
    leave_only(monkeypatch, "prerequisites")


def test_a_taken_port_is_told_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up.steps()[0].name == "prerequisites"
    with listen() as other:
        port = other.getsockname()[1]
        lack_ports_and_disk(monkeypatch, tmp_path, port, state=None)

        assert up.main() == 1
    said = capsys.readouterr().err
    assert (
        f"prerequisites: something else listens where the cluster's pages are to be, on 127.0.0.1:{port}: stop" in said
    )


def test_little_free_disk_is_told_and_refuses_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lack_ports_and_disk(monkeypatch, tmp_path, free_port(), state=None)

    assert up.main() == 0
    assert f"{tmp_path} has 12 GB of free disk, and the first `make cluster-up` needs" in capsys.readouterr().err


def test_with_what_a_first_time_left_little_free_disk_is_no_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lack_ports_and_disk(monkeypatch, tmp_path, free_port(), state=None, image=True)

    assert up.main() == 0
    assert "GB" not in capsys.readouterr().err


@pytest.mark.parametrize("state", ["running", "exited"])
def test_a_cluster_that_is_there_is_asked_neither_for_its_own_ports_nor_for_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    with listen() as own:
        lack_ports_and_disk(monkeypatch, tmp_path, own.getsockname()[1], state=state)

        assert up.main() == 0
    assert "GB" not in capsys.readouterr().err


def test_ctrl_c_ends_it_saying_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(up, "steps", lambda: [up.Step("node", interrupt)])

    assert up.main() == 130
    assert capsys.readouterr().err.splitlines()[-1] == "Interrupted: `make cluster-up` goes on from here"
