"""What an engine's answers say of the node: a cluster is never lost to one that is misread."""

import json
import subprocess
from collections.abc import Callable, Mapping

import pytest

from user_analytics.cluster import kind
from user_analytics.errors import ClusterError

NO_FILE = {
    "podman": 'Error: "{file}" could not be found on container {node}: no such file or directory',
    "docker": "Error response from daemon: Could not find the file {file} in container {node}",
}
NO_NODE = {
    "podman": 'Error: container "{node}" does not exist',
    "docker": "Error response from daemon: No such container: {node}",
}
OTHER = {
    "another file": 'Error: "/var/lib/containers/storage/overlay/l" does not exist',
    "a mount": 'Error: "{file}" could not be found on container {node}: mounting {node}: no such file or directory',
    "another container": 'Error: container "another" does not exist',
}
Answers = Callable[[Mapping[str, tuple[int, str, str]]], None]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Give the engine's answers, by a word of its command: exit code, standard output, standard error."""

    def give(by_word: Mapping[str, tuple[int, str, str]]) -> None:
        def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
            command = " ".join(arguments)
            found = next((answer for word, answer in by_word.items() if word in command), (0, "", ""))
            return subprocess.CompletedProcess(arguments, *found)

        monkeypatch.setattr(kind, "run", run)
        monkeypatch.setattr(kind, "engine", lambda: "podman")

    return give


@pytest.mark.parametrize("message", [*NO_FILE.values(), *NO_NODE.values()])
def test_a_node_without_the_mark_and_no_node_are_not_complete(answers: Answers, message: str) -> None:
    answers({"cp": (1, "", message.format(file=kind.COMPLETE, node=kind.NODE))})

    assert not kind.is_complete()


@pytest.mark.parametrize("message", OTHER.values(), ids=OTHER)
def test_what_else_is_missing_says_nothing_of_the_mark(answers: Answers, message: str) -> None:
    answers({"cp": (125, "", message.format(file=kind.COMPLETE, node=kind.NODE))})

    with pytest.raises(ClusterError, match="cannot tell what there is of"):
        kind.is_complete()


def published(ports: Mapping[int, int]) -> str:
    return json.dumps(
        {f"{inner}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(outer)}] for outer, inner in ports.items()}
    )


@pytest.mark.parametrize("bindings", ["null", "{}", published({8080: 80, 9001: 30901, 18080: 30180})])
def test_a_cluster_whose_pages_could_not_answer_is_not_taken_over(answers: Answers, bindings: str) -> None:
    answers({"PortBindings": (0, bindings, "")})

    with pytest.raises(ClusterError, match=r"8080.*`kind create cluster --config kind-config.yaml`"):
        kind.adopt()


def test_one_of_several_nodes_is_not_taken_over(answers: Answers) -> None:
    answers(
        {
            "PortBindings": (0, published(kind.node_ports()), ""),
            "State.Status": (0, "running\n", ""),
            "get nodes": (0, "node/user-analytics-control-plane\nnode/user-analytics-worker\n", ""),
        }
    )

    with pytest.raises(ClusterError, match=r"more than one node.*`make cluster-down`"):
        kind.adopt()
