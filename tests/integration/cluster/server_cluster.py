"""The servers on a real API server with its controllers. No kubelet runs a pod: `Kubelet` says what one would say."""

import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import yaml
from kubernetes.client import ApiClient, ApiException, AppsV1Api, BatchV1Api, CoreV1Api, V1Pod

from tests.fixtures.kubernetes_api import KubernetesApi
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
AT_ONCE: dict[str, Any] = {"grace_period_seconds": 0, "propagation_policy": "Background"}


class Kubelet:
    """Says of each server's pod that it is ready, if `servers_are_ready`, and of each Job's that it has `job_phase`."""

    def __init__(self, client: ApiClient) -> None:
        self.servers_are_ready, self.job_phase = True, "Succeeded"
        self._core, self._ended, self._thread = CoreV1Api(client), Event(), Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            for pod in self._core.list_namespaced_pod(SERVERS, field_selector="status.phase=Pending").items:
                self._tell(pod)

    def _tell(self, pod: V1Pod) -> None:
        assert pod.metadata
        assert pod.metadata.name
        status: dict[str, Any] | None = None
        if "batch.kubernetes.io/job-name" in (pod.metadata.labels or {}):
            status = {"phase": self.job_phase}
        elif self.servers_are_ready:
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        if status:
            try:
                self._core.patch_namespaced_pod_status(pod.metadata.name, SERVERS, {"status": status})
            except ApiException as error:
                if error.status != 404:  # it went meanwhile
                    raise


class ServerCluster:
    """The servers' StatefulSets, claims and volumes, and the Jobs that charts run at each upgrade."""

    def __init__(self, api: KubernetesApi, directory: Path) -> None:
        self.api = api
        self.client = api.client()
        self.core, self.apps, self.batch = CoreV1Api(self.client), AppsV1Api(self.client), BatchV1Api(self.client)
        self.kubelet = Kubelet(api.client())
        self.volumes = {name: directory / name for name in servers.NAMES}

    def __enter__(self) -> Self:
        self.api.make_namespaces(SERVERS, JOBS)
        for namespace in (SERVERS, JOBS):
            self._clean(namespace)
        for name, folder in self.volumes.items():
            folder.mkdir(parents=True)
            (folder / "content").write_text(f"{name} before")
        objects = [(_server(name), _volume(name, folder), _claim(name)) for name, folder in self.volumes.items()]
        self.make(*chain.from_iterable(objects))
        self.kubelet.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kubelet.stop()
        for namespace in (SERVERS, JOBS):
            self._clean(namespace)
        self.core.delete_collection_persistent_volume(**AT_ONCE)
        self.wait(lambda: not self.core.list_persistent_volume().items)

    def make(self, *bodies: dict[str, Any]) -> None:
        done = self.api.kubectl("create", "--filename", "-", standard_input=yaml.safe_dump_all(bodies))
        assert done.returncode == 0, done.stderr

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
        found = self.apps.list_namespaced_stateful_set(SERVERS).items
        return {each.metadata.name: each.spec.replicas for each in found}  # type: ignore[union-attr, misc]

    def scale(self, replicas: int) -> None:
        """What a command that was then killed has left."""
        for name in servers.NAMES:
            self.apps.patch_namespaced_stateful_set_scale(name, SERVERS, {"spec": {"replicas": replicas}})

    def pods(self) -> dict[str, str]:
        """The servers' pods: the uid of each by name."""
        found = self.core.list_namespaced_pod(SERVERS, label_selector="server").items
        return {pod.metadata.name: pod.metadata.uid for pod in found}  # type: ignore[union-attr, misc]

    def contents(self) -> set[str]:
        """Which data the servers have, `before` or another, without their names."""
        return {(folder / "content").read_text().removeprefix(f"{name} ") for name, folder in self.volumes.items()}

    def beside_volumes(self) -> set[str]:
        """What lies in the node beside the volumes."""
        [parent] = {folder.parent for folder in self.volumes.values()}
        return {path.name for path in parent.iterdir()} - set(servers.NAMES)

    def wait(self, condition: Callable[[], Any], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.1)

    def _clean(self, namespace: str) -> None:
        apps, batch, core = self.apps, self.batch, self.core
        kinds: list[tuple[Callable[..., Any], Callable[[str], Any]]] = [
            (apps.delete_collection_namespaced_stateful_set, apps.list_namespaced_stateful_set),
            (batch.delete_collection_namespaced_job, batch.list_namespaced_job),
            (core.delete_collection_namespaced_pod, core.list_namespaced_pod),
            (core.delete_collection_namespaced_persistent_volume_claim, core.list_namespaced_persistent_volume_claim),
            (core.delete_collection_namespaced_resource_quota, core.list_namespaced_resource_quota),
        ]
        for delete, _ in kinds:
            delete(namespace, **AT_ONCE)
        self.wait(lambda: not any(found(namespace).items for _, found in kinds))


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
