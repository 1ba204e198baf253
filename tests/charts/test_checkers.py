"""What comes out of the charts, as they come and with everything switched on, as kubeconform and kube-score see it."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.charts.test_pods import OUR_CHARTS, SWITCHED_ON, spark_operator, variant
from tests.fixtures.helm import CHARTS, ROOT, Helm, Object, as_stream, pod_spec
from user_analytics import __version__
from user_analytics.cluster.go_programs import module_version

# Checks of kube-score that are left out, and why.
LEFT_OUT = {
    "container-image-pull-policy": "images are loaded into the nodes, under tags that name their content",
    "container-security-context-user-group-id": "Debian's Postgres and Spark's images have users below 10,000",
}


# All charts together, since kube-score looks for what belongs to what.
RELEASES = {
    "as they come": OUR_CHARTS,
    "all on": [name for name in SWITCHED_ON if name != "airflow, KubernetesExecutor"],
    "all on, KubernetesExecutor": [name for name in SWITCHED_ON if name != "airflow, all on"],
}


@pytest.fixture(scope="session", params=RELEASES)
def everything(request: pytest.FixtureRequest, helm: Helm) -> list[Object]:
    """Every object of every chart, with its namespace, which the operator's chart leaves to Helm."""
    objects = [*spark_operator(helm), *(item for name in RELEASES[request.param] for item in variant(helm, name))]
    for item in objects:
        item["metadata"].setdefault("namespace", "spark-operator")
    return objects


def conform(kubeconform: Path, kubernetes_schemas: Path, objects: list[Object]) -> subprocess.CompletedProcess[str]:
    location = f"{kubernetes_schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    return subprocess.run(
        [kubeconform, "-strict", "-schema-location", location, "-summary", "-"],
        input=as_stream(objects),
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_object_conforms_strictly_to_kubernetes_own_schema(
    kubeconform: Path, kubernetes_schemas: Path, everything: list[Object]
) -> None:
    done = conform(kubeconform, kubernetes_schemas, everything)

    assert done.returncode == 0, done.stdout
    assert f"Valid: {len(everything)}, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


def test_a_field_that_does_not_exist_would_be_found(kubeconform: Path, kubernetes_schemas: Path, helm: Helm) -> None:
    server = helm.template("minio").one("StatefulSet", "minio")
    server["spec"]["template"]["spec"]["securityContext"]["runAsNoneRoot"] = True

    assert (
        "additional properties 'runAsNoneRoot' not allowed" in conform(kubeconform, kubernetes_schemas, [server]).stdout
    )


def test_kube_score_finds_nothing_critical(kube_score: Path, everything: list[Object]) -> None:
    namespaces = {item["metadata"]["namespace"] for item in everything if pod_spec(item)}
    policies = [
        item
        for file in sorted((ROOT / "manifests" / "namespaces").glob("*.yaml"))
        for item in yaml.safe_load_all(file.read_text())
        if item["kind"] == "NetworkPolicy" and item["metadata"]["namespace"] in namespaces
    ]
    minor_version = module_version("kubernetes").rpartition(".")[0]
    ignored = [word for check in LEFT_OUT for word in ("--ignore-test", check)]

    done = subprocess.run(
        [kube_score, "score", "--output-format", "ci", "--kubernetes-version", minor_version, *ignored, "-"],
        input=as_stream([*everything, *policies]),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "[OK]" in done.stdout, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("[CRITICAL]")] == []


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_helm_lint_finds_nothing(helm: Helm, chart: str) -> None:
    done = helm.lint(chart)

    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_a_chart_has_the_version_of_the_project(chart: str) -> None:
    described = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())

    assert (described["version"], described["appVersion"]) == (__version__, __version__)


def test_the_operator_s_image_has_the_version_of_the_project() -> None:
    assert yaml.safe_load((CHARTS / "spark-operator" / "values.yaml").read_text())["image"]["tag"] == __version__
