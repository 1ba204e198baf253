"""What the usual programs say of everything that `kubectl apply` takes."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.fixtures.crd import strict_schema
from user_analytics.cluster.go_programs import module_version

MANIFEST_DIRECTORY = Path(__file__).parents[2] / "manifests"
SCHEMA = MANIFEST_DIRECTORY / "schemas" / "sparkapplication_v1beta2.json"
CRD = "sparkoperator.k8s.io_sparkapplications.yaml"
FILES = sorted(
    path
    for folder in ("", "namespaces", "jobs", "spark-applications")
    for path in (MANIFEST_DIRECTORY / folder).glob("*.yaml")
)
IGNORED = {
    # Images carry a content-hash or a version, and are loaded into the nodes.
    "container-image-pull-policy",
    # Most pods come from charts and from the operator; that no policy is idle is a test of its own.
    "networkpolicy-targets-pod",
}


def checked(kubeconform: Path, schemas: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    locations = [
        schemas / "{{.ResourceKind}}{{.KindSuffix}}.json",
        MANIFEST_DIRECTORY / "schemas" / "{{.ResourceKind}}_{{.ResourceAPIVersion}}.json",
    ]
    options = [option for location in locations for option in ("-schema-location", str(location))]
    return subprocess.run([kubeconform, "-strict", *options, *files], capture_output=True, text=True, check=False)


def test_every_manifest_is_what_kubernetes_takes(kubeconform: Path, kubernetes_schemas: Path) -> None:
    done = checked(kubeconform, kubernetes_schemas, *FILES)
    assert done.returncode == 0, done.stdout


def test_a_field_that_kubernetes_does_not_know_is_refused(
    kubeconform: Path, kubernetes_schemas: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "views.yaml"
    wrong.write_text((MANIFEST_DIRECTORY / "jobs" / "views.yaml").read_text().replace("backoffLimit", "backofLimit"))
    done = checked(kubeconform, kubernetes_schemas, wrong)
    assert done.returncode == 1
    assert "'backofLimit' not allowed" in done.stdout


def test_kube_score_has_nothing_critical_to_say(kube_score: Path) -> None:
    options = [option for name in sorted(IGNORED) for option in ("--ignore-test", name)]
    done = subprocess.run(
        [kube_score, "score", "--output-format", "ci", *options, *FILES], capture_output=True, text=True, check=False
    )
    assert "[CRITICAL]" not in done.stdout
    assert "[OK]" in done.stdout


def go_module_cache() -> Path:
    try:
        done = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("Go is missing: make test-tools")
    return Path(done.stdout.strip())


def test_the_schema_is_that_of_the_pinned_operator() -> None:
    module = f"github.com/kubeflow/spark-operator/v2@{module_version('spark-operator')}"
    crd = go_module_cache() / module / "config" / "crd" / "bases" / CRD
    if not crd.is_file():
        pytest.skip("the Spark Operator's module is missing: make test-tools")
    checked_in = json.loads(SCHEMA.read_text())

    expected = strict_schema(yaml.load(crd.read_text(), yaml.CSafeLoader), checked_in["$comment"])
    assert checked_in == expected, f"python -m tests.fixtures.crd {crd} > {SCHEMA}"
