"""The kind cluster: one node, in a container of the engine."""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml
from kubernetes import config
from kubernetes.client import ApiClient

from user_analytics.cluster.engine import engine, kind_environment, run, save_images
from user_analytics.cluster.go_programs import program_file
from user_analytics.cluster.versions import REQUIREMENTS
from user_analytics.cluster.workspace import workspace
from user_analytics.errors import ClusterError

CHECKOUT = REQUIREMENTS.parent
CONFIGURATION = CHECKOUT / "kind-config.yaml"
CLUSTER = "user-analytics"
NODE = f"{CLUSTER}-control-plane"
CONTEXT = f"kind-{CLUSTER}"
# kind's own network; all kind clusters of the machine share it.
NETWORK = "kind"
START_SECONDS = 300.0
# A file of the node that is written once kind is done with it.
COMPLETE = "/kind/complete"
STALE_LOCK_SECONDS = 60.0
# How podman and docker say that there is no such container, or no such file in it.
ABSENT = ("no such", "does not exist", "could not find")


def node_state() -> str | None:
    """The state of the node's container, as `running` or `exited`; None when there is none."""
    found = run("container", "inspect", "--format", "{{.State.Status}}", NODE, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def is_complete() -> bool:
    """Whether there is a node that was made to the end, running or not. Only another one may be made anew.

    Raises ClusterError when the engine cannot tell: to take that for a no would cost a cluster its data.
    """
    looked = run("cp", f"{NODE}:{COMPLETE}", "-", check=False)
    if looked.returncode != 0 and not any(words in looked.stderr.lower() for words in ABSENT):
        raise ClusterError(f"{engine()} cannot tell what there is of {NODE}:\n{looked.stderr.strip()}")
    return looked.returncode == 0


def connect() -> ApiClient:
    """A client of its API. Raises ClusterError when there is no cluster, or when its node does not run."""
    state = node_state()
    if state != "running":
        raise ClusterError(
            f"{f'the node of the cluster is {state}' if state else 'there is no cluster'}: `make cluster-up`"
        )
    client: ApiClient = config.new_client_from_config(context=CONTEXT)
    return client


def node_ports() -> dict[int, int]:
    """Ports of this machine that kind-config.yaml leads into the node, with the node's port of each."""
    [node] = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))["nodes"]
    return {mapping["hostPort"]: mapping["containerPort"] for mapping in node["extraPortMappings"]}


def create(image: str) -> None:
    """Make the cluster and wait until its node is ready; what an earlier try left goes first. Raises ClusterError."""
    delete()
    _kind("create", "cluster", "--config", str(CONFIGURATION), "--image", image, "--wait", "180s")
    run("exec", NODE, "touch", COMPLETE)


def start() -> None:
    """Start the node unless it runs, and wait for its API, as after a restart of the machine. Raises ClusterError."""
    if node_state() != "running":
        run("start", NODE)
    deadline = time.monotonic() + START_SECONDS
    while not _answers():
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the node runs, and its Kubernetes API does not answer after {START_SECONDS:.0f} s. Look at it: "
                f"`{engine()} exec {NODE} journalctl --unit kubelet`. `make cluster-down` removes it with all data"
            )
        time.sleep(1)


def delete() -> None:
    """Remove the cluster with its volumes and its entries in the kubeconfig; harmless when there is none."""
    _unlock_kubeconfig()
    _kind("delete", "cluster", "--name", CLUSTER)
    # kind takes those of a container with it; one that was killed may have made a volume and no container yet
    for volume in run("volume", "ls", "--quiet", "--filter", f"label={NODE}").stdout.split():
        run("volume", "rm", volume)


def delete_network() -> None:
    """Remove kind's network unless another cluster uses it."""
    run("network", "rm", NETWORK, check=False)


def loaded_images() -> set[str]:
    """The names of the images in the node."""
    listed = run("exec", NODE, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet")
    return set(listed.stdout.split())


def load_images(references: Sequence[str]) -> None:
    """Put images of the engine into the node, under all these names."""
    with workspace() as directory:
        archive = directory / "images.tar"
        save_images(references, archive)
        _kind("load", "image-archive", str(archive), "--name", CLUSTER)


def name_image(reference: str, other: str) -> None:
    """Give an image in the node another name, which may have been another image's."""
    run("exec", NODE, "ctr", "--namespace", "k8s.io", "images", "tag", "--force", reference, other)


def _answers() -> bool:
    command = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=10s", "get", "--raw=/readyz")
    return run("exec", NODE, *command, check=False).returncode == 0


def _unlock_kubeconfig() -> None:
    """Remove the lock of a kind or kubectl that was killed while it wrote; it takes them no second."""
    for file in (os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")).split(os.pathsep):
        lock = Path(f"{file}.lock")
        with suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > STALE_LOCK_SECONDS:
                lock.unlink()


def _kind(*arguments: str) -> None:
    if engine() == "podman" and os.geteuid() != 0 and not os.environ.get("XDG_RUNTIME_DIR"):
        raise ClusterError("rootless podman needs XDG_RUNTIME_DIR: log in anew, or run as root")
    command = [str(program_file("kind")), *arguments]
    done = subprocess.run(command, env=kind_environment(), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-25:])
        raise ClusterError(f"kind {' '.join(arguments[:2])} failed:\n{tail}")
