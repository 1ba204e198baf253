"""What holds for every pod of every chart, the Spark Operator's included."""

from typing import Any

import pytest
import yaml

from tests.fixtures.helm import (
    CHARTS,
    Helm,
    Object,
    Rendered,
    containers,
    is_hook,
    pod_spec,
    spark_operator_chart,
    task_pods,
)

OUR_CHARTS = ["airflow", "bigquery-emulator", "minio", "postgres", "spark-history-server"]


# Whom nobody asks: they work on what they find in the database.
WITHOUT_A_SERVICE = {"airflow-dag-processor", "airflow-scheduler", "airflow-triggerer"}

ELSEWHERE: dict[str, Any] = {
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
}
STORED: dict[str, Any] = {"persistence": {"storageClass": "fast"}}
AIRFLOW: dict[str, Any] = {
    "triggerer": {"enabled": True},
    "dags": {
        "gitSync": {"repo": "https://example.com/dags.git", "credentialsSecret": "git"},
        "alert": {"existingSecret": "slack"},
        "reportAddress": "https://example.com/{ds}.html",
    },
    "statsd": {"host": "statsd.example.com"},
    "apiServer": {"nodePort": 30080},
}
SWITCHED_ON = {
    "airflow, all on": ("airflow", AIRFLOW),
    "airflow, KubernetesExecutor": ("airflow", {**AIRFLOW, "executor": "KubernetesExecutor"}),
    "bigquery-emulator, all on": ("bigquery-emulator", STORED),
    "minio, all on": ("minio", {**STORED, "metrics": {"enabled": True}, "console": {"nodePort": 30901}}),
    "postgres, all on": ("postgres", STORED),
    "spark-history-server, all on": ("spark-history-server", {"nodePort": 30180}),
}


def variant(helm: Helm, name: str) -> Rendered:
    """A chart of ours as it comes or with everything switched on, with the pods that Airflow makes by itself."""
    chart, values = SWITCHED_ON.get(name, (name, {}))
    objects = helm.template(chart, {**ELSEWHERE, **values} if name in SWITCHED_ON else {})
    return Rendered([*objects, *task_pods(objects)])


@pytest.fixture(params=[*OUR_CHARTS, *SWITCHED_ON])
def ours(request: pytest.FixtureRequest, helm: Helm) -> Rendered:
    """A chart of ours."""
    return variant(helm, request.param)


def spark_operator(helm: Helm) -> Rendered:
    """The Spark Operator's own chart with our values."""
    values = yaml.safe_load((CHARTS / "spark-operator" / "values.yaml").read_text())
    return helm.template(spark_operator_chart(), values, release="spark-operator", namespace="spark-operator")


@pytest.fixture(params=[*OUR_CHARTS, *SWITCHED_ON, "spark-operator"])
def chart(request: pytest.FixtureRequest, helm: Helm) -> Rendered:
    """Any chart that the cluster is made of."""
    return spark_operator(helm) if request.param == "spark-operator" else variant(helm, request.param)


def pods(objects: Rendered) -> list[Object]:
    found = [item for item in objects if pod_spec(item)]
    assert found
    return found


def test_every_container_is_allowed_under_pod_security_restricted(chart: Rendered) -> None:
    for item in pods(chart):
        spec = pod_spec(item) or {}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all("hostPath" not in volume for volume in spec.get("volumes", []))
        for container in containers(item):
            context = {**spec.get("securityContext", {}), **container["securityContext"]}
            assert context["runAsNonRoot"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_every_container_has_a_user_of_its_own_and_a_file_system_that_only_volumes_make_writable(
    chart: Rendered,
) -> None:
    for item in pods(chart):
        for container in containers(item):
            context = container["securityContext"]
            assert context["runAsUser"] > 0
            assert context["runAsGroup"] > 0
            assert context["readOnlyRootFilesystem"] is True


def test_every_container_says_what_it_asks_for_and_may_use(chart: Rendered) -> None:
    for item in pods(chart):
        for container in containers(item):
            for kind in ("requests", "limits"):
                assert container["resources"][kind].keys() == {"cpu", "memory", "ephemeral-storage"}


def test_what_a_container_may_write_is_bounded(chart: Rendered) -> None:
    for item in pods(chart):
        for volume in (pod_spec(item) or {}).get("volumes", []):
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]


