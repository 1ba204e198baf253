"""The charts as a cluster's API takes them: in the namespaces of our manifests, under Pod Security restricted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.test_pods import OUR_CHARTS
from tests.fixtures.helm import CHARTS, NAMESPACE, ROOT, Helm, as_stream, is_hook
from tests.fixtures.kubernetes_api import KubernetesApi

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
    """Helm and kubectl on one API server. Hooks are left out: no pod ever runs there."""

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
        self.remove_secrets(chart)
        for name, keys in SECRETS[chart].items():
            values = [f"--from-literal={key}=a-secret-value" for key in keys if key != without]
            self.api.kubectl("create", "secret", "generic", name, "--namespace", NAMESPACE, *values)

    def remove_secrets(self, chart: str) -> None:
        self.api.kubectl("delete", "secret", *SECRETS[chart], "--namespace", NAMESPACE, "--ignore-not-found")


@pytest.fixture(scope="module")
def namespaces(helm: Helm, kubernetes_api: KubernetesApi) -> Cluster:
    """The namespaces of our manifests."""
    done = kubernetes_api.kubectl("apply", "--filename", str(ROOT / "manifests" / "namespaces"))
    assert done.returncode == 0, done.stderr
    return Cluster(helm, kubernetes_api)


@pytest.fixture
def cluster(namespaces: Cluster) -> Iterator[Cluster]:
    """Without a release or a Secret."""
    yield namespaces
    for chart in OUR_CHARTS:
        namespaces.helm("uninstall", chart, "--namespace", NAMESPACE, "--no-hooks", "--ignore-not-found")
        namespaces.remove_secrets(chart)


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


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_a_release_is_taken_without_a_warning_and_holds_no_secret(cluster: Cluster, chart: str) -> None:
    cluster.make_secrets(chart)

    done = cluster.install(chart)

    assert (done.returncode, done.stderr.count("Warning"), done.stderr.count("warning")) == (0, 0, 0), done.stderr
    assert f"helm test {chart} --namespace {NAMESPACE}" in done.stdout  # the notes say what to do next
    assert "a-secret-value" not in cluster.helm("get", "all", chart, "--namespace", NAMESPACE).stdout


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_its_tests_and_jobs_are_allowed_under_pod_security_restricted(helm: Helm, cluster: Cluster, chart: str) -> None:
    hooks = [item for item in helm.template(chart) if is_hook(item)]
    cluster.make_secrets(chart)
    cluster.install(chart)

    done = cluster.api.kubectl("apply", "--dry-run=server", "--filename", "-", standard_input=as_stream(hooks))

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_a_newer_version_of_the_chart_upgrades_a_release(cluster: Cluster, chart: str, tmp_path: Path) -> None:
    cluster.make_secrets(chart)
    cluster.install(chart)
    newer = tmp_path / chart
    shutil.copytree(CHARTS / chart, newer)
    (newer / "Chart.yaml").write_text((CHARTS / chart / "Chart.yaml").read_text().replace("0.1.0", "9.9.9"))

    done = cluster.install(newer, "--set", "nodeSelector.disk=ssd")

    assert done.returncode == 0, done.stderr
