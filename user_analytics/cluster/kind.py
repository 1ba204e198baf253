"""The kind cluster: one node, in a container of the engine."""

import errno
import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, StorageV1Api

from user_analytics.cluster.engine import engine, kind_environment, run, saved_images
from user_analytics.cluster.go_programs import program_file
from user_analytics.cluster.versions import REQUIREMENTS
from user_analytics.errors import ClusterError

CHECKOUT = REQUIREMENTS.parent
CONFIGURATION = CHECKOUT / "kind-config.yaml"
CLUSTER = "user-analytics"
NODE = f"{CLUSTER}-control-plane"
CONTEXT = f"kind-{CLUSTER}"
# Where kind-config.yaml has them listen.
PAGES_HOST = "127.0.0.1"
# kind's own network; all kind clusters of the machine share it.
NETWORK = "kind"
START_SECONDS = 300.0
READY_SECONDS = 60
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# Mounted into the nodes that are made here, from their first moment on. Others, of kind alone, lack it.
OURS = "/kind/made-by-cluster-up"
KEEPS_PORTS = (
    f"as {CONFIGURATION.name} has it: a node keeps the ports that it was made with until `make cluster-down`. "
    "Write those into the file, or make the cluster anew, without its data"
)
# A file of the node that is written once kind is done with it.
COMPLETE = "/kind/complete"
STALE_LOCK_SECONDS = 60.0


def node_state() -> str | None:
    """The state of the node's container, as `running` or `exited`; None when there is none. Raises ClusterError."""
    state = _look("container", "inspect", "--format", "{{.State.Status}}", NODE)
    return state and state.strip()


def is_complete() -> bool:
    """Whether there is a node that was made to the end, running or not. Raises ClusterError."""
    # no less: what is taken for a no has `create` remove the cluster
    no_file = (
        f'"{COMPLETE}" could not be found on container {NODE}: no such file or directory',
        f"could not find the file {COMPLETE} in container",
    )
    return _look("cp", f"{NODE}:{COMPLETE}", "-", absent=no_file) is not None


def is_foreign() -> bool:
    """Whether there is a node that was not made here, but by kind alone. Raises ClusterError."""
    mounts = _look("container", "inspect", "--format", "{{range .Mounts}}{{println .Destination}}{{end}}", NODE)
    return mounts is not None and OURS not in mounts.split()


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


def taken_ports() -> list[str]:
    """Addresses of `node_ports` where something listens: the node itself, if there is one."""
    return [f"{PAGES_HOST}:{port}" for port in node_ports() if _is_taken(port)]


def create(image: str) -> None:
    """Make the cluster and wait until its node is ready; what an earlier try left goes first. Raises ClusterError."""
    delete()
    configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    [node] = configuration["nodes"]
    node["extraMounts"] = [{"hostPath": os.devnull, "containerPath": OURS, "readOnly": True}]
    command = ("create", "cluster", "--config", "-", "--image", image, "--wait", "180s")
    _kind(*command, text=yaml.safe_dump(configuration))
    run("exec", NODE, "touch", COMPLETE)


def adopt() -> None:
    """Take over a cluster that kind alone made, as it is.

    Raises ClusterError when it is not whole, and what the client raises when its API does not answer or refuses.
    """
    if closed := closed_ports():
        raise _not_whole(
            f"its node does not answer on {' and '.join(map(str, closed))} of this machine, which only "
            f"a new one can, of `kind create cluster --config {CONFIGURATION.name}`"
        )
    start()
    if _kubectl("wait", "--for=condition=Ready", "node", "--all", f"--timeout={READY_SECONDS}s").returncode != 0:
        raise _not_whole("its node is not ready")
    if len(_kubectl("get", "nodes", "--output=name").stdout.split()) > 1:
        # images come by a pipe, which one of them reads
        raise _not_whole("it has more than one node")
    if not _has_default_class():
        raise _not_whole(f"it has no default StorageClass. One with the annotation {DEFAULT_CLASS}=true makes it whole")
    _unlock_kubeconfig()
    _kind("export", "kubeconfig", "--name", CLUSTER)
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
    """Put images of the engine into the node, under all these names. Raises ClusterError."""
    with saved_images(references) as archive:
        _kind("load", "image-archive", "/dev/stdin", "--name", CLUSTER, stream=archive)


