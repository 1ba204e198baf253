"""The project's namespaces on a real API server where no pod runs: tests say themselves what became of one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, ApiextensionsV1Api, BatchV1Api, CoreV1Api, CustomObjectsApi

from tests.fixtures.kubernetes_api import KubernetesApi, suppressed
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
        core, batch, custom = CoreV1Api(self.client), BatchV1Api(self.client), CustomObjectsApi(self.client)
        for namespace in NAMESPACES:
            core.delete_collection_namespaced_pod(namespace, grace_period_seconds=0)
            batch.delete_collection_namespaced_job(namespace, propagation_policy="Background")
            core.delete_collection_namespaced_event(namespace)
        with suppressed(404):
            custom.delete_collection_namespaced_custom_object(*OPERATORS, JOBS, PLURAL)

    def define_applications(self) -> None:
        """Have the Spark Operator's definition of an application. It stays: to make and remove one takes seconds."""
        definition: Any = APPLICATIONS  # the client's types know its own classes alone
        with suppressed(409):
            ApiextensionsV1Api(self.client).create_custom_resource_definition(definition)
            self._kubectl("wait", "--for", "condition=Established", "customresourcedefinition", DEFINITION)

    def forget_applications(self) -> None:
        """Have no such definition."""
        self._kubectl("delete", "--ignore-not-found", "customresourcedefinition", DEFINITION)

    def _kubectl(self, *arguments: str, standard_input: str = "") -> None:
        done = self._api.kubectl(*arguments, standard_input=standard_input)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def cluster(kubernetes_api: KubernetesApi) -> Iterator[Cluster]:
    """The project's namespaces, with nothing in them."""
    kubernetes_api.make_namespaces(*NAMESPACES)
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
