"""What becomes of a node that is there already: only one that `make cluster-up` left half made is made anew."""

import shutil
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from user_analytics.cluster import kind, up
from user_analytics.cluster.base_image import own_base_image
from user_analytics.cluster.engine import has_image, run
from user_analytics.errors import ClusterError

pytestmark = [
    pytest.mark.skipif(
        shutil.which("podman") is None or not has_image(own_base_image()),
        reason="podman or its base image is missing: make test-tools",
    ),
    pytest.mark.usefixtures("podman_to_itself"),
]


@pytest.fixture(autouse=True)
def _no_other_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(image: str) -> None:
        raise AssertionError(f"made anew from {image}")

    monkeypatch.setattr(kind, "create", refuse)
    monkeypatch.setattr(kind, "START_SECONDS", 0.5)
    monkeypatch.setenv("NODE_IMAGE", "another")


def a_node(monkeypatch: pytest.MonkeyPatch, *options: str) -> Iterator[str]:
    """A container in place of the node; no Kubernetes ever answers in it."""
    name = f"user-analytics-test-{uuid.uuid4().hex}"
    monkeypatch.setattr(kind, "NODE", name)
    # it has no network, and so no ports
    monkeypatch.setattr(kind, "node_ports", dict)
    run("run", "--detach", "--network", "none", "--name", name, *options, own_base_image(), "sleep", "600")
    run("exec", name, "mkdir", "--parents", "/kind")
    yield name
    run("rm", "--force", "--time", "0", name)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One that `make cluster-up` began to make."""
    yield from a_node(monkeypatch, "--volume", f"/dev/null:{kind.OURS}:ro")


@pytest.fixture
def foreign_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One of `kind create cluster`."""
    yield from a_node(monkeypatch)


def test_one_that_was_interrupted_is_made_anew(node: str) -> None:
    with pytest.raises(AssertionError, match="made anew"):
        up._node()


def test_one_that_kind_alone_made_and_that_is_not_whole_is_an_error_and_stays(foreign_node: str) -> None:
    with pytest.raises(ClusterError, match="its Kubernetes API does not answer"):
        up._node()
    assert kind.node_state() == "running"


def test_one_that_kind_alone_made_and_that_was_stopped_is_started_and_stays(foreign_node: str) -> None:
    run("stop", "--time", "0", foreign_node)

    with pytest.raises(ClusterError, match="its Kubernetes API does not answer"):
        up._node()
    assert kind.node_state() == "running"


def test_one_that_kind_alone_made_and_that_leads_no_ports_into_it_is_an_error_and_stays(
    foreign_node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "node_ports", lambda: {8080: 30080})

    with pytest.raises(ClusterError, match="its node does not answer on 8080"):
        up._node()
    assert kind.node_state() == "running"


def test_a_complete_one_whose_api_does_not_answer_is_an_error_and_stays(node: str) -> None:
    run("exec", node, "touch", kind.COMPLETE)

    with pytest.raises(ClusterError, match="its Kubernetes API does not answer"):
        up._node()
    assert kind.node_state() == "running"


def test_a_complete_one_of_other_ports_is_an_error_that_says_what_to_do(
    node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("exec", node, "touch", kind.COMPLETE)
    monkeypatch.setattr(kind, "node_ports", lambda: {8081: 30080})

    with pytest.raises(ClusterError, match=r"not answer on 8081, as kind-config.yaml has it: .*`make cluster-down`"):
        up._node()


def test_a_complete_one_that_was_stopped_is_started(node: str) -> None:
    run("exec", node, "touch", kind.COMPLETE)
    run("stop", "--time", "0", node)
    assert kind.is_complete()

    with pytest.raises(ClusterError, match="its Kubernetes API does not answer"):
        up._node()
    assert kind.node_state() == "running"


def test_an_engine_that_cannot_tell_is_an_error_and_no_reason_to_make_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, 125, "", "Error: database is locked\n")

    monkeypatch.setattr(kind, "run", fail)

    with pytest.raises(ClusterError, match=r"cannot tell what there is of .*:\nError: database is locked"):
        up._node()


def test_without_one_there_is_none_to_keep_and_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "NODE", "user-analytics-test-none")

    with pytest.raises(AssertionError, match="made anew"):
        up._node()