def test_every_server_has_probes_and_a_busy_one_is_not_killed(ours: Rendered) -> None:
    for item in pods(ours):
        if item["kind"] not in {"StatefulSet", "Deployment"}:
            continue
        for container in (pod_spec(item) or {})["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
            liveness, readiness = container["livenessProbe"], container["readinessProbe"]
            assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 120
            assert readiness["periodSeconds"] <= 10


def test_a_token_has_only_who_has_a_right_and_no_pod_the_addresses_of_services_in_its_environment(
    ours: Rendered,
) -> None:
    with_rights = {subject["name"] for item in ours if item["kind"] == "RoleBinding" for subject in item["subjects"]}
    accounts = {item["metadata"]["name"]: item for item in ours if item["kind"] == "ServiceAccount"}
    assert with_rights == {name for name, item in accounts.items() if item["automountServiceAccountToken"]}
    for item in pods(ours):
        spec = pod_spec(item) or {}
        assert spec["serviceAccountName"] in accounts
        assert spec["automountServiceAccountToken"] is (spec["serviceAccountName"] in with_rights)
        assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize("chart_name", sorted({*OUR_CHARTS} - {"airflow"}))
def test_only_airflow_talks_to_kubernetes(chart_name: str, helm: Helm) -> None:
    assert not {"Role", "RoleBinding"} & {item["kind"] for item in helm.template(chart_name)}


def test_no_right_reaches_beyond_a_namespace_or_to_secrets(ours: Rendered) -> None:
    for item in ours:
        assert not item["kind"].startswith("Cluster")
        for rule in item.get("rules", []):
            assert not {"*", "secrets"} & {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}


def test_a_volume_outlives_its_release(ours: Rendered) -> None:
    for item in ours:
        assert item["kind"] != "PersistentVolumeClaim", "goes with the release"
        if item["kind"] == "StatefulSet":
            assert item["spec"]["persistentVolumeClaimRetentionPolicy"] == {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            }


def test_a_version_that_cannot_start_is_replaced_by_the_next(ours: Rendered) -> None:
    for item in ours:
        # the other policy waits for each pod to be ready, also for one that never will be
        assert item["kind"] != "StatefulSet" or item["spec"]["podManagementPolicy"] == "Parallel"


def test_no_secret_is_made_by_a_chart_or_stands_in_one(ours: Rendered) -> None:
    for item in ours:
        assert item["kind"] != "Secret"
        for container in containers(item):
            for variable in container.get("env", []):
                name = variable["name"]
                if any(word in name for word in ("PASSWORD", "SECRET", "ACCESS_KEY")) and not name.endswith("_FILE"):
                    assert set(variable) == {"name", "valueFrom"}, name


def test_the_fields_that_cannot_change_hold_no_version(ours: Rendered) -> None:
    for item in ours:
        if item["kind"] in {"StatefulSet", "Deployment"}:
            unchangeable = [item["spec"]["selector"], item["spec"].get("volumeClaimTemplates", [])]
            assert "0.1.0" not in str(unchangeable)


def test_services_find_the_servers_and_not_the_pods_that_test_them(ours: Rendered) -> None:
    selectors = [item["spec"]["selector"] for item in ours if item["kind"] == "Service"]
    assert selectors
    for item in pods(ours):
        labels = item["metadata"]["labels"] if item["kind"] == "Pod" else item["spec"]["template"]["metadata"]["labels"]
        found_by = [selector for selector in selectors if selector.items() <= labels.items()]
        if item["kind"] not in {"StatefulSet", "Deployment"}:
            assert not found_by
        elif item["metadata"]["name"] not in WITHOUT_A_SERVICE:
            assert found_by == selectors


def test_every_chart_can_be_tested(ours: Rendered) -> None:
    tests = [item for item in ours if item["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]

    assert [item["kind"] for item in tests if item["kind"] == "Pod"] == ["Pod"]


@pytest.mark.parametrize("chart_name", OUR_CHARTS)
def test_images_default_to_the_version_of_the_project(chart_name: str, helm: Helm) -> None:
    from_project = yaml.safe_load((CHARTS / chart_name / "Chart.yaml").read_text())["appVersion"]
    for item in pods(helm.template(chart_name)):
        assert {container["image"].rpartition(":")[2] for container in containers(item)} == {from_project}


@pytest.mark.parametrize("chart_name", OUR_CHARTS)
def test_releases_of_two_names_share_a_namespace(chart_name: str, helm: Helm) -> None:
    def names(release: str) -> set[tuple[str, str]]:
        objects = helm.template(chart_name, release=release)
        return {(item["kind"], item["metadata"]["name"]) for item in objects}

    assert not names(chart_name) & names("second")


def test_hooks_only_hold_what_may_be_made_anew(ours: Rendered) -> None:
    assert {item["kind"] for item in ours if is_hook(item)} <= {"ConfigMap", "Job", "Pod"}


def test_the_charts_are_those_in_the_folder() -> None:
    assert {path.name for path in CHARTS.iterdir() if path.is_dir()} == {*OUR_CHARTS, "spark-operator"}
