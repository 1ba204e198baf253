"""The parts of the cluster: which are ready, and what keeps the others from it."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from kubernetes.client import AppsV1Api, CoreV1Api, V1Pod, V1PodStatus

from user_analytics.cluster.release_records import Server, newest_revision, present_workloads

INSTANCE = "app.kubernetes.io/instance"
NOT_INSTALLED = "it is not installed: run `make cluster-up`"
ABSENT = "it is not there: run `make cluster-up`, which makes it"
STOPPED = "it is stopped: run `make cluster-up`"
# Behind the name of a pod in the kubelet's messages: the part's name has the namespace, and no command takes the UID.
NAMESPACE_AND_UID = re.compile(r"_[a-z0-9-]+\([0-9a-f-]{36}\)")
# Conditions of a node that are bad when they hold.
PRESSURE = {"MemoryPressure", "DiskPressure", "PIDPressure"}


class Part(NamedTuple):
    """A server of the cluster; `problem` is empty when it is ready."""

    name: str
    problem: str


def pod_problem(pod: V1Pod) -> str:
    """Why a pod is not ready, in Kubernetes' words; empty when it is, or when it has done its work."""
    status = pod.status
    if status is None or status.phase == "Succeeded":
        return ""
    if has_failed(pod):
        return _failure(status)
    for container in [*(status.init_container_statuses or []), *(status.container_statuses or [])]:
        waiting = container.state.waiting if container.state else None
        if waiting and waiting.reason not in {"PodInitializing", "ContainerCreating"}:
            return f"{waiting.reason}: {NAMESPACE_AND_UID.sub('', waiting.message or container.image)}"
    for condition in status.conditions or []:
        if condition.type in {"PodScheduled", "Ready"} and condition.status != "True":
            return _told(condition.reason, condition.message)
    return ""


def has_failed(pod: V1Pod) -> bool:
    """Whether a pod is over, and not well; controllers leave such pods behind."""
    return pod.status is not None and pod.status.phase == "Failed"


def _failure(status: V1PodStatus) -> str:
    if status.reason:  # as of an eviction
        return _told(status.reason, status.message)
    containers = [*(status.init_container_statuses or []), *(status.container_statuses or [])]
    ends = [(each.name, each.state.terminated) for each in containers if each.state and each.state.terminated]
    codes = [
        f"its container {name} ended with exit code {end.exit_code} ({end.reason})"
        for name, end in ends
        if end.exit_code
    ]
    return "; ".join(codes) or _told("it has failed", status.message)


def _told(reason: str | None, message: str | None) -> str:
    return ": ".join(filter(None, [reason, message]))


def parts(core: CoreV1Api, apps: AppsV1Api, releases: Collection[tuple[str, str]]) -> list[Part]:
    """The node, every Deployment and StatefulSet, and what is missing of the releases (namespace, name) to be there."""
    pods = core.list_pod_for_all_namespaces().items
    present = present_workloads(apps)
    installed = {(workload.namespace, _labels(server).get(INSTANCE)) for workload, server in present.items()}
    missing: list[Part] = []
    for namespace, name in releases:
        newest = newest_revision(core, namespace, name)
        if newest and newest.workloads:
            gone = newest.workloads - present.keys()
            missing += [Part(f"{workload.namespace}/{workload.name}", ABSENT) for workload in gone]
        elif (namespace, name) not in installed:
            missing.append(Part(f"{namespace}/{name}", NOT_INSTALLED))
    return [_node(core), *sorted(missing + [_part(server, pods) for server in present.values()])]


def _part(server: Server, pods: Sequence[V1Pod]) -> Part:
    # optional in the client's types, never absent from an answer
    assert server.metadata and server.spec and server.status  # noqa: S101, PT018
    name = f"{server.metadata.namespace}/{server.metadata.name}"
    if server.spec.replicas == 0:
        return Part(name, STOPPED)
    if (server.status.ready_replicas or 0) >= (server.spec.replicas or 1):
        return Part(name, "")
    labels = (server.spec.selector.match_labels or {}).items()
    own = [pod for pod in pods if _namespace(pod) == server.metadata.namespace and labels <= _labels(pod).items()]
    return Part(name, why_not_ready(own))


def why_not_ready(pods: Sequence[V1Pod]) -> str:
    """Why a server with these pods is not ready; never empty."""
    present = [pod for pod in pods if not has_failed(pod)] or pods
    return next(filter(None, map(pod_problem, present)), "it is starting" if pods else "it has no pod yet")


def _node(core: CoreV1Api) -> Part:
    statuses = [node.status for node in core.list_node().items]
    conditions = [condition for status in statuses if status for condition in status.conditions or []]
    ready = [condition for condition in conditions if condition.type == "Ready"]
    if not ready:
        return Part("node", "it has not told its state yet")
    problems = [f"{each.reason}: {each.message}" for each in ready if each.status != "True"]
    problems += [
        f"{each.reason}: {each.message}" for each in conditions if each.type in PRESSURE and each.status == "True"
    ]
    return Part("node", "; ".join(problems))


def _labels(something: V1Pod | Server) -> dict[str, str]:
    return (something.metadata and something.metadata.labels) or {}


def _namespace(something: V1Pod | Server) -> str | None:
    return something.metadata.namespace if something.metadata else None
