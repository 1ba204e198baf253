"""The charts as a cluster's API takes them: in the namespaces of our manifests, under Pod Security restricted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.charts.test_pods import OUR_CHARTS
from tests.fixtures.helm import CHARTS, NAMESPACE, ROOT, Helm, as_stream, is_hook
from tests.fixtures.kubernetes_api import KubernetesApi, collection

LAKE = {"lake-credentials": ["access-key", "secret-key"]}
# Of each chart: its Secrets in the order in which it asks for them, and their keys.
SECRETS = {
    "airflow": {
        "airflow": ["connection", "fernet-key", "api-secret-key", "jwt-secret", "passwords.json", "minio-conn"],
    },
    "bigquery-emulator": {"bigquery-emulator-tls": ["tls.crt", "tls.key", "ca.crt"]},
    "minio": {"minio": ["root-user", "root-password"], **LAKE},
    "postgres": {
        "postgres": ["postgres-password", "retail-password", "user-analytics-password"],
        "airflow-database": ["password"],
    },
    "spark-history-server": LAKE,
}


class Cluster:
    """Helm on one API server. Hooks are left out: no pod ever runs there."""

    def __init__(self, helm: Helm, api: KubernetesApi) -> None:
        self._helm, self.api = helm, api

    def install(self, chart: str | Path, *options: str) -> subprocess.CompletedProcess[str]:
        path = CHARTS / chart  # itself, when it is absolute
        arguments = ["upgrade", "--install", path.name, str(path), "--namespace", NAMESPACE, "--no-hooks", *options]
        return self.helm(*arguments)

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": str(self.api.kubeconfig)}
        return subprocess.run(
            [self._helm.program, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    def make_secrets(self, chart: str, *, without: str | None = None) -> None:
        for name, keys in SECRETS[chart].items():
            values = {key: "a-secret-value" for key in keys if key != without}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
            self.api.make({**secret, "stringData": values})

    def remove_secrets(self) -> None:
        """Those of Helm's releases stay."""
        self.api.request("DELETE", collection("v1", "Secret", NAMESPACE), fieldSelector="type=Opaque")


class Installed(NamedTuple):
    """A chart that is installed, and what Helm said."""

    chart: str
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def namespaces(helm: Helm, kubernetes_api: KubernetesApi) -> Cluster:
    """The namespaces of our manifests."""
    done = kubernetes_api.kubectl("apply", "--filename", str(ROOT / "manifests" / "namespaces"))
    assert done.returncode == 0, done.stderr
    return Cluster(helm, kubernetes_api)


@pytest.fixture
def cluster(namespaces: Cluster) -> Iterator[Cluster]:
    """Without a release or a Secret."""
    namespaces.remove_secrets()
    yield namespaces
    namespaces.remove_secrets()


@pytest.fixture(scope="module", params=OUR_CHARTS)
def installed(namespaces: Cluster, request: pytest.FixtureRequest) -> Iterator[Installed]:
    """Each chart, installed once, with its Secrets."""
    chart = request.param
    namespaces.make_secrets(chart)
    yield Installed(chart, namespaces.install(chart))
    namespaces.helm("uninstall", chart, "--namespace", NAMESPACE, "--no-hooks", "--ignore-not-found")
    namespaces.remove_secrets()


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_without_its_secret_nothing_is_installed_and_the_message_names_it(cluster: Cluster, chart: str) -> None:
    done = cluster.install(chart)

    assert done.returncode != 0
    secret, keys = next(iter(SECRETS[chart].items()))
    assert f"Secret {secret} in namespace {NAMESPACE} has no key {keys[0]}" in done.stderr
    assert "make cluster-up" in done.stderr


@pytest.mark.parametrize(
    ("chart", "key"),
    [(chart, key) for chart, secrets in SECRETS.items() for keys in secrets.values() for key in keys],
)
def test_a_key_that_its_secret_lacks_is_named(cluster: Cluster, chart: str, key: str) -> None:
    cluster.make_secrets(chart, without=key)

    done = cluster.install(chart)

    assert done.returncode != 0
    assert f"has no key {key} " in done.stderr


def test_a_release_is_taken_without_a_warning_and_holds_no_secret(namespaces: Cluster, installed: Installed) -> None:
    done = installed.done

    assert (done.returncode, done.stderr.count("Warning"), done.stderr.count("warning")) == (0, 0, 0), done.stderr
    # the notes say what to do next
    assert f"helm test {installed.chart} --namespace {NAMESPACE}" in done.stdout
    everything = namespaces.helm("get", "all", installed.chart, "--namespace", NAMESPACE).stdout
    assert everything
    assert "a-secret-value" not in everything


def test_its_tests_and_jobs_are_allowed_under_pod_security_restricted(
    helm: Helm, namespaces: Cluster, installed: Installed
) -> None:
    hooks = [item for item in helm.template(installed.chart) if is_hook(item)]

    done = namespaces.api.kubectl("apply", "--dry-run=server", "--filename", "-", standard_input=as_stream(hooks))

    assert (done.returncode, done.stderr) == (0, "")


def test_a_newer_version_of_the_chart_upgrades_a_release(
    namespaces: Cluster, installed: Installed, tmp_path: Path
) -> None:
    newer = tmp_path / installed.chart
    shutil.copytree(CHARTS / installed.chart, newer)
    description = newer / "Chart.yaml"
    description.write_text(description.read_text().replace("0.1.0", "9.9.9"))

    done = namespaces.install(newer, "--set", "nodeSelector.disk=ssd")

    assert done.returncode == 0, done.stderr
