"""What the usual programs say of everything that `kubectl apply` takes."""

import subprocess
from pathlib import Path

import pytest

MANIFEST_DIRECTORY = Path(__file__).parents[3] / "manifests"
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


def checked(kubeconform: Path, schemas: Path, text: str) -> subprocess.CompletedProcess[str]:
    locations = [
        schemas / "{{.ResourceKind}}{{.KindSuffix}}.json",
        MANIFEST_DIRECTORY / "schemas" / "{{.ResourceKind}}_{{.ResourceAPIVersion}}.json",
    ]
    options = [option for location in locations for option in ("-schema-location", str(location))]
    return subprocess.run(
        [kubeconform, "-strict", *options, "-"], input=text, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_manifest_is_what_kubernetes_takes(path: Path, kubeconform: Path, kubernetes_schemas: Path) -> None:
    done = checked(kubeconform, kubernetes_schemas, path.read_text())
    assert done.returncode == 0, done.stdout


def test_a_field_that_kubernetes_does_not_know_is_refused(kubeconform: Path, kubernetes_schemas: Path) -> None:
    text = (MANIFEST_DIRECTORY / "jobs" / "views.yaml").read_text()
    done = checked(kubeconform, kubernetes_schemas, text.replace("backoffLimit", "backofLimit"))
    assert done.returncode == 1
    assert "'backofLimit' not allowed" in done.stdout


def test_kube_score_has_nothing_critical_to_say(kube_score: Path) -> None:
    options = [option for name in sorted(IGNORED) for option in ("--ignore-test", name)]
    done = subprocess.run(
        [kube_score, "score", "--output-format", "ci", *options, *FILES], capture_output=True, text=True, check=False
    )
    assert "[CRITICAL]" not in done.stdout
    assert "[OK]" in done.stdout
