"""The project's namespaces on a real API server where no pod runs: tests say themselves what became of one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, CoreV1Api

from tests.fixtures.kubernetes_api import KubernetesApi
from user_analytics.cluster.logs import NAMESPACES
from user_analytics.cluster.secrets import JOBS

Body = dict[str, Any]
# The operator's, as far as the tests use it.
APPLICATIONS: Body = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "sparkapplications.sparkoperator.k8s.io",
        # the API server asks for it of names that end in k8s.io
        "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
    },
    "spec": {
        "group": "sparkoperator.k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "sparkapplications", "kind": "SparkApplication"},
        "versions": [
            {
                "name": "v1beta2",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


class Cluster:
    """What a test makes there, and what it lets happen to it."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self.client: ApiClient = config.new_client_from_config(str(api.kubeconfig))

    def make(self, *bodies: Body) -> None:
        for body in bodies:
            self._kubectl("create", "--filename", "-", standard_input=yaml.safe_dump(body))

    def set_status(self, kind: str, name: str, status: Mapping[str, Any], namespace: str = JOBS) -> None:
        patch = json.dumps({"status": status})
        of = (kind, name, "--namespace", namespace)
        self._kubectl("patch", *of, "--subresource", "status", "--type", "merge", "--patch", patch)

    def delete(self, kind: str, name: str) -> None:
        self._kubectl("delete", kind, name, "--namespace", JOBS, "--force", "--grace-period", "0")

    def uid_of_pod(self, name: str) -> str:
        found = CoreV1Api(self.client).read_namespaced_pod(name, JOBS)
        assert found.metadata
        assert found.metadata.uid
        return found.metadata.uid

    def clean(self) -> None:
        for namespace in NAMESPACES:
            self._kubectl("delete", "pods,jobs,events", "--all", "--force", "--namespace", namespace)
        self._kubectl("delete", "--ignore-not-found", "customresourcedefinition", APPLICATIONS["metadata"]["name"])

    def define_applications(self) -> None:
        """Have the Spark Operator's definition of an application."""
        self.make(APPLICATIONS)
        name = APPLICATIONS["metadata"]["name"]
        self._kubectl("wait", "--for", "condition=Established", "customresourcedefinition", name)

    def _kubectl(self, *arguments: str, standard_input: str = "") -> None:
        done = self._api.kubectl(*arguments, standard_input=standard_input)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def cluster(kubernetes_api: KubernetesApi) -> Iterator[Cluster]:
    """The project's namespaces, with nothing in them."""
    for namespace in NAMESPACES:
        kubernetes_api.kubectl("create", "namespace", namespace)
        kubernetes_api.kubectl("create", "serviceaccount", "default", "--namespace", namespace)
    cluster = Cluster(kubernetes_api)
    yield cluster
    cluster.clean()


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
