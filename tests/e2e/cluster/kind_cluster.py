"""The cluster as a person works on it: make's targets, and what the API says of what they did."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kubernetes.client import (
    ApiClient,
    ApiException,
    AppsV1Api,
    AuthorizationV1Api,
    CoreV1Api,
    CustomObjectsApi,
    V1ResourceAttributes,
    V1SubjectAccessReview,
    V1SubjectAccessReviewSpec,
)

from tests.fixtures.warehouse import views_as_csv
from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.charts import NAMESPACES
from user_analytics.cluster.connection import in_words
from user_analytics.cluster.forward import kubectl
from user_analytics.cluster.go_programs import program_file
from user_analytics.cluster.kind import CONTEXT
from user_analytics.cluster.secrets import JOBS
from user_analytics.cluster.status import read_status
from user_analytics.errors import UserAnalyticsError
from user_analytics.lake.store import open_store
from user_analytics.lake.stored_object import StoredObject
from user_analytics.source import TABLE, source_transaction
from user_analytics.warehouse.client import open_warehouse

ROOT = Path(__file__).parents[3]
MAKE_SECONDS = 1200
APPLICATIONS = ("sparkoperator.k8s.io", "v1beta2", JOBS, "sparkapplications")


class Pod(NamedTuple):
    """What the tests look at of a pod; `owner` is the kind of what made it, `restarts` counts all containers'.

    `is_going` is one whose deletion was asked for.
    """

    name: str
    namespace: str
    uid: str
    phase: str
    labels: dict[str, str]
    owner: str
    restarts: int
    is_going: bool

    @property
    def is_live(self) -> bool:
        """Whether it is under way, or about to be."""
        return self.phase not in {"Succeeded", "Failed"} and not self.is_going

    @property
    def application(self) -> str:
        """The SparkApplication that it is a driver or an executor of."""
        return self.labels["sparkoperator.k8s.io/app-name"]


def kill_make(*arguments: str, at: str, seconds: float = 0, once: Callable[[], bool] = lambda: True) -> None:
    """Start a target and end all its processes at once, some seconds after the line `at` of what it says.

    From there on it also waits until `once` is true. Fails the test when the target ends before.
    """
    with _whole_make(*arguments, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line == f"{at}\n":
                break
        else:
            pytest.fail(f"make {' '.join(arguments)} ended before {at!r}:\n{''.join(said)}", pytrace=False)
        while not once():
            assert process.poll() is None, f"make {' '.join(arguments)} ended too early"
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _whole_make(*arguments: str, stderr: int) -> Iterator[subprocess.Popen[str]]:
    """A target with all its processes in one group, which an exception ends: what is left of it keeps the lock."""
    with subprocess.Popen(
        ["make", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


class KindCluster:
    """The running cluster `user-analytics` of this machine."""

    def __init__(self, api: ApiClient) -> None:
        self.core, self.apps, self.custom = CoreV1Api(api), AppsV1Api(api), CustomObjectsApi(api)
        self._api = api

    def make(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a target to its end; fails the test when it does not exit with 0, unless `check` is off."""
        with _whole_make(*arguments, stderr=subprocess.PIPE) as process:
            output, errors = process.communicate(timeout=MAKE_SECONDS)
        if check and process.returncode != 0:
            said = (output + errors)[-4000:]
            pytest.fail(f"make {' '.join(arguments)}: exit code {process.returncode}\n{said}", pytrace=False)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a target; what it says is in its standard output."""
        return subprocess.Popen(
            ["make", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl; fails the test when it does not exit with 0."""
        done = subprocess.run(
            [kubectl(), "--context", CONTEXT, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    def helm(self, command: str, release: str, *options: str) -> None:
        """Run a command of helm's on a release; fails the test when it does not exit with 0."""
        helm = [str(program_file("helm")), "--kube-context", CONTEXT, "--namespace", NAMESPACES[release]]
        done = subprocess.run([*helm, command, release, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def views(self) -> dict[str, str]:
        """All views as `make query` prints them as CSV, over one connection."""
        with cluster_settings(self.core, {"warehouse"}) as settings, open_warehouse(settings) as warehouse:
            return views_as_csv(warehouse)

    def purchases(self) -> list[tuple[object, ...]]:
        """Every row of the source, read as its owner with the password of the cluster's Secret.

        Where it lies and which transaction wrote it come first: the same file loaded again makes other rows.
        """
        with (
            cluster_settings(self.core, {"source"}) as settings,
            source_transaction(settings) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"select ctid::text, xmin::text, * from {TABLE} order by ctid")
            return cursor.fetchall()

    def objects(self) -> set[StoredObject]:
        """What is in the lake, with size and time of each; without Airflow's logs, which come by themselves."""
        with cluster_settings(self.core, {"lake"}) as settings:
            found = set(open_store(settings).list(""))
        return {each for each in found if not each.key.startswith("airflow-logs/")}

    def put_object(self, key: str) -> None:
        """Put a small object into the lake."""
        with cluster_settings(self.core, {"lake"}) as settings:
            open_store(settings).put_stream(key, BytesIO(b"an object"))

    def applications(self) -> dict[str, dict[str, Any]]:
        """All SparkApplications by name."""
        listed: Any = self.custom.list_namespaced_custom_object(*APPLICATIONS)
        return {item["metadata"]["name"]: item for item in listed["items"]}

    def state(self, application: str) -> str:
        """The operator's word for the state of an application; empty before it has one."""
        found = self.applications()[application]
        return str(found.get("status", {}).get("applicationState", {}).get("state", ""))

    def has_ended(self, application: str) -> bool:
        """Whether the operator is done with an application."""
        return self.state(application) in {"COMPLETED", "FAILED", "SUBMISSION_FAILED"}

    def delete_application(self, name: str) -> None:
        """Remove an application and wait until it and its pods are gone; harmless when there is none."""
        try:
            self.custom.delete_namespaced_custom_object(*APPLICATIONS, name)
        except ApiException as error:
            if error.status != 404:
                raise
        self.wait(lambda: not self.pods(f"sparkoperator.k8s.io/app-name={name}"), f"{name} to be gone")

    def pods(self, labels: str = "") -> list[Pod]:
        """Pods with these labels, of all namespaces."""
        listed = self.core.list_pod_for_all_namespaces(label_selector=labels)
        return [_pod(item) for item in self._api.sanitize_for_serialization(listed)["items"]]

    def kill(self, pod: Pod) -> None:
        """End a pod at once, without a grace."""
        self.core.delete_namespaced_pod(pod.name, pod.namespace, grace_period_seconds=0)

    def may(self, account: str, verb: str, resource: str, namespace: str) -> bool:
        """Whether Kubernetes lets an account do something."""
        attributes = V1ResourceAttributes(namespace=namespace, verb=verb, resource=resource)
        review = V1SubjectAccessReview(spec=V1SubjectAccessReviewSpec(user=account, resource_attributes=attributes))
        answer = AuthorizationV1Api(self._api).create_subject_access_review(review)
        assert answer.status
        return bool(answer.status.allowed)

    def wait(self, condition: Callable[[], Any], purpose: str, seconds: float = 180) -> Any:
        """Wait for a true value and return it; fails the test when it takes too long."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {purpose}"
            time.sleep(0.5)
        return value

    def is_ready(self) -> bool:
        """Whether all is ready that `make cluster-status` asks for."""
        try:
            with in_words():
                return read_status(self._api).is_ready()
        except (UserAnalyticsError, OSError):
            return False

    def wait_until_all_is_ready(self) -> None:
        """Wait for every part; Airflow takes its time when its database was away."""
        self.wait(self.is_ready, "all parts to be ready", 300)


def _pod(item: dict[str, Any]) -> Pod:
    metadata, status = item["metadata"], item["status"]
    owners = metadata.get("ownerReferences") or [{"kind": ""}]
    return Pod(
        metadata["name"],
        metadata["namespace"],
        metadata["uid"],
        status["phase"],
        metadata.get("labels", {}),
        owners[0]["kind"],
        sum(container["restartCount"] for container in status.get("containerStatuses", [])),
        "deletionTimestamp" in metadata,
    )
