"""The servers that keep data in the cluster, each a StatefulSet of one pod: stopped together, and running again."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api, V1StatefulSet

from user_analytics.cluster import volumes
from user_analytics.cluster.parts import why_not_ready
from user_analytics.cluster.secrets import JOBS, SERVERS
from user_analytics.errors import ClusterError

NAMES = ("minio", "postgres", "bigquery-emulator")
STOP_SECONDS = 120.0
START_SECONDS = 300.0
POLL_SECONDS = 1.0


def folders(api: ApiClient) -> dict[str, str]:
    """The folder of the node that is the volume of each server. Raises ClusterError when there is none."""
    return {name: volumes.folder(CoreV1Api(api), SERVERS, volumes.claim_of(name)) for name in NAMES}


@contextmanager
def stopped(api: ApiClient) -> Iterator[None]:
    """All servers are stopped inside, and run again afterwards, whatever happens but SIGKILL. Raises as `stop`."""
    stop(api)
    try:
        yield
    finally:
        start(api)


def stop(api: ApiClient) -> None:
    """Stop all servers. Raises ClusterError when that cannot be; they run on then, or again.

    Pods of the pipeline that are at work would lose what they do: with one the servers stay as they are. From now on
    SIGTERM and SIGHUP end this process as SystemExit.
    """
    _end_as_exception()
    _refuse_while_at_work(CoreV1Api(api))
    try:
        stop_at_once(api)
    except BaseException:
        start(api)
        raise


def stop_at_once(api: ApiClient) -> None:
    """Stop all servers, whoever is at work. Raises ClusterError when one does not stop."""
    core, apps = CoreV1Api(api), AppsV1Api(api)
    selectors = {name: _selector(apps.read_namespaced_stateful_set(name, SERVERS)) for name in NAMES}
    for name in NAMES:
        _scale(apps, name, 0)
    for name, selector in selectors.items():
        _wait_until_gone(core, name, selector)


def start(api: ApiClient) -> None:
    """Have all servers started."""
    for name in NAMES:
        _scale(AppsV1Api(api), name, 1)


def wait_until_ready(api: ApiClient) -> None:
    """Wait until all servers are ready. Raises ClusterError naming one that is not, and why."""
    core, apps = CoreV1Api(api), AppsV1Api(api)
    deadline = time.monotonic() + START_SECONDS
    for name in NAMES:
        while not _is_ready(server := apps.read_namespaced_stateful_set(name, SERVERS)):
            if time.monotonic() > deadline:
                pods = core.list_namespaced_pod(SERVERS, label_selector=_selector(server)).items
                raise ClusterError(f"{name} does not become ready: {why_not_ready(pods)}")
            time.sleep(POLL_SECONDS)


def left_stopped(api: ApiClient) -> list[str]:
    """The servers that were stopped and not started again."""
    found = AppsV1Api(api).list_namespaced_stateful_set(SERVERS).items
    left = {each.metadata.name for each in found if each.metadata and each.spec and each.spec.replicas == 0}
    return [name for name in NAMES if name in left]


def have_volumes(api: ApiClient) -> bool:
    """Whether every server has a volume, which it gets when it is first installed."""
    return volumes.bound_claims(CoreV1Api(api), SERVERS) >= {volumes.claim_of(name) for name in NAMES}


def _refuse_while_at_work(core: CoreV1Api) -> None:
    pods = core.list_namespaced_pod(JOBS, field_selector="status.phase!=Succeeded,status.phase!=Failed").items
    at_work = sorted(str(pod.metadata.name) for pod in pods if pod.metadata)
    if at_work:
        raise ClusterError(f"at work in {JOBS}: {', '.join(at_work)}. Wait until it has ended, or delete it")


def _scale(apps: AppsV1Api, name: str, replicas: int) -> None:
    apps.patch_namespaced_stateful_set_scale(name, SERVERS, {"spec": {"replicas": replicas}})


def _wait_until_gone(core: CoreV1Api, name: str, selector: str) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while core.list_namespaced_pod(SERVERS, label_selector=selector).items:
        if time.monotonic() > deadline:
            raise ClusterError(f"{name} does not stop: its pod is there after {STOP_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _selector(server: V1StatefulSet) -> str:
    labels = (server.spec and server.spec.selector.match_labels) or {}
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _is_ready(server: V1StatefulSet) -> bool:
    status, metadata = server.status, server.metadata
    current = bool(status and metadata and status.observed_generation == metadata.generation)
    return current and bool(status and status.ready_replicas)


def _end_as_exception() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> Never:
    sys.exit(128 + number)
