"""The project's namespaces on a real API server where no pod runs: tests say themselves what became of one."""

from collections.abc import Mapping
from typing import Any

from kubernetes.client import ApiClient, ApiextensionsV1Api

from tests.fixtures.kubernetes_api import KubernetesApi, collection, suppressed
from user_analytics.cluster.logs import NAMESPACES
from user_analytics.cluster.secrets import JOBS

Body = dict[str, Any]
OPERATORS = ("sparkoperator.k8s.io", "v1beta2")
PLURAL = "sparkapplications"
DEFINITION = f"{PLURAL}.{OPERATORS[0]}"
# The operator's, as far as the tests use it.
APPLICATIONS: Body = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": DEFINITION,
        # the API server asks for it of names that end in k8s.io
        "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
    },
    "spec": {
        "group": OPERATORS[0],
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "kind": "SparkApplication"},
        "versions": [
            {
                "name": OPERATORS[1],
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


AT_ONCE: dict[str, Any] = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
# Of what tests set the status, or delete.
COLLECTIONS = {
    "pod": ("v1", "Pod"),
    "job": ("batch/v1", "Job"),
    "sparkapplication": ("/".join(OPERATORS), "SparkApplication"),
}


class Cluster:
    """What a test makes there, and what it lets happen to it."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self.client: ApiClient = api.client()
        self.make = api.make

    def set_status(self, kind: str, name: str, status: Mapping[str, Any], namespace: str = JOBS) -> None:
        self._api.request("PATCH", f"{_path(kind, namespace)}/{name}/status", {"status": status})

    def delete(self, kind: str, name: str) -> None:
        self._api.request("DELETE", f"{_path(kind, JOBS)}/{name}", **AT_ONCE)

    def uid_of_pod(self, name: str) -> str:
        uid: str = self._api.request("GET", f"{_path('pod', JOBS)}/{name}")["metadata"]["uid"]
        return uid

    def clean(self) -> None:
        for namespace in NAMESPACES:
            for kind in ("pod", "job"):
                self._api.request("DELETE", _path(kind, namespace), **AT_ONCE)
            self._api.request("DELETE", collection("v1", "Event", namespace))
        self._api.request("DELETE", _path("sparkapplication", JOBS), but={404})

    def define_applications(self) -> None:
        """Have the Spark Operator's definition of an application. It stays: to make and remove one takes seconds."""
        definition: Any = APPLICATIONS  # the client's types know its own classes alone
        with suppressed(409):
            ApiextensionsV1Api(self.client).create_custom_resource_definition(definition)
            self._kubectl("wait", "--for", "condition=Established", "customresourcedefinition", DEFINITION)

    def forget_applications(self) -> None:
        """Have no such definition."""
        self._kubectl("delete", "--ignore-not-found", "customresourcedefinition", DEFINITION)

    def _kubectl(self, *arguments: str) -> None:
        done = self._api.kubectl(*arguments)
        assert done.returncode == 0, done.stderr


def _path(kind: str, namespace: str) -> str:
    return collection(*COLLECTIONS[kind.lower()], namespace)


def pod(name: str, namespace: str = JOBS, **labels: str) -> Body:
    """A pod; a label's slash is written as two underscores."""
    metadata = {"name": name, "namespace": namespace, "labels": {key.replace("__", "/"): labels[key] for key in labels}}
    # the namespaces of our manifests, which other tests may have made, take no other pod
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": name, "image": "none", "securityContext": own}
    all_of_it = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], "securityContext": all_of_it},
    }


def job(name: str) -> Body:
    metadata = {"name": name, "namespace": JOBS}
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "stage", "image": "none"}]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}


def application(name: str) -> Body:
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": name, "namespace": JOBS},
    }
