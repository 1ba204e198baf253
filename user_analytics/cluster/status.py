"""`make cluster-status`: every part of the cluster, ready or why not. Exit code 1 when one is not ready."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from kubernetes import config
from kubernetes.client import AppsV1Api, CoreV1Api, V1Pod
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from user_analytics.cluster import kind
from user_analytics.errors import UserAnalyticsError

NAMESPACES = ("user-analytics", "spark-operator")


class Part(NamedTuple):
    """A server of the cluster; `problem` is empty when it is ready."""

    name: str
    problem: str


def pod_problem(pod: V1Pod) -> str:
    """Why a pod is not ready, in Kubernetes' words; empty when it is, or when it has done its work."""
    status = pod.status
    if status is None or status.phase == "Succeeded":
        return ""
    for container in [*(status.init_container_statuses or []), *(status.container_statuses or [])]:
        waiting = container.state.waiting if container.state else None
        if waiting and waiting.reason not in {"PodInitializing", "ContainerCreating"}:
            return f"{waiting.reason}: {waiting.message or container.image}"
    for condition in status.conditions or []:
        if condition.type in {"PodScheduled", "Ready"} and condition.status != "True":
            return f"{condition.reason}: {condition.message}"
    return ""


def parts(core: CoreV1Api, apps: AppsV1Api) -> list[Part]:
    """The node and every Deployment and StatefulSet of the project, with what keeps it from being ready."""
    found = [_node(core)]
    for namespace in NAMESPACES:
        pods = core.list_namespaced_pod(namespace).items
        for kind_of_server in (apps.list_namespaced_stateful_set, apps.list_namespaced_deployment):
            for server in kind_of_server(namespace).items:
                # optional in the client's types, never absent from an answer
                assert server.metadata and server.status  # noqa: S101, PT018
                labels = server.spec.selector.match_labels or {}
                own = [pod for pod in pods if labels.items() <= _labels(pod).items()]
                ready = (server.status.ready_replicas or 0) >= (server.spec.replicas or 0)
                found.append(Part(f"{namespace}/{server.metadata.name}", "" if ready else _why(own)))
    return found


def _why(pods: Sequence[V1Pod]) -> str:
    return next(filter(None, map(pod_problem, pods)), "it has no pod yet" if not pods else "it is starting")


def _node(core: CoreV1Api) -> Part:
    statuses = [node.status for node in core.list_node().items]
    conditions = [condition for status in statuses if status for condition in status.conditions or []]
    ready = [condition for condition in conditions if condition.type == "Ready"]
    if not ready:
        return Part("node", "it has not told its state yet")
    problems = [f"{condition.reason}: {condition.message}" for condition in ready if condition.status != "True"]
    return Part("node", "; ".join(problems))


def _labels(pod: V1Pod) -> dict[str, str]:
    return (pod.metadata and pod.metadata.labels) or {}


def main() -> int:
    """Print a line for each part; exit code 1 when one is not ready or the cluster does not answer."""
    try:
        state = kind.node_state()
        if state != "running":
            problem = f"its node is {state}" if state else "there is none"
            print(f"cluster: {problem}. Run `make cluster-up`", file=sys.stderr)  # noqa: T201
            return 1
        client = config.new_client_from_config(context=kind.CONTEXT)
        found = parts(CoreV1Api(client), AppsV1Api(client))
    except (UserAnalyticsError, ConfigException, HTTPError, OSError) as error:
        print(f"cluster: it does not answer: {error}", file=sys.stderr)  # noqa: T201
        return 1
    for part in found:
        print(f"{part.name:<48} {part.problem or 'ready'}")  # noqa: T201
    return 1 if any(part.problem for part in found) else 0


if __name__ == "__main__":
    sys.exit(main())