def name_image(reference: str, other: str) -> None:
    """Give an image in the node another name, which may have been another image's."""
    run("exec", NODE, "ctr", "--namespace", "k8s.io", "images", "tag", "--force", reference, other)


def _not_whole(missing: str) -> ClusterError:
    return ClusterError(
        f"the cluster {CLUSTER}, which `make cluster-up` did not make, is not whole: {missing}. "
        "`make cluster-down` removes it with all data"
    )


def published_ports() -> set[tuple[int, int]]:
    """Ports of this machine that lead into the node, whether it runs or not, each with the node's port."""
    inspected = _look("container", "inspect", "--format", "{{json .HostConfig.PortBindings}}", NODE)
    bindings = json.loads(inspected or "null") or {}
    return {
        (int(binding["HostPort"]), int(port.removesuffix("/tcp")))
        for port, host in bindings.items()
        if port.endswith("/tcp")
        for binding in host or ()
        if binding["HostPort"]
    }


def closed_ports() -> list[int]:
    """Those of `node_ports` that do not lead into the node that is there."""
    return sorted(port for port, _ in node_ports().items() - published_ports())


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # what was closed a moment ago takes no port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((PAGES_HOST, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _look(*arguments: str, absent: Sequence[str] = ()) -> str | None:
    """What the engine says of the node, or None when there is no node, or when it says one of the texts `absent`.

    Raises ClusterError when it cannot tell: to take that for a no would cost a cluster its data.
    """
    looked = run(*arguments, check=False)
    if looked.returncode == 0:
        return looked.stdout
    # podman and docker, in lower case
    no_node = ("no such container", "no such object", f'container "{NODE}" does not exist')
    if any(words in looked.stderr.lower() for words in (*no_node, *absent)):
        return None
    raise ClusterError(f"{engine()} cannot tell what there is of {NODE}:\n{looked.stderr.strip()}")


def _has_default_class() -> bool:
    # not by the user's kubeconfig, into which no cluster comes that is refused
    kubeconfig = yaml.safe_load(_kind("get", "kubeconfig", "--name", CLUSTER))
    with config.new_client_from_config_dict(kubeconfig) as client:
        classes = StorageV1Api(client).list_storage_class().items
    annotations = [each.metadata.annotations or {} for each in classes if each.metadata]
    return any(each.get(DEFAULT_CLASS) == "true" for each in annotations)


def _answers() -> bool:
    return _kubectl("--request-timeout=10s", "get", "--raw=/readyz").returncode == 0


def _kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The node's own, which needs nothing of this machine."""
    return run("exec", NODE, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments, check=False)


def _unlock_kubeconfig() -> None:
    """Remove the lock of a kind or kubectl that was killed while it wrote; it takes them no second."""
    for file in (os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")).split(os.pathsep):
        lock = Path(f"{file}.lock")
        with suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > STALE_LOCK_SECONDS:
                lock.unlink()


def _kind(*arguments: str, text: str | None = None, stream: IO[bytes] | None = None) -> str:
    """Run kind on a text or a stream, if it reads one; what it prints. Raises ClusterError with what it said last."""
    if engine() == "podman" and os.geteuid() != 0 and not os.environ.get("XDG_RUNTIME_DIR"):
        raise ClusterError("rootless podman needs XDG_RUNTIME_DIR: log in anew, or run as root")
    command = [str(program_file("kind")), *arguments]
    done = subprocess.run(  # noqa: S603
        command, input=text, stdin=stream, env=kind_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-25:])
        raise ClusterError(f"kind {' '.join(arguments[:2])} failed:\n{tail}")
    return done.stdout
