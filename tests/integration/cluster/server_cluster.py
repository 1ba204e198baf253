"""The servers on a real API server with its controllers. No kubelet runs a pod: `Kubelet` says what one would say."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Self

from kubernetes.client import AppsV1Api, BatchV1Api, CoreV1Api

from tests.fixtures.forked import forked
from tests.fixtures.kubernetes_api import KubernetesApi, collection
from user_analytics.cluster import servers
from user_analytics.cluster.secrets import JOBS, SERVERS

# What Pod Security *restricted* asks for: other tests may have made the namespaces of our manifests.
CONTAINER = {
    "name": "server",
    "image": "none",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD = {
    "containers": [CONTAINER],
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
}
POLL_SECONDS = 0.05
AT_ONCE: dict[str, Any] = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
STATEFUL_SETS, JOB = ("apps/v1", "StatefulSet"), ("batch/v1", "Job")
CLAIMS, PODS, QUOTAS = ("v1", "PersistentVolumeClaim"), ("v1", "Pod"), ("v1", "ResourceQuota")
VOLUMES = collection("v1", "PersistentVolume", None)


class Kubelet:
    """Says of each server's pod that it is ready, if `servers_are_ready`, and of each Job's that it has `job_phase`."""

    def __init__(self, api: KubernetesApi) -> None:
        self.servers_are_ready, self.job_phase = True, "Succeeded"
        self.at_work = Lock()
        self._api, self._ended, self._thread = api, Event(), Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            with self.at_work:
                for pod in self._api.request("GET", in_servers(*PODS), fieldSelector="status.phase=Pending")["items"]:
                    self._tell(pod["metadata"])

    def _tell(self, pod: dict[str, Any]) -> None:
        status: dict[str, Any] | None = None
        if "batch.kubernetes.io/job-name" in pod.get("labels", {}):
            status = {"phase": self.job_phase}
        elif self.servers_are_ready:
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        if status:
            path = f"{in_servers(*PODS)}/{pod['name']}/status"
            self._api.request("PATCH", path, {"status": status}, but={404})  # it may have gone meanwhile


class ServerCluster:
    """The servers' StatefulSets, claims and volumes, and the Jobs that charts run at each upgrade."""

    def __init__(self, api: KubernetesApi, directory: Path) -> None:
        self.api = api
        self.client = api.client()
        self.core, self.apps, self.batch = CoreV1Api(self.client), AppsV1Api(self.client), BatchV1Api(self.client)
        self.kubelet = Kubelet(api)
        self.volumes = {name: directory / name for name in servers.NAMES}
        self._directory = directory

    def __enter__(self) -> Self:
        self.api.make_namespaces(SERVERS, JOBS)
        for namespace in (SERVERS, JOBS):
            self._clean(namespace)
        for name, folder in self.volumes.items():
            self.make(_server(name), _volume(name, folder), _claim(name))
        self.kubelet.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kubelet.stop()
        for namespace in (SERVERS, JOBS):
            self._clean(namespace)
        self.api.request("DELETE", VOLUMES, **AT_ONCE)
        self.wait(lambda: not self.api.request("GET", VOLUMES)["items"])

    def put_back(self) -> None:
        """Undo what a test did: the servers run on what they had at first, and nothing else is there."""
        self.kubelet.servers_are_ready, self.kubelet.job_phase = True, "Succeeded"
        self.api.request("DELETE", collection(*JOB, SERVERS), **AT_ONCE)
        self.api.request("DELETE", collection(*PODS, JOBS), **AT_ONCE)
        shutil.rmtree(self._directory)
        for name, folder in self.volumes.items():
            folder.mkdir(parents=True)
            self.api.request("POST", in_servers(*CLAIMS), _claim(name), but={409})
        self.write("before")
        self.scale(1)
        self.wait(lambda: not self._names(PODS, labelSelector="batch.kubernetes.io/job-name"))
        servers.wait_until_ready(self.client)

    def make(self, *bodies: dict[str, Any]) -> None:
        self.api.make(*bodies)

    def make_pod_at_work(self) -> None:
        """A pod of the pipeline, which keeps the servers from being stopped."""
        self.make({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "driver", "namespace": JOBS}, "spec": POD})

    def make_hook(self, name: str) -> None:
        """A Job that Helm ran after an upgrade."""
        hook = {"helm.sh/hook": "post-install,post-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
        self._make_job(name, hook, {"of": name})

    def make_migration(self, name: str) -> None:
        """The Job of Airflow's chart, with what Helm adds to what is a release's."""
        labels = {"of": name, "app.kubernetes.io/component": "migrate"}
        self._make_job(name, {"meta.helm.sh/release-name": "airflow"}, labels)

    def _make_job(self, name: str, annotations: dict[str, str], labels: dict[str, str]) -> None:
        metadata = {"name": name, "namespace": SERVERS, "annotations": annotations, "labels": labels}
        template = {"metadata": {"labels": labels}, "spec": {**POD, "restartPolicy": "Never"}}
        spec = {"template": template, "backoffLimit": 0}
        self.make({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})

    def replicas(self) -> dict[str, int]:
        found = self.api.request("GET", in_servers(*STATEFUL_SETS))["items"]
        return {each["metadata"]["name"]: each["spec"]["replicas"] for each in found}

    def scale(self, replicas: int) -> None:
        """What a command that was then killed has left."""
        for name in servers.NAMES:
            self.api.request("PATCH", f"{in_servers(*STATEFUL_SETS)}/{name}", {"spec": {"replicas": replicas}})

    def pods(self) -> dict[str, str]:
        """The servers' pods: the uid of each by name."""
        return self._names(PODS, labelSelector="server")

    def write(self, what: str) -> None:
        """Have the servers have this data."""
        for name, folder in self.volumes.items():
            (folder / "content").write_text(f"{name} {what}")

    def contents(self) -> set[str]:
        """Which data the servers have, `before` or another, without their names."""
        return {(folder / "content").read_text().removeprefix(f"{name} ") for name, folder in self.volumes.items()}

    @contextmanager
    def forked(self, work: Callable[[], object]) -> Iterator[ForkProcess]:
        """Work done by another process, a copy of this one in which the kubelet, a thread, holds no lock for ever."""
        with ExitStack() as stack:
            with self.kubelet.at_work:
                process = stack.enter_context(forked(work))
            yield process

    def beside_volumes(self) -> set[str]:
        """What lies in the node beside the volumes."""
        [parent] = {folder.parent for folder in self.volumes.values()}
        return {path.name for path in parent.iterdir()} - set(servers.NAMES)

    def wait(self, condition: Callable[[], Any], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(POLL_SECONDS)

    def _names(self, kind: tuple[str, str], **options: Any) -> dict[str, str]:
        found = self.api.request("GET", in_servers(*kind), **options)["items"]
        return {each["metadata"]["name"]: each["metadata"]["uid"] for each in found}

    def _clean(self, namespace: str) -> None:
        kinds = [collection(*kind, namespace) for kind in (STATEFUL_SETS, JOB, PODS, CLAIMS, QUOTAS)]
        for kind in kinds:
            self.api.request("DELETE", kind, **AT_ONCE)
        self.wait(lambda: not any(self.api.request("GET", kind)["items"] for kind in kinds))


def in_servers(version: str, kind: str) -> str:
    """Where the API has all of the servers' objects of a kind."""
    return collection(version, kind, SERVERS)


def _server(name: str) -> dict[str, Any]:
    pod = {**POD, "containers": [{**CONTAINER, "name": name}]}
    template = {"metadata": {"labels": {"server": name}}, "spec": pod}
    spec = {"serviceName": name, "selector": {"matchLabels": {"server": name}}, "template": template}
    metadata = {"name": name, "namespace": SERVERS}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def _volume(name: str, folder: Path) -> dict[str, Any]:
    size = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    spec = {**size, "hostPath": {"path": str(folder)}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pv-{name}"}, "spec": spec}


def _claim(name: str) -> dict[str, Any]:
    metadata = {"name": f"data-{name}-0", "namespace": SERVERS}
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec = {**wanted, "volumeName": f"pv-{name}"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
